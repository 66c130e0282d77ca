/**
 * Loads files ahead of their readers. What is here already is not fetched again; what somebody else is fetching is waited for. A file whose version a
 * listing told costs one request a page and none beside: what else is known of it comes with its bytes.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import type { FileKey } from '@alluxio-ts/common/page';
import type { LoadBatch, LoadBatchResult, LoadFile } from '@alluxio-ts/common/protocol/load-batch';
import type { DelayWatch } from '@alluxio-ts/transport/delay-watch';
import type { FileCache } from '../cache/file-cache.ts';
import { fileNotFound } from '../cache/file-table.ts';
import { isSameFileKey } from '../file-records/file-record.ts';
import type { CacheRules } from '../cache/cache-rules.ts';
import type { FileName, MountTable } from '../cache/mount-table.ts';
import type { PageFiller } from '../cache/page-filler.ts';
import type { PageStore } from '../page-store/page-store.ts';
import { FairPermits } from './fair-permits.ts';
import { type ListedVersion, PageLoad, type PageLoadOptions, permitFor } from './page-load.ts';
import { Pace } from './pace.ts';
import { ReadersFirst } from './readers-first.ts';
import type { SeenReads } from './seen-reads.ts';

export interface FileLoaderOptions {
  readonly cache: FileCache;
  readonly store: PageStore;
  readonly filler: PageFiller;
  readonly mounts: MountTable;
  readonly rules: CacheRules;
  /** Whether this worker is to cache the file. */
  readonly owns: (ufsPath: string) => boolean;
  readonly pageSizeBytes: number;
  /** Pages and questions to storages that all jobs together may have under way; fewer while readers would have to wait for them. */
  readonly concurrencyMax: number;
  readonly reads: Pick<SeenReads, 'lastMs' | 'medianBucket'>;
  /** Begins to count how late readers are served. */
  readonly watchDelays: () => DelayWatch;
  readonly clock: Clock;
  /** Told of bytes that a job had fetched from an under storage. */
  readonly onLoaded: (bytes: number) => void;
}

/** A pace is forgotten when its job has not been heard of for so long. */
const paceIdleMs = 60_000;

/** After so many files that needed nothing, others have a turn. */
const turnFiles = 100;

export class FileLoader {
  readonly #options: FileLoaderOptions;
  readonly #permits: FairPermits;
  readonly #paces = new Map<string, { readonly pace: Pace; usedAtMs: number }>();

  readonly #readersFirst: ReadersFirst;

  constructor(options: FileLoaderOptions) {
    this.#options = options;
    this.#permits = new FairPermits({ permitsMax: options.concurrencyMax });
    this.#readersFirst = new ReadersFirst({ ...options, permits: this.#permits });
  }

  /** Pages and questions under way. */
  get runningCount(): number {
    return this.#readersFirst.runningCount;
  }

  /** Pages at a time that jobs may have under way; below one, the share of the time in which they may have one. */
  get level(): number {
    return this.#readersFirst.level;
  }

  /** Begins nothing after the batch's deadline, or when the signal is aborted; then it rejects with the signal's reason. What is under way is kept. */
  async load(batch: LoadBatch, { signal }: { readonly signal: AbortSignal }): Promise<LoadBatchResult> {
    const { clock, concurrencyMax } = this.#options;
    const run = new BatchRun(batch, {
      ...this.#options,
      permits: this.#permits,
      pace: this.#paceOf(batch.jobId),
      seenAtMs: clock.monotonic() - batch.listedAgeMs,
      deadlineMs: clock.monotonic() + batch.deadlineMs,
      readersFirst: this.#readersFirst,
      signal,
    });
    let next = 0;
    let turnEnd = 0;
    const work = async (): Promise<void> => {
      for (let from = next; from < batch.files.length; from = next) {
        next = run.endOfGroup(from);
        await run.files(from, next);
        if (from < turnEnd) continue;
        turnEnd = from + turnFiles;
        await nextTurn();
      }
    };
    const letGo = this.#readersFirst.begin();
    try {
      await Promise.all(Array.from({ length: Math.min(concurrencyMax, batch.files.length) }, work));
    } finally {
      letGo();
    }
    signal.throwIfAborted();
    run.result.givesWay = this.#readersFirst.givesWay;
    return run.result;
  }

