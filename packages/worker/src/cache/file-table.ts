/**
 * The small map path → version, the only thing here with a rule of freshness: a record is trusted for the age that its rule says and then asked for
 * again on its next use. When the under storage cannot answer, a record goes on being used as stale for `staleIfErrorMaxMs` after it was last
 * confirmed. A file that is not there, or no longer, or may not be read, is never served from a record.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Outcome } from '@alluxio-ts/common/outcome';
import type { FileKey } from '@alluxio-ts/common/page';
import { fileKeyOf } from '@alluxio-ts/common/page';
import { SingleFlight } from '@alluxio-ts/common/single-flight';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { LRUCache } from 'lru-cache';
import type { FileRecordStore } from '../file-records/file-record-store.ts';
import type { CacheRules } from './cache-rules.ts';
import type { FileName, ServedMount } from './mount-table.ts';
import { fileNameOf } from './mount-table.ts';

export interface FileRecord {
  readonly status: FileStatus;
  /** Names the pages of this version; undefined when the file has no version, so that nothing of it may be kept. */
  readonly fileKey: FileKey | undefined;
  /** On the monotonic clock: when the under storage last confirmed this version. */
  readonly checkedAtMs: number;
}

export interface FoundFile {
  readonly record: FileRecord;
  /** The record is older than its age and the under storage could not confirm it. */
  readonly isStale: boolean;
  /** The under storage was asked for this lookup. */
  readonly wasChecked: boolean;
  /** Why nothing of it is to be kept here, or taken from what is kept; undefined when it may be. */
  readonly bypass?: BypassOutcome;
}

/** Outcomes of reads that go past the cache. */
export type BypassOutcome = Extract<Outcome, `bypass-${string}`>;

export interface FileTableOptions {
  readonly clock: Clock;
  readonly pageSizeBytes: number;
  readonly rules: CacheRules;
  readonly staleIfErrorMaxMs: number;
  /** How long "there is no such file" is remembered. */
  readonly negativeAgeMs: number;
  /** Records in memory; the store behind has its own bound. */
  readonly recordsMax: number;
  readonly records: FileRecordStore;
  /** Told of a version whose record memory no longer holds: another one took its place, it was forgotten, or there was no room. */
  readonly onForgotten?: (fileKey: FileKey) => void;
}

export const fileTableDefaults = { negativeAgeMs: 1000, recordsMax: 200_000 } as const;

/** How long a re-check may take when there is a record that can stand in. */
const recheckDeadlineMs = 5000;

/** After a failed check, records of the same mount stand in for so long before the under storage is asked again. */
const failedPauseMs = 1000;

/** A record, or since when the file is known to be absent. */
type Known = FileRecord | { readonly absentSinceMs: number };

export class FileTable {
  readonly #options: FileTableOptions;
  readonly #known: LRUCache<string, Known>;
  readonly #failedAtMs = new WeakMap<ServedMount, number>();
  #distrustedAtMs = Number.NEGATIVE_INFINITY;
  readonly #passing = new SingleFlight<string, FileStatus | undefined>();
  readonly #checks = new SingleFlight<string, FileRecord | undefined>();

