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
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { SingleFlight } from '@alluxio-ts/common/single-flight';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { LRUCache } from 'lru-cache';
import { FileIndex, type ScopedPath } from '../file-records/file-index.ts';
import { type FileRecord, isSameFileKey } from '../file-records/file-record.ts';
import type { FileRecordStore } from '../file-records/file-record-store.ts';
import type { CacheRules } from './cache-rules.ts';
import type { FileName, ServedMount } from './mount-table.ts';
import { fileNameOf } from './mount-table.ts';

/** A file that the store knows, whether or not its record is still believed. */
export interface KnownFile {
  readonly file: FileName;
  readonly status: FileStatus;
  readonly fileKey: FileKey | undefined;
}

export interface FoundFile {
  readonly record: FileRecord;
  /** The record is older than its age and the under storage could not confirm it. */
  readonly isStale: boolean;
  /** The under storage was asked for this lookup. */
  readonly wasChecked: boolean;
  /** Why nothing of it is to be kept here, or taken from what is kept; undefined when it may be. */
  readonly bypass?: BypassOutcome;
  /** The page that this lookup itself began to fetch. */
  readonly begunPage?: number | undefined;
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
  /** Files in memory, some 90 bytes each; the store behind has its own bound. */
  readonly filesMax: number;
  /** Of those, so many with user metadata or long headers, each of which takes an object. */
  readonly oddFilesMax: number;
  /** Files that are known to be absent. */
  readonly absentMax: number;
  readonly records: FileRecordStore;
  /** Told of a version whose record memory no longer holds: another one took its place, it was forgotten, or there was no room. `all`: none of them. */
  readonly onForgotten?: (version: FileKey | 'all') => void;
}

export const fileTableDefaults = {
  negativeAgeMs: 1000,
  filesMax: 10_000_000,
  oddFilesMax: 50_000,
  absentMax: 10_000,
} as const;

/** How long a re-check may take when there is a record that can stand in. */
const recheckDeadlineMs = 5000;

const failedLatelyMs = 30_000;

/** In this last part of a record's age its use has it asked for again: so much more often is the storage asked for a file that is read all the time. */
const renewedShare = 1 / 6;
/** Of those that nobody waits for, at once; a record that gets none runs out. */
const renewalsMax = 32;

/** A confirmation that makes a record younger by less is not worth a write. */
const storedGainMinMs = 10_000;

/** After a failed check, records of the same mount stand in for so long before the under storage is asked again. */
const failedPauseMs = 1000;

export class FileTable {
  readonly #options: FileTableOptions;
  readonly #known: FileIndex;
  /** Since when a file is known to be absent, by its UFS path. */
  readonly #absent: LRUCache<string, number>;
  /** Two mounts of one storage know nothing of each other's files: their credentials differ. */
  readonly #scopes = new WeakMap<ServedMount, number>();
  #scopeNext = 1;
  readonly #failedAtMs = new WeakMap<ServedMount, number>();
  #distrustedAtMs = Number.NEGATIVE_INFINITY;
  /** How often a whole mount was forgotten, or all: what was read from the store before that is not believed. */
  #forgetCount = 0;
  #renewalCount = 0;
  /** Files that were forgotten while they were recalled. */
  readonly #forgottenInRecall = new Set<string>();
  readonly #passing = new SingleFlight<string, FileStatus | undefined>();
  readonly #recalls = new SingleFlight<string, FileRecord | undefined>();
  readonly #checks = new SingleFlight<string, FileRecord | undefined>();

  constructor(options: FileTableOptions) {
    this.#options = options;
    const { absentMax, filesMax, oddFilesMax, onForgotten } = options;
    this.#known = new FileIndex({ filesMax, oddFilesMax, onDropped: onForgotten });
    this.#absent = new LRUCache({ max: absentMax });
  }

