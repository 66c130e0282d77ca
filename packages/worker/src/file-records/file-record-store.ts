/**
 * What is known of files, on disk, so that a restart finds the versions of its pages without asking the under storage, also when that is down.
 *
 * It may lose anything: whoever finds nothing asks the under storage. So a database that fails is emptied, and one that is silent is left alone; no read waits for
 * it longer than a second. Changes are gathered and go to the database together now and then, before the next read at the latest.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import { parseJson } from '@alluxio-ts/common/parse-json';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { z } from 'zod';
import type { RecordCallName, RecordCalls } from './record-calls.ts';
import {
  type Load,
  type LoadedFiles,
  type LoadedRange,
  type OldFiles,
  type OldRange,
  pageRows,
  type RecordChange,
  type RecordRow,
  type StoredIds,
} from './record-database.ts';
import type { RecordPort } from './record-port.ts';
import { StoredNames } from './stored-names.ts';

export interface StoredRecord {
  readonly ufsPath: string;
  readonly status: FileStatus;
  /** Wall time, milliseconds since the epoch: when the under storage last confirmed it. */
  readonly checkedAtMs: number;
}

export interface FileRecordStoreOptions {
  /** The store's from now on: it closes it. */
  readonly port: RecordPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Files that it is made for; as many as the database keeps unless given. */
  readonly namesMax?: number;
}

/** In the database; 400 bytes each for paths of 60. */
export const fileRecordsMax = 10_000_000;

const flushPauseMs = 200;
/** So many changes go to the database at once. */
const batchChanges = 1000;
/** So many wait at most, sent or not; over it new records are not kept. */
const changesMax = 50_000;
/** So many reads are under way at most; one more finds nothing. */
const readsMax = 1000;
/** A read that takes longer finds nothing, and until the database answers again, no other begins. */
const readDeadlineMs = 1000;
const beginAnewPauseMs = 10_000;
const closeDeadlineMs = 10_000;

const statusSchema = z.object({
  key: z.string(),
  sizeBytes: z.number(),
  modifiedMs: z.number(),
  version: z.string().optional(),
  etag: z.string().optional(),
  headers: z.object({
    contentType: z.string().optional(),
    contentEncoding: z.string().optional(),
    contentDisposition: z.string().optional(),
    contentLanguage: z.string().optional(),
    cacheControl: z.string().optional(),
    expires: z.string().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
  }),
});

export class FileRecordStore {
  readonly #options: FileRecordStoreOptions;
  readonly #stop = new AbortController();
  readonly #names: StoredNames;
  #changes: RecordChange[] = [];
  #sentCount = 0;
  #readCount = 0;
  /** Since a call failed, and until the database is empty: nothing of it is believed. */
  #isFaulty = false;
  #isSilent = false;
  #flushing: Promise<void> | undefined;

  constructor(options: FileRecordStoreOptions) {
    this.#options = options;
    this.#names = new StoredNames({ namesMax: options.namesMax ?? fileRecordsMax });
  }

  /** Resolves when the database is open; fails when it cannot be. */
  async start(): Promise<void> {
    const fault = await this.#options.port.call('fault', undefined);
    if (fault !== undefined) this.#options.logger.warn({ error: fault }, 'file-records-begun-anew');
    void this.#learnNames();
  }

