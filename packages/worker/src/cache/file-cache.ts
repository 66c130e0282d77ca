/**
 * The read cache: finds the version of a file, then gives its bytes from the store, from a running fill, or from the under storage. Every byte
 * of one answer is of the version that the answer began with.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { emptyBody } from '@alluxio-ts/common/body';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import type { FileKey } from '@alluxio-ts/common/page';
import { pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import type { FileStatus, ListOptions, ListPage } from '@alluxio-ts/ufs-adapters/ufs';
import { isSameFileKey } from '../file-records/file-record.ts';
import { hasAnyPage, type RemoveReason } from '../page-store/page-store.ts';
import { FileReader, type OpenedFile, type ReadParts } from './file-reader.ts';
import type { BypassOutcome, FileTable, FoundFile } from './file-table.ts';
import type { FileName, ServedMount } from './mount-table.ts';
import type { BegunRead } from './page-filler.ts';

/** After so many files, or pages of one, whoever drops them lets readers have a turn. */
const dropBatch = 1000;

export interface LookupOptions {
  /** Asks the under storage whatever is known. */
  readonly mustCheck?: boolean;
  /** The byte that is to be read first, where the bytes are wanted: a file that is not known is learned from them. */
  readonly readFrom?: number | undefined;
  /** Asks the under storage also when the record would be believed for no longer than this, or half its age; until the answer it is still believed. */
  readonly renewAheadMs?: number | undefined;
  /** The file is not this worker's to cache: it is read past the cache, for this reason. */
  readonly bypass?: BypassOutcome;
}

export interface OpenOptions {
  /** The first byte, and the one after the last; `0 ≤ from ≤ to ≤ size`. */
  readonly from: number;
  readonly to: number;
  readonly signal: AbortSignal;
}

export class FileCache {
  readonly #options: ReadParts;

  constructor(options: ReadParts) {
    this.#options = options;
  }

  get files(): FileTable {
    return this.#options.files;
  }

  async lookup(file: FileName, options: LookupOptions = {}): Promise<FoundFile | undefined> {
    const { files } = this.#options;
    let begunPage: number | undefined;
    const ask = async (): Promise<FileStatus | undefined> => {
      const learned = await this.#learn(file, options.readFrom);
      begunPage = learned?.page;
      return learned?.status;
    };
    const found = await (options.bypass
      ? files.lookupPast(file, options.bypass)
      : files.lookup(file, { ...options, ask }));
    this.#options.events.looked(found?.wasChecked ?? true);
    return found && begunPage !== undefined ? { ...found, begunPage } : found;
  }