  #paceOf(jobId: string): Pace {
    const now = this.#options.clock.monotonic();
    for (const [id, { usedAtMs }] of this.#paces) if (now - usedAtMs > paceIdleMs) this.#paces.delete(id);
    const known = this.#paces.get(jobId) ?? { pace: new Pace(this.#options.clock), usedAtMs: now };
    known.usedAtMs = now;
    this.#paces.set(jobId, known);
    return known.pace;
  }
}

interface BatchRunOptions extends FileLoaderOptions, Omit<PageLoadOptions, 'batch' | 'isVerifying'> {
  readonly seenAtMs: number;
}

class BatchRun {
  readonly #batch: LoadBatch;
  readonly #options: BatchRunOptions;
  /** Which version of a file, by its place in the batch, was read back already, all of it and with all of it good. */
  readonly #verified = new Map<number, FileKey>();
  readonly result: LoadBatchResult = {
    doneFiles: 0,
    loadedBytes: 0,
    heldBytes: 0,
    learnedBytes: 0,
    givesWay: false,
    unfinished: [],
    strayed: [],
    failed: [],
  };

  constructor(batch: LoadBatch, options: BatchRunOptions) {
    this.#batch = batch;
    this.#options = options;
  }

  /** Where the files end that are dealt with together with this one: small ones, where pages are read back. */
  endOfGroup(from: number): number {
    const { files, mode } = this.#batch;
    const sizeOf = (index: number): number => files[index]?.sizeBytes ?? Number.POSITIVE_INFINITY;
    let end = from + 1;
    if (mode !== 'verify') return end;
    let bytes = sizeOf(from);
    while (end < files.length && bytes + sizeOf(end) <= this.#options.pageSizeBytes) bytes += sizeOf(end++);
    return end;
  }

  /** Never rejects: what fails is in the result. */
  async files(from: number, end: number): Promise<void> {
    // Whatever it fails with, each file by itself will meet it again.
    if (end > from + 1) await this.#verifyTogether(from, end).catch(() => undefined);
    for (let index = from; index < end; index++) await this.#file(index);
  }

  /** Reads small files back, of which each has one page: one by one each would cost more than the reading. */
  async #verifyTogether(from: number, end: number): Promise<void> {
    const { mounts, pageSizeBytes, readersFirst, store } = this.#options;
    const found: { readonly index: number; readonly fileKey: FileKey }[] = [];
    let bytes = 0;
    for (const [offset, asked] of this.#batch.files.slice(from, end).entries()) {
      const file = mounts.findByUfsPath(asked.ufsPath);
      const seen = file && this.#knownVersionOf(file, asked);
      const fileKey = seen && this.#fileKeyOf(file, seen);
      if (!fileKey || seen.sizeBytes === 0 || seen.sizeBytes > pageSizeBytes) continue;
      found.push({ index: from + offset, fileKey });
      bytes += seen.sizeBytes;
    }
    const release = await permitFor({ ...this.#options, batch: this.#batch }, bytes);
    if (!release) return;
    const pages = found.map(({ fileKey }) => ({ file: fileKey, index: 0 }));
    const areGood = await readersFirst.spend(release, () => store.verify(pages), this.#options);
    for (const [at, { fileKey, index }] of found.entries()) {
      if (areGood[at]) this.#verified.set(index, fileKey);
    }
  }

  async #file(index: number): Promise<void> {
    const asked = this.#batch.files[index];
    if (!asked) return;
    const { clock, deadlineMs, signal } = this.#options;
    if (signal.aborted || clock.monotonic() >= deadlineMs) {
      this.result.unfinished.push({ index, fromPage: asked.fromPage });
      return;
    }
    const pages = new PageLoad(asked.fromPage);
    try {
      await this.#load(index, asked, pages);
    } catch (thrown) {
      const { code, message, retry } = toAlluxioError(thrown);
      const mayPass = retry !== 'never' || hasErrorCode(thrown, ...passingCodes);
      this.result.failed.push({ index, fromPage: pages.doneEnd, code, message, mayPass });
    }
    this.result.loadedBytes += pages.loadedBytes;
    this.result.heldBytes += pages.heldBytes;
  }

  async #load(index: number, asked: LoadFile, pages: PageLoad): Promise<void> {
    const { mounts, owns, rules } = this.#options;
    const file = mounts.findByUfsPath(asked.ufsPath);
    if (!file || file.key === '') {
      throw new AlluxioError('MountNotFound', `no mount of this worker holds ${asked.ufsPath}`);
    }
    if (!owns(file.ufsPath)) {
      this.result.strayed.push(index);
      return;
    }
    // Readers would not find it either.
    if (!rules.ruleOf(file.ufsPath).isKept) {
      this.result.doneFiles++;
      return;
    }
    try {
      await this.#loadVersion(index, { file, pages }, await this.#versionOf(file, asked));
    } catch (thrown) {
      if (!hasErrorCode(thrown, 'VersionChanged', 'FileNotFound')) throw thrown;
      // Overwritten since it was listed: then the new version is what is wanted.
      pages.begin(0);
      await this.#loadVersion(index, { file, pages }, await this.#lookUp(file));
    }
  }

  /** As the listing has it, unless something newer is known. */
  async #versionOf(file: FileName, asked: LoadFile): Promise<ListedVersion> {
    const known = this.#knownVersionOf(file, asked);
    if (known) return known;
    const found = await this.#lookUp(file);
    if (asked.fromPage === 0 && asked.sizeBytes === undefined) this.result.learnedBytes += found.sizeBytes;
    return found;
  }