  /** Undefined as well when the database fails or is silent. */
  async get(ufsPath: string): Promise<StoredRecord | undefined> {
    if (!this.#names.mayHave(ufsPath)) return undefined;
    const row = await this.#read('get', ufsPath);
    return row && recordOf(row);
  }

  /** The path whose sha256 in hex is `fileId`. */
  async pathOfId(fileId: string): Promise<string | undefined> {
    return /^[0-9a-f]{64}$/.test(fileId) ? this.#read('pathOfId', fileId) : undefined;
  }

  put({ checkedAtMs, status, ufsPath }: StoredRecord): void {
    if (this.#isFaulty || this.#changes.length + this.#sentCount >= changesMax) return;
    this.#names.add(ufsPath);
    if (this.#names.isWorn) void this.#learnNames();
    this.#change({ kind: 'put', row: { ufsPath, status: JSON.stringify(status), checkedAtMs } });
  }

  /** Keeps when a version was loaded, unless an earlier time is known, or the record of the file is of another version. A later `put` of the version leaves it. */
  loaded(load: Load): void {
    if (this.#isFaulty || this.#changes.length + this.#sentCount >= changesMax) return;
    this.#change({ kind: 'loaded', load });
  }

  remove(ufsPath: string): void {
    if (this.#isFaulty) return;
    if (this.#changes.length + this.#sentCount < changesMax) this.#change({ kind: 'remove', ufsPath });
    else this.#distrust(new Error(`${changesMax} changes wait to be written`));
  }

  /** Every record whose path begins so. Fails when the database does. */
  async *below(ufsPathPrefix: string): AsyncGenerator<StoredRecord> {
    await this.flush();
    for (let after: string | undefined; ; ) {
      const rows = await this.#options.port.call('page', { ufsPathPrefix, after });
      for (const row of rows) {
        const record = recordOf(row);
        if (record) yield record;
      }
      if (rows.length < pageRows) return;
      after = rows.at(-1)?.ufsPath;
    }
  }

  /** Removes every record whose path begins so: reads that follow find none of them. Resolves when it is done. */
  async removeBelow(ufsPathPrefix: string): Promise<void> {
    void this.flush();
    await this.#options.port
      .call('removeBelow', ufsPathPrefix)
      .catch((thrown: unknown) => this.#distrust(thrown));
  }

  /** Files that were not confirmed for long, some at a time. */
  async oldFiles(range: OldRange): Promise<OldFiles> {
    return (await this.#read('oldFiles', range)) ?? { files: [], last: undefined };
  }

  /** Files by when they were loaded, some at a time; undefined when the database fails or is silent. */
  loadedFiles(range: LoadedRange): Promise<LoadedFiles | undefined> {
    return this.#read('loadedFiles', range);
  }

  /** Reads the whole database. */
  async count(): Promise<number> {
    await this.flush();
    return this.#options.port.call('count', undefined);
  }

  /** Sends what waits, before any call that follows; resolves when it is written or lost. */
  async flush(): Promise<void> {
    const changes = this.#changes;
    if (changes.length === 0) return;
    this.#changes = [];
    this.#sentCount += changes.length;
    try {
      await this.#options.port.call('write', changes);
    } catch (thrown) {
      // New records may be lost. What was to be removed may not stay.
      if (changes.some(({ kind }) => kind === 'remove')) this.#distrust(thrown);
      else this.#options.logger.warn({ error: thrown }, 'file-records-not-written');
    } finally {
      this.#sentCount -= changes.length;
    }
  }

  async close(): Promise<void> {
    await resolvesWithin(this.#options.clock, closeDeadlineMs, this.#finish());
    this.#stop.abort();
    await this.#flushing;
    await this.#options.port.close();
  }

  async #finish(): Promise<void> {
    await this.flush();
    await this.#options.port.call('close', undefined).catch((thrown: unknown) => {
      this.#options.logger.warn({ error: thrown }, 'file-records-not-written');
    });
  }

  /** Reads the names of all records, some at a time. Until that is done once, any file may have one. Never fails. */
  async #learnNames(): Promise<void> {
    if (this.#names.isBegun) return;
    this.#names.begin();
    try {
      let after: number | undefined = 0;
      while (after !== undefined) {
        this.#stop.signal.throwIfAborted();
        const { ids, last }: StoredIds = await this.#options.port.call('ids', after);
        this.#names.addIds(ids);
        after = last;
      }
      this.#names.complete();
    } catch {
      // Whoever looks for a record hears of what is wrong with the database.
      this.#names.giveUp();
    }
  }

  #change(change: RecordChange): void {
    this.#changes.push(change);
    if (this.#changes.length >= batchChanges) void this.flush();
    else this.#flushing ??= this.#flushLater();
  }

  async #flushLater(): Promise<void> {
    await this.#pause(flushPauseMs);
    this.#flushing = undefined;
    if (!this.#stop.signal.aborted) void this.flush();
  }

  async #read<Name extends RecordCallName>(
    name: Name,
    argument: Parameters<RecordCalls[Name]>[0],
  ): Promise<ReturnType<RecordCalls[Name]> | undefined> {
    if (this.#isFaulty || this.#isSilent || this.#readCount >= readsMax) return undefined;
    void this.flush();
    const answer = this.#answer(name, argument);
    const inTime = await resolvesWithin(this.#options.clock, readDeadlineMs, answer);
    if (!inTime) this.#isSilent = true;
    return inTime ? answer : undefined;
  }

  async #answer<Name extends RecordCallName>(
    name: Name,
    argument: Parameters<RecordCalls[Name]>[0],
  ): Promise<ReturnType<RecordCalls[Name]> | undefined> {
    this.#readCount++;
    try {
      const answer = await this.#options.port.call(name, argument);
      return this.#isFaulty ? undefined : answer;
    } catch (thrown) {
      this.#distrust(thrown);
      return undefined;
    } finally {
      this.#readCount--;
      this.#isSilent = false;
    }
  }

  /** After a failure the database is emptied, for as long as it takes. */
  #distrust(thrown: unknown): void {
    if (this.#isFaulty || this.#stop.signal.aborted) return;
    this.#options.logger.warn({ error: thrown }, 'file-records-begun-anew');
    this.#isFaulty = true;
    this.#changes = [];
    void this.#beginAnew();
  }

  async #beginAnew(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#options.port.call('beginAnew', undefined);
        this.#isFaulty = false;
        return;
      } catch (thrown) {
        this.#options.logger.warn({ error: thrown }, 'file-records-not-written');
        await this.#pause(beginAnewPauseMs);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, { signal: this.#stop.signal }).catch(() => undefined);
  }
}

function recordOf({ checkedAtMs, status, ufsPath }: RecordRow): StoredRecord | undefined {
  const parsed = statusSchema.safeParse(parseJson(status));
  if (!parsed.success) return undefined;
  const { etag, version, ...rest } = parsed.data;
  return { ufsPath, status: { ...rest, version, etag, isPartial: false } as FileStatus, checkedAtMs };
}