  /**
   * The file's record, asked for when it is unknown, too old or `mustCheck`; undefined when there is no such file. Fails with the under
   * storage's failure when there is no record that may stand in for the answer.
   */
  async lookup(
    file: FileName,
    options: {
      readonly mustCheck?: boolean;
      readonly renewAheadMs?: number | undefined;
      /** Asks the under storage in the caller's own way, where nothing at all is known of the file; by its status unless given. */
      readonly ask?: (() => Promise<FileStatus | undefined>) | undefined;
    } = {},
  ): Promise<FoundFile | undefined> {
    if (!options.mustCheck) {
      if (this.#isAbsent(file)) return undefined;
      const known = this.peek(file) ?? (await this.recall(file));
      const ageMs = this.#options.clock.monotonic() - (known?.checkedAtMs ?? 0);
      if (known && this.#isFresh(known, ageMs, file)) {
        const maxAgeMs = this.#maxAgeOf(file);
        const aheadMs = Math.min(options.renewAheadMs ?? maxAgeMs * renewedShare, maxAgeMs / 2);
        if (!this.#isFresh(known, ageMs + aheadMs, file)) {
          if (options.renewAheadMs !== undefined) return this.#renew(file);
          this.#renewBeside(file);
        }
        return { record: known, isStale: false, wasChecked: false };
      }
    }
    const standIn = options.mustCheck ? undefined : this.#standInFor(file);
    if (standIn && this.#hasFailedWithin(failedPauseMs, file.mount)) {
      return { record: standIn, isStale: true, wasChecked: false };
    }
    const ask = options.mustCheck || this.peek(file) ? undefined : options.ask;
    const check = this.#checkOnce(file, ask);
    try {
      const record = await (standIn ? this.#withDeadline(check, file) : check);
      return record && { record, isStale: false, wasChecked: true };
    } catch (thrown) {
      if (!this.#hasFailed(file, thrown)) throw thrown;
      if (standIn) return { record: standIn, isStale: true, wasChecked: true };
      throw thrown;
    }
  }

  /** Asks for a file whose record still stands, while its reader goes on: so nobody waits for the check of a file that is read often. */
  #renewBeside(file: FileName): void {
    const isAsked = this.#checks.isRunning(file.ufsPath);
    if (isAsked || this.#renewalCount >= renewalsMax || this.#hasFailedWithin(failedPauseMs, file.mount))
      return;
    this.#renewalCount++;
    this.#checkOnce(file)
      // Whatever it is, the reader whose record has run out will hear of it.
      .catch((thrown: unknown) => this.#hasFailed(file, thrown))
      .finally(() => this.#renewalCount--);
  }

  /** Asks for a file whose record still stands: where the under storage does not answer, it is as if nobody had asked. */
  async #renew(file: FileName): Promise<FoundFile | undefined> {
    try {
      const record = await this.#withDeadline(this.#checkOnce(file), file);
      return record && { record, isStale: false, wasChecked: true };
    } catch (thrown) {
      if (!this.#hasFailed(file, thrown)) throw thrown;
      return this.lookup(file);
    }
  }

  /** One question at a time a file. */
  #checkOnce(file: FileName, ask?: () => Promise<FileStatus | undefined>): Promise<FileRecord | undefined> {
    return this.#checks.run(file.ufsPath, () => this.#check(file, ask));
  }

  /**
   * The file as the under storage has it now, for a reader that is not its owner: nothing is remembered, and whoever asks meanwhile gets the same
   * answer.
   */
  async lookupPast(file: FileName, bypass: BypassOutcome): Promise<FoundFile | undefined> {
    const status = await this.#passing.run(file.ufsPath, () => this.#askPast(file));
    if (!status) return undefined;
    const record = {
      status,
      fileKey: this.fileKeyOf(file, status),
      checkedAtMs: this.#options.clock.monotonic(),
    };
    return { record, isStale: false, wasChecked: true, bypass };
  }

  async #askPast(file: FileName): Promise<FileStatus | undefined> {
    try {
      return await file.mount.ufs.stat(file.key);
    } catch (thrown) {
      this.#hasFailed(file, thrown);
      throw thrown;
    }
  }

  /**
   * The under storage has shown this version of the file at that time of the monotonic clock, in a listing. False when it is not the version that is
   * known, so that it must be looked up.
   */
  async confirm(file: FileName, seen: Pick<FileStatus, 'version'>, seenAtMs: number): Promise<boolean> {
    let known = this.peek(file);
    if (!known) {
      await this.recall(file);
      known = this.peek(file);
    }
    if (known?.status.version === undefined || known.status.version !== seen.version) return false;
    const gainedMs = seenAtMs - known.checkedAtMs;
    if (gainedMs > 0) {
      this.#absent.delete(file.ufsPath);
      this.#known.confirmed(this.#scoped(file), seenAtMs);
      // What is not written costs a question by so much earlier, after a start that reads the record back.
      if (gainedMs >= storedGainMinMs) this.#remember(file, { ...known, checkedAtMs: seenAtMs });
    }
    return true;
  }

  /** All of what the under storage says of a file, as of an answer that was asked for at that time of the monotonic clock. */
  learn(file: FileName, status: FileStatus, askedAtMs: number): void {
    const known = this.peek(file);
    if (known && known.checkedAtMs > askedAtMs) return;
    const record = { status, fileKey: this.fileKeyOf(file, status), checkedAtMs: askedAtMs };
    this.#know(file, record);
    this.#remember(file, record);
  }

  #know(file: FileName, record: FileRecord): void {
    this.#absent.delete(file.ufsPath);
    this.#known.set(this.#scoped(file), record);
  }

  /** Whether the mount's storage has failed a question of this worker in the last half minute. */
  hasFailedLately(mount: ServedMount): boolean {
    return this.#hasFailedWithin(failedLatelyMs, mount);
  }

  /** Whether it was the storage that failed, in a way that a record may stand in for; remembers it. */
  #hasFailed({ mount }: FileName, thrown: unknown): boolean {
    if (!mayStandIn(thrown)) return false;
    this.#failedAtMs.set(mount, this.#options.clock.monotonic());
    return true;
  }

  #hasFailedWithin(ms: number, mount: ServedMount): boolean {
    const failedAtMs = this.#failedAtMs.get(mount) ?? Number.NEGATIVE_INFINITY;
    return this.#options.clock.monotonic() - failedAtMs < ms;
  }

