/**
 * The small map path → version, the only thing here with a rule of freshness: a record is trusted for `maxAgeMs` and then asked for
 * again on its next use. When the under storage cannot answer, a record goes on being used as stale for `staleIfErrorMaxMs` after it was last
 * confirmed. A file that is not there, or no longer, or may not be read, is never served from a record.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { FileKey } from '@alluxio-ts/common/page';
import { fileIdOf, fileKeyOf } from '@alluxio-ts/common/page';
import { SingleFlight } from '@alluxio-ts/common/single-flight';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { LRUCache } from 'lru-cache';
import type { FileName } from './mount-table.ts';

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
}

export interface FileTableOptions {
  readonly clock: Clock;
  readonly pageSizeBytes: number;
  readonly maxAgeMs: number;
  readonly staleIfErrorMaxMs: number;
  /** How long "there is no such file" is remembered. */
  readonly negativeAgeMs: number;
  readonly recordsMax: number;
}

export const fileTableDefaults = { negativeAgeMs: 1000, recordsMax: 200_000 } as const;

/** A record, or since when the file is known to be absent. */
type Known = FileRecord | { readonly absentSinceMs: number };

export class FileTable {
  readonly #options: FileTableOptions;
  readonly #known: LRUCache<string, Known>;
  /** For clients that name a file by its id alone. */
  readonly #pathById: LRUCache<string, string>;
  readonly #checks = new SingleFlight<string, FileRecord | undefined>();

  constructor(options: FileTableOptions) {
    this.#options = options;
    this.#known = new LRUCache({ max: options.recordsMax });
    this.#pathById = new LRUCache({ max: options.recordsMax });
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
    const known = this.#known.get(file.ufsPath);
    const now = this.#options.clock.monotonic();
    if (known && !options.mustCheck) {
      if ('absentSinceMs' in known) {
        if (now - known.absentSinceMs < this.#options.negativeAgeMs) return undefined;
      } else if (now - known.checkedAtMs < this.#options.maxAgeMs) {
        return { record: known, isStale: false, wasChecked: false };
      }
    }
    try {
      const record = await this.#checks.run(file.ufsPath, () => this.#check(file));
      return record && { record, isStale: false, wasChecked: true };
    } catch (thrown) {
      const stale = this.#staleFor(file, thrown);
      if (stale) return { record: stale, isStale: true, wasChecked: true };
      throw thrown;
    }
  }

  /** The record as it is known now, without asking anyone. */
  peek(ufsPath: string): FileRecord | undefined {
    const known = this.#known.peek(ufsPath);
    return known && 'status' in known ? known : undefined;
  }

  /** The path of a file that was looked up here, by its id on the wire; undefined for one that was not. */
  pathOfId(fileId: string): string | undefined {
    return this.#pathById.get(fileId);
  }

  forget(ufsPath: string): void {
    this.#known.delete(ufsPath);
  }

  /** Forgets every file whose UFS path begins so; for `cache free` and for a mount that went. Gives how many. */
  forgetBelow(ufsPathPrefix: string): number {
    let count = 0;
    for (const ufsPath of this.#known.keys()) {
      if (!ufsPath.startsWith(ufsPathPrefix)) continue;
      this.#known.delete(ufsPath);
      count++;
    }
    return count;
  }

  async #check(file: FileName): Promise<FileRecord | undefined> {
    // The age counts from before the question: the answer may be as old as that.
    const askedAtMs = this.#options.clock.monotonic();
    let status: FileStatus | undefined;
    try {
      status = await file.mount.ufs.stat(file.key);
    } catch (thrown) {
      if (hasErrorCode(thrown, 'UfsAccessDenied', 'AccessDenied')) this.#known.delete(file.ufsPath);
      throw thrown;
    }
    if (!status) {
      this.#known.set(file.ufsPath, { absentSinceMs: askedAtMs });
      return undefined;
    }
    const record = { status, fileKey: this.#fileKeyOf(file, status), checkedAtMs: askedAtMs };
    this.#known.set(file.ufsPath, record);
    this.#pathById.set(fileIdOf(file.ufsPath), file.ufsPath);
    return record;
  }

  #fileKeyOf(file: FileName, status: FileStatus): FileKey | undefined {
    if (status.version === undefined || file.mount.ufs.capability.pin === 'none') return undefined;
    return fileKeyOf({
      ufsPath: file.ufsPath,
      version: status.version,
      pageSizeBytes: this.#options.pageSizeBytes,
    });
  }

  #staleFor(file: FileName, thrown: unknown): FileRecord | undefined {
    if (
      !hasErrorCode(thrown, 'UfsUnavailable', 'UfsTimeout', 'UfsBadResponse', 'Overloaded', 'UfsThrottled')
    ) {
      return undefined;
    }
    const record = this.peek(file.ufsPath);
    if (!record) return undefined;
    const ageMs = this.#options.clock.monotonic() - record.checkedAtMs;
    return ageMs < this.#options.maxAgeMs + this.#options.staleIfErrorMaxMs ? record : undefined;
  }
}

/** What to say about a file that is not there. */
export function fileNotFound(file: FileName): AlluxioError {
  return new AlluxioError('FileNotFound', `no such file: ${file.ufsPath}`);
}