  /** Undefined where the storage has to be asked. */
  #knownVersionOf(file: FileName, { sizeBytes, version }: LoadFile): ListedVersion | undefined {
    const { cache, seenAtMs } = this.#options;
    if (version === undefined || sizeBytes === undefined) return undefined;
    const known = cache.files.peek(file);
    if (!known) return { version, sizeBytes, isListed: true };
    const { fileKey, status } = known;
    if (status.version === version) return { version, sizeBytes, fileKey, isListed: true };
    if (known.checkedAtMs <= seenAtMs) return { version, sizeBytes, isListed: true };
    return { version: status.version, sizeBytes: status.sizeBytes, fileKey, isListed: false };
  }

  /** Undefined when nothing of it may be kept. */
  #fileKeyOf(file: FileName, seen: ListedVersion): FileKey | undefined {
    return seen.fileKey ?? this.#options.cache.files.fileKeyOf(file, seen);
  }

  async #lookUp(file: FileName): Promise<ListedVersion> {
    const found = await this.#withPermit(() => this.#options.cache.lookup(file, { mustCheck: true }));
    if (!found) throw fileNotFound(file);
    const { version, sizeBytes } = found.record.status;
    return { version, sizeBytes, isListed: false };
  }

  async #loadVersion(
    index: number,
    { file, pages }: { readonly file: FileName; readonly pages: PageLoad },
    seen: ListedVersion,
  ): Promise<void> {
    const { cache, seenAtMs } = this.#options;
    const { mode } = this.#batch;
    const fileKey = this.#fileKeyOf(file, seen);
    if (!fileKey) {
      throw new AlluxioError(
        'UfsUnsupported',
        `${file.ufsPath}: the under storage tells no version of it, so that nothing of it can be cached`,
      );
    }
    if (mode === 'look') {
      pages.heldBytes += cache.cachedBytesOf(file, seen);
      this.result.doneFiles++;
      return;
    }
    if (mode !== 'metadata') {
      const isVerifying = mode === 'verify' && !isSameFileKey(this.#verified.get(index), fileKey);
      const options = { ...this.#options, batch: this.#batch, isVerifying };
      const isWhole = await pages.run({ file, fileKey, seen }, options);
      if (!isWhole) {
        this.result.unfinished.push({ index, fromPage: pages.doneEnd });
        return;
      }
    }
    // What came with the bytes is newer than the listing.
    if (pages.learned !== undefined && pages.learned.version === seen.version) {
      cache.files.learn(file, pages.learned, pages.learnedAtMs);
    } else if (seen.isListed && !(await cache.files.confirm(file, seen, seenAtMs))) {
      const found = await this.#lookUp(file);
      if (found.version !== seen.version && mode !== 'metadata') {
        // Overwritten since it was listed, and all of what was listed was here.
        pages.begin(0);
        await this.#loadVersion(index, { file, pages }, found);
        return;
      }
    }
    // The record came after the pages.
    if (mode !== 'metadata') cache.files.kept(file, fileKey, seen);
    this.result.doneFiles++;
  }

  async #withPermit<T>(call: () => Promise<T>): Promise<T> {
    const { permits, readersFirst } = this.#options;
    const release = await permits.acquire(this.#batch.jobId, this.#options);
    return readersFirst.spend(release, call, this.#options);
  }
}

/** Not worth repeating for a reader who waits, but for a job that can come back later. */
const passingCodes = [
  'UfsThrottled',
  'UfsTimeout',
  'UfsUnavailable',
  'UfsBadResponse',
  'Overloaded',
  'PageStoreUnavailable',
  'VersionChanged',
  'MountNotFound',
] as const;