  /**
   * Has every record asked for again at its next use, but those that are never asked for: the files of this worker may have been another's in between, which
   * saw newer versions. Until then they stand in as stale where the under storage is silent.
   */
  distrust(): void {
    this.#distrustedAtMs = this.#options.clock.monotonic();
  }

  #isAbsent(file: FileName): boolean {
    const sinceMs = this.#absent.get(file.ufsPath);
    return sinceMs !== undefined && this.#options.clock.monotonic() - sinceMs < this.#options.negativeAgeMs;
  }

  #isFresh(record: FileRecord, ageMs: number, file: FileName): boolean {
    const maxAgeMs = this.#maxAgeOf(file);
    if (maxAgeMs === Number.POSITIVE_INFINITY) return true;
    return ageMs < maxAgeMs && record.checkedAtMs > this.#distrustedAtMs;
  }

  /** The record as memory has it, without asking anyone. */
  peek(file: FileName): FileRecord | undefined {
    return this.#known.get(this.#scoped(file));
  }

  /** On the monotonic clock: until when a lookup would give this very version without asking anyone; undefined when it would give another, or ask. */
  freshUntilMs(file: FileName, record: FileRecord): number | undefined {
    const known = this.peek(file);
    if (!known || !isSameFileKey(known.fileKey, record.fileKey)) return undefined;
    const ageMs = this.#options.clock.monotonic() - known.checkedAtMs;
    return this.#isFresh(known, ageMs, file) ? known.checkedAtMs + this.#maxAgeOf(file) : undefined;
  }

  /** The path of a file that was looked up here, by its id on the wire; undefined for one that was not. */
  pathOfId(fileId: string): Promise<string | undefined> {
    return this.#options.records.pathOfId(fileId);
  }

  forget(file: FileName): void {
    if (this.#recalls.isRunning(file.ufsPath)) this.#forgottenInRecall.add(file.ufsPath);
    this.#known.delete(this.#scoped(file));
    this.#options.records.remove(file.ufsPath);
  }

  /** A page of this version of the file was kept here. With the first one its time in the cache begins. */
  kept(file: FileName, fileKey: FileKey, { version }: Pick<FileStatus, 'version'>): void {
    if (version === undefined || !this.#known.markLoaded(this.#scoped(file), fileKey)) return;
    this.#options.records.loaded({ ufsPath: file.ufsPath, version, loadedAtMs: this.#options.clock.now() });
  }

  /** Every file that is known below a mount and whose key begins so, in no order. */
  async *below(mount: ServedMount, keyPrefix: string): AsyncGenerator<KnownFile> {
    for await (const { status } of this.#options.records.below(fileNameOf(mount, keyPrefix).ufsPath)) {
      const file = fileNameOf(mount, status.key);
      yield { file, status, fileKey: this.fileKeyOf(file, status) };
    }
  }

  /** Forgets every file below a mount that went. */
  forgetMount(mount: ServedMount): void {
    this.#forgetCount++;
    // What memory holds in its scope is never asked for again.
    this.#scopes.delete(mount);
    void this.#options.records.removeBelow(fileNameOf(mount, '').ufsPath);
  }

  /** Forgets every file; gives how many were known. */
  async forgetAll(): Promise<number> {
    const { onForgotten, records } = this.#options;
    const count = await records.count();
    this.#forgetCount++;
    this.#known.clear();
    onForgotten?.('all');
    await records.removeBelow('');
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

  async #check(file: FileName, ask = () => file.mount.ufs.stat(file.key)): Promise<FileRecord | undefined> {
    // The age counts from before the question: the answer may be as old as that.
    const askedAtMs = this.#options.clock.monotonic();
    const forgetCount = this.#forgetCount;
    let status: FileStatus | undefined;
    try {
      status = await ask();
    } catch (thrown) {
      if (hasErrorCode(thrown, 'UfsAccessDenied', 'AccessDenied')) this.forget(file);
      throw thrown;
    }
    if (!status) {
      this.forget(file);
      this.#absent.set(file.ufsPath, askedAtMs);
      return undefined;
    }
    const record = { status, fileKey: this.fileKeyOf(file, status), checkedAtMs: askedAtMs };
    this.#know(file, record);
    // What was forgotten meanwhile may be this file, by a mount that went: memory keeps them apart, the store does not.
    if (forgetCount === this.#forgetCount) this.#remember(file, record);
    return record;
  }

  #remember(file: FileName, record: FileRecord): void {
    const { clock, records } = this.#options;
    const ageMs = clock.monotonic() - record.checkedAtMs;
    records.put({ ufsPath: file.ufsPath, status: record.status, checkedAtMs: clock.now() - ageMs });
  }

  /** A record of an earlier run, or one that memory had no room for. */
  recall(file: FileName): Promise<FileRecord | undefined> {
    return this.#recalls.run(file.ufsPath, () => this.#recall(file));
  }

  /** Where the wall clock went back since, a record's age is unknown and it is asked for again. */
  async #recall(file: FileName): Promise<FileRecord | undefined> {
    const { clock, records } = this.#options;
    const forgetCount = this.#forgetCount;
    const stored = await records.get(file.ufsPath);
    const known = this.peek(file);
    const wasForgotten = this.#forgottenInRecall.delete(file.ufsPath) || forgetCount !== this.#forgetCount;
    if (known || !stored || wasForgotten) return known;
    const ageMs = clock.now() - stored.checkedAtMs;
    const maxAgeMs = this.#maxAgeOf(file);
    const isAgeKnown = ageMs >= 0 || maxAgeMs === Number.POSITIVE_INFINITY;
    const checkedAtMs = clock.monotonic() - (isAgeKnown ? Math.max(0, ageMs) : maxAgeMs);
    const record = { status: stored.status, fileKey: this.fileKeyOf(file, stored.status), checkedAtMs };
    this.#known.set(this.#scoped(file), record);
    return record;
  }

  #scoped(file: FileName): ScopedPath {
    let scope = this.#scopes.get(file.mount);
    if (scope === undefined) {
      scope = this.#scopeNext++;
      this.#scopes.set(file.mount, scope);
    }
    return { scope, ufsPath: file.ufsPath, key: file.key };
  }

  #maxAgeOf(file: FileName): number {
    return this.#options.rules.ruleOf(file.ufsPath).maxAgeMs;
  }

  /** The record that may be served when the under storage cannot say what it has. */
  #standInFor(file: FileName): FileRecord | undefined {
    const record = this.peek(file);
    if (!record) return undefined;
    const ageMs = this.#options.clock.monotonic() - record.checkedAtMs;
    return ageMs < this.#maxAgeOf(file) + this.#options.staleIfErrorMaxMs ? record : undefined;
  }

  /** With a record at hand nobody waits out a silent under storage; its answer still counts when it comes. */
  async #withDeadline<T>(check: Promise<T>, file: FileName): Promise<T> {
    if (await resolvesWithin(this.#options.clock, recheckDeadlineMs, check)) return check;
    throw new AlluxioError('UfsTimeout', `${file.ufsPath} was not confirmed within ${recheckDeadlineMs} ms`);
  }
}

function mayStandIn(thrown: unknown): boolean {
  return hasErrorCode(thrown, 'UfsUnavailable', 'UfsTimeout', 'UfsBadResponse', 'Overloaded', 'UfsThrottled');
}

/** What to say about a file that is not there. */
export function fileNotFound(file: FileName): AlluxioError {
  return new AlluxioError('FileNotFound', `no such file: ${file.ufsPath}`);
}