  constructor(options: FileTableOptions) {
    this.#options = options;
    this.#known = new LRUCache({
      max: options.recordsMax,
      dispose: (known, _, reason) => {
        // A newer record of the same version changes nothing; `#know` tells of one of another.
        if (reason !== 'set') this.#tellForgotten(known);
      },
    });
  }

  get recordCount(): number {
    return this.#known.size;
  }

  /**
   * The file's record, asked for when it is unknown, too old or `mustCheck`; undefined when there is no such file. Fails with the under
   * storage's failure when there is no record that may stand in for the answer.
   */
  async lookup(
    file: FileName,
    options: { readonly mustCheck?: boolean } = {},
  ): Promise<FoundFile | undefined> {
    const known = this.#known.get(file.ufsPath) ?? this.recall(file);
    const now = this.#options.clock.monotonic();
    if (known && !options.mustCheck) {
      if ('absentSinceMs' in known) {
        if (now - known.absentSinceMs < this.#options.negativeAgeMs) return undefined;
      } else if (this.#isFresh(known, now - known.checkedAtMs, file)) {
        return { record: known, isStale: false, wasChecked: false };
      }
    }
    const standIn = options.mustCheck ? undefined : this.#standInFor(file);
    if (standIn && now - (this.#failedAtMs.get(file.mount) ?? -Infinity) < failedPauseMs) {
      return { record: standIn, isStale: true, wasChecked: false };
    }
    const check = this.#checks.run(file.ufsPath, () => this.#check(file));
    try {
      const record = await (standIn ? this.#withDeadline(check, file) : check);
      return record && { record, isStale: false, wasChecked: true };
    } catch (thrown) {
      if (!mayStandIn(thrown)) throw thrown;
      this.#failedAtMs.set(file.mount, this.#options.clock.monotonic());
      if (standIn) return { record: standIn, isStale: true, wasChecked: true };
      throw thrown;
    }
  }

  /**
   * The file as the under storage has it now, for a reader that is not its owner: nothing is remembered, and whoever asks meanwhile gets the same
   * answer.
   */
  async lookupPast(file: FileName, bypass: BypassOutcome): Promise<FoundFile | undefined> {
    const status = await this.#passing.run(file.ufsPath, () => file.mount.ufs.stat(file.key));
    if (!status) return undefined;
    const record = { status, fileKey: undefined, checkedAtMs: this.#options.clock.monotonic() };
    return { record, isStale: false, wasChecked: true, bypass };
  }

  /**
   * Has every record asked for again at its next use, but those that are never asked for: the files of this worker may have been another's in between, which
   * saw newer versions. Until then they stand in as stale where the under storage is silent.
   */
  distrust(): void {
    this.#distrustedAtMs = this.#options.clock.monotonic();
  }

  #isFresh(record: FileRecord, ageMs: number, file: FileName): boolean {
    const maxAgeMs = this.#maxAgeOf(file);
    if (maxAgeMs === Number.POSITIVE_INFINITY) return true;
    return ageMs < maxAgeMs && record.checkedAtMs > this.#distrustedAtMs;
  }

  /** The record as it is known now, without asking anyone. */
  peek(ufsPath: string): FileRecord | undefined {
    const known = this.#known.peek(ufsPath);
    return known && 'status' in known ? known : undefined;
  }

  /** On the monotonic clock: until when a lookup would give this very record without asking anyone; undefined when it would give another, or ask. */
  freshUntilMs(file: FileName, record: FileRecord): number | undefined {
    const untilMs = record.checkedAtMs + this.#maxAgeOf(file);
    const isFresh = this.peek(file.ufsPath) === record && this.#options.clock.monotonic() < untilMs;
    return isFresh ? untilMs : undefined;
  }

  /** The path of a file that was looked up here, by its id on the wire; undefined for one that was not. */
  pathOfId(fileId: string): string | undefined {
    return this.#options.records.pathOfId(fileId);
  }

  forget(ufsPath: string): void {
    this.#known.delete(ufsPath);
    this.#options.records.remove(ufsPath);
  }

  /** Every file that is known below a mount and whose key begins so, in no order. What memory alone knows is in the store too. */
  *below(mount: ServedMount, keyPrefix: string): Generator<FileRecord> {
    for (const stored of this.#options.records.below(fileNameOf(mount, keyPrefix).ufsPath)) {
      const file = fileNameOf(mount, stored.status.key);
      yield { status: stored.status, fileKey: this.fileKeyOf(file, stored.status), checkedAtMs: 0 };
    }
  }

  /** Forgets every file whose UFS path begins so; for `cache free` and for a mount that went. Gives how many. */
  forgetBelow(ufsPathPrefix: string): number {
    let count = 0;
    for (const ufsPath of this.#known.keys()) {
      if (!ufsPath.startsWith(ufsPathPrefix)) continue;
      this.#known.delete(ufsPath);
      count++;
    }
    this.#options.records.removeBelow(ufsPathPrefix);
    return count;
  }

  /** Forgets every file; gives how many were known. */
  forgetAll(): number {
    const count = this.#options.records.recordCount;
    this.#known.clear();
    this.#options.records.removeBelow('');
    return count;
  }

  /** What names the pages of this version of the file; undefined when nothing of it may be kept. */
  fileKeyOf(file: FileName, status: Pick<FileStatus, 'version'>): FileKey | undefined {
    if (status.version === undefined || file.mount.ufs.capability.pin === 'none') return undefined;
    return fileKeyOf({
      ufsPath: file.ufsPath,
      version: status.version,
      pageSizeBytes: this.#options.pageSizeBytes,
    });
  }

  async #check(file: FileName): Promise<FileRecord | undefined> {
    // The age counts from before the question: the answer may be as old as that.
    const askedAtMs = this.#options.clock.monotonic();
    let status: FileStatus | undefined;
    try {
      status = await file.mount.ufs.stat(file.key);
    } catch (thrown) {
      if (hasErrorCode(thrown, 'UfsAccessDenied', 'AccessDenied')) this.forget(file.ufsPath);
      throw thrown;
    }
    if (!status) {
      this.forget(file.ufsPath);
      this.#know(file.ufsPath, { absentSinceMs: askedAtMs });
      return undefined;
    }
    const record = { status, fileKey: this.fileKeyOf(file, status), checkedAtMs: askedAtMs };
    this.#know(file.ufsPath, record);
    this.#remember(file, record);
    return record;
  }

  #know(ufsPath: string, known: Known): void {
    const before = this.#known.peek(ufsPath);
    this.#known.set(ufsPath, known);
    if (before && !isSameVersion(before, known)) this.#tellForgotten(before);
  }

  #tellForgotten(known: Known): void {
    if ('status' in known && known.fileKey) this.#options.onForgotten?.(known.fileKey);
  }

  #remember(file: FileName, record: FileRecord): void {
    const { clock, records } = this.#options;
    const ageMs = clock.monotonic() - record.checkedAtMs;
    records.put({ ufsPath: file.ufsPath, status: record.status, checkedAtMs: clock.now() - ageMs });
  }

  /** A record of an earlier run, or one that memory had no room for. Where the wall clock went back since, its age is unknown and it is asked for again. */
  recall(file: FileName): FileRecord | undefined {
    const { clock, records } = this.#options;
    const stored = records.get(file.ufsPath);
    if (!stored) return undefined;
    const ageMs = clock.now() - stored.checkedAtMs;
    const maxAgeMs = this.#maxAgeOf(file);
    const isAgeKnown = ageMs >= 0 || maxAgeMs === Number.POSITIVE_INFINITY;
    const checkedAtMs = clock.monotonic() - (isAgeKnown ? Math.max(0, ageMs) : maxAgeMs);
    const record = { status: stored.status, fileKey: this.fileKeyOf(file, stored.status), checkedAtMs };
    this.#know(file.ufsPath, record);
    return record;
  }

  #maxAgeOf(file: FileName): number {
    return this.#options.rules.ruleOf(file.ufsPath).maxAgeMs;
  }

  /** The record that may be served when the under storage cannot say what it has. */
  #standInFor(file: FileName): FileRecord | undefined {
    const record = this.peek(file.ufsPath);
    if (!record) return undefined;
    const ageMs = this.#options.clock.monotonic() - record.checkedAtMs;
    return ageMs < this.#maxAgeOf(file) + this.#options.staleIfErrorMaxMs ? record : undefined;
  }

  /** With a record at hand nobody waits out a silent under storage; its answer still counts when it comes. */
  async #withDeadline<T>(check: Promise<T>, file: FileName): Promise<T> {
    const over = new AbortController();
    const deadline = this.#options.clock.sleep(recheckDeadlineMs, { signal: over.signal }).then(
      () => {
        throw new AlluxioError(
          'UfsTimeout',
          `${file.ufsPath} was not confirmed within ${recheckDeadlineMs} ms`,
        );
      },
      // Only the check's own result settles the race then.
      () => check,
    );
    try {
      return await Promise.race([check, deadline]);
    } finally {
      over.abort();
      deadline.catch(() => undefined);
    }
  }
}

function isSameVersion(one: Known, other: Known): boolean {
  if (!('status' in one && 'status' in other && one.fileKey && other.fileKey)) return false;
  const { a, b, c } = one.fileKey;
  return other.fileKey.a === a && other.fileKey.b === b && other.fileKey.c === c;
}

function mayStandIn(thrown: unknown): boolean {
  return hasErrorCode(thrown, 'UfsUnavailable', 'UfsTimeout', 'UfsBadResponse', 'Overloaded', 'UfsThrottled');
}

/** What to say about a file that is not there. */
export function fileNotFound(file: FileName): AlluxioError {
  return new AlluxioError('FileNotFound', `no such file: ${file.ufsPath}`);
}