  #keeps(file: FileName): boolean {
    return this.#options.rules.ruleOf(file.ufsPath).isKept;
  }

  /**
   * What a file is that nobody knows: where its bytes are wanted and kept, from the answer that carries the first of them, one request where a status and a page would be
   * two. Not of a file that somebody fetches, a load job for one: those bytes may be the same.
   */
  async #learn(
    file: FileName,
    offset: number | undefined,
  ): Promise<{ readonly status: FileStatus | undefined; readonly page?: number } | undefined> {
    const { files, filler, pageSizeBytes } = this.#options;
    const { ufs } = file.mount;
    const isBegun =
      offset !== undefined && ufs.capability.pin === 'atomic' && this.#keeps(file) && !filler.isFilling(file);
    let begun: BegunRead | undefined;
    try {
      begun = isBegun ? await filler.begin(file, offset) : undefined;
    } catch (thrown) {
      if (hasErrorCode(thrown, 'FileNotFound')) return undefined;
      throw thrown;
    }
    if (offset === undefined || !begun) return { status: await ufs.stat(file.key) };
    const status = begun.reception.file;
    const fileKey = files.fileKeyOf(file, status);
    if (!fileKey || status.isPartial) {
      filler.discard(begun);
      return { status: status.isPartial ? await ufs.stat(file.key) : status };
    }
    const index = Math.floor(offset / pageSizeBytes);
    const request = {
      file,
      record: { status },
      page: { file: fileKey, index },
      askedOffset: offset - index * pageSizeBytes,
    };
    return filler.follow(request, begun) ? { status, page: index } : { status };
  }

  list(mount: ServedMount, options: ListOptions): AsyncIterable<ListPage> {
    return mount.ufs.list(options);
  }

  /**
   * Resolves when the first byte is at hand, so that whatever fails fails before the head of an answer is sent. VersionChanged says that `found` is no
   * longer what the under storage has: look up again with `mustCheck` and begin anew.
   */
  async open(file: FileName, found: FoundFile, options: OpenOptions): Promise<OpenedFile> {
    const reader = new FileReader(this.#options, { file, found, from: options.from, to: options.to });
    if (options.from >= options.to) {
      return { body: emptyBody, outcome: found.isStale ? 'hit-stale' : found.wasChecked ? 'miss' : 'hit' };
    }
    const first = await reader.resolve(options.from, options.signal);
    return { body: reader.body(first.part), outcome: first.outcome };
  }

  /** What a transport may answer further requests for the file with, on its own; undefined when each of them must come here. */
  reuseOf(file: FileName, found: FoundFile): Reuse | undefined {
    const { files, pageSizeBytes } = this.#options;
    const { fileKey } = found.record;
    const freshUntilMs = found.isStale ? undefined : files.freshUntilMs(file, found.record);
    if (!fileKey || found.bypass || freshUntilMs === undefined || !this.#keeps(file)) return undefined;
    return { fileKey, freshUntilMs, pageSizeBytes };
  }

  /** Resolves when the fills that run now are over, and what they fetched is in the store. */
  idle(): Promise<void> {
    return this.#options.filler.idle();
  }

  /** How many bytes of this version of the file are here. The status may be that of a listing. */
  cachedBytesOf(file: FileName, status: Pick<FileStatus, 'version' | 'sizeBytes'>): number {
    const { files, store, pageSizeBytes } = this.#options;
    const fileKey = files.fileKeyOf(file, status);
    if (!fileKey) return 0;
    let cachedBytes = 0;
    for (let index = 0; index < pageCountOf(status.sizeBytes, pageSizeBytes); index++) {
      if (store.has({ file: fileKey, index })) {
        cachedBytes += pageLengthOf(status.sizeBytes, pageSizeBytes, index);
      }
    }
    return cachedBytes;
  }

  /** Forgets the file and drops the pages of its known version. */
  async free(file: FileName): Promise<Freed> {
    const { files } = this.#options;
    const record = files.peek(file) ?? (await files.recall(file));
    files.forget(file);
    const dropped = record ? await this.#dropPages(record, 'freed') : { pageCount: 0, freedBytes: 0 };
    return { fileCount: record ? 1 : 0, ...dropped };
  }

  /** The same for every known file below a directory of the mount; '' is the whole mount. */
  async freeBelow(mount: ServedMount, directory: string): Promise<Freed> {
    const { files } = this.#options;
    const prefix = directory === '' ? '' : `${directory}/`;
    let fileCount = 0;
    let pageCount = 0;
    let freedBytes = 0;
    for await (const known of files.below(mount, prefix)) {
      fileCount++;
      files.forget(known.file);
      const dropped = await this.#dropPages(known, 'freed');
      pageCount += dropped.pageCount;
      freedBytes += dropped.freedBytes;
      if (fileCount % dropBatch === 0) await nextTurn();
    }
    return { fileCount, pageCount, freedBytes };
  }

  /** Drops the pages of a version whose time is over, and forgets the file unless another version is known. What is read of it meanwhile may go as well. */
  async expire(file: FileName, version: FileVersion): Promise<Freed> {
    const { files } = this.#options;
    const dropped = await this.#dropPages(version, 'expired');
    const known = files.peek(file);
    if (!known || isSameFileKey(known.fileKey, version.fileKey)) files.forget(file);
    return { fileCount: 1, ...dropped };
  }

  /** Whether any of its pages is here. */
  hasPages({ fileKey, status }: FileVersion): boolean {
    const { store, pageSizeBytes } = this.#options;
    const pageCount = pageCountOf(status.sizeBytes, pageSizeBytes);
    return fileKey !== undefined && hasAnyPage(store, fileKey, pageCount);
  }

  /** Forgets every file and drops every page, those of earlier versions and of mounts that went too. */
  async freeAll(): Promise<Freed> {
    const fileCount = await this.#options.files.forgetAll();
    const { pageCount, pageBytes } = await this.#options.store.removeAll('freed');
    return { fileCount, pageCount, freedBytes: pageBytes };
  }

  async #dropPages(
    { fileKey, status }: FileVersion,
    reason: RemoveReason,
  ): Promise<Omit<Freed, 'fileCount'>> {
    const { store, pageSizeBytes } = this.#options;
    let pageCount = 0;
    let freedBytes = 0;
    if (!fileKey) return { pageCount, freedBytes };
    for (let index = 0; index < pageCountOf(status.sizeBytes, pageSizeBytes); index++) {
      if ((index + 1) % dropBatch === 0) await nextTurn();
      const page = { file: fileKey, index };
      if (!store.has(page)) continue;
      store.remove(page, reason);
      pageCount++;
      freedBytes += pageLengthOf(status.sizeBytes, pageSizeBytes, index);
    }
    return { pageCount, freedBytes };
  }
}

/** What names the pages of a file, and how many they may be. */
export interface FileVersion {
  readonly fileKey: FileKey | undefined;
  readonly status: Pick<FileStatus, 'sizeBytes'>;
}

export interface Reuse {
  readonly fileKey: FileKey;
  /** On the monotonic clock. */
  readonly freshUntilMs: number;
  readonly pageSizeBytes: number;
}

export interface Freed {
  readonly fileCount: number;
  readonly pageCount: number;
  readonly freedBytes: number;
}
