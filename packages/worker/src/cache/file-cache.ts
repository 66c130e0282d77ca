/**
 * The read cache: finds the version of a file, then gives its bytes from the store, from a running fill, or from the under storage. Every byte
 * of one answer is of the version that the answer began with.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Body, Part } from '@alluxio-ts/common/body';
import { emptyBody } from '@alluxio-ts/common/body';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Outcome } from '@alluxio-ts/common/outcome';
import type { FileKey, PageId } from '@alluxio-ts/common/page';
import { pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import type { FileStatus, ListEntry, ListOptions } from '@alluxio-ts/ufs-adapters/ufs';
import { hasAnyPage, type PageStore, type RemoveReason } from '../page-store/page-store.ts';
import type { CacheRules } from './cache-rules.ts';
import { isSameFileKey } from '../file-records/file-record.ts';
import type { BypassOutcome, FileTable, FoundFile } from './file-table.ts';
import type { FileName, ServedMount } from './mount-table.ts';
import type { BegunRead, Fill, PageFiller } from './page-filler.ts';
import { type AskedRange, type ReadAhead, type ReadStream, reach } from './read-ahead.ts';

/** After so many files, or pages of one, whoever drops them lets readers have a turn. */
const dropBatch = 1000;

export interface FileCacheOptions {
  readonly store: PageStore;
  readonly slots: SlotPool;
  readonly files: FileTable;
  readonly filler: PageFiller;
  readonly readAhead: ReadAhead;
  readonly pageSizeBytes: number;
  readonly rules: CacheRules;
  readonly events: FileCacheEvents;
}

/** What is counted. */
export interface FileCacheEvents {
  /** A page was read, or what was asked of it. */
  read(outcome: Outcome, lengthBytes: number): void;
  /** The same, of a file that is kept: the page with its whole length. */
  pageRead(page: PageId, lengthBytes: number, outcome: Outcome): void;
  /** A file was looked up; whether the under storage was asked. */
  looked(wasChecked: boolean): void;
}

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

export interface OpenedFile {
  /** The caller's: to be sent, or closed. */
  readonly body: Body;
  /** Of the page with the first byte. */
  readonly outcome: Outcome;
}

export class FileCache {
  readonly #options: FileCacheOptions;

  constructor(options: FileCacheOptions) {
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
    const status = begun.read.file;
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

  list(mount: ServedMount, options: ListOptions): AsyncIterable<ListEntry> {
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
    if (!fileKey || freshUntilMs === undefined || !this.#keeps(file)) return undefined;
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

interface Resolved {
  readonly part: Part;
  readonly outcome: Outcome;
}

interface ReaderOptions {
  readonly file: FileName;
  readonly found: FoundFile;
  readonly from: number;
  readonly to: number;
}

interface AskedByte {
  readonly page: PageId;
  readonly offset: number;
  readonly outcome: Outcome;
  readonly signal: AbortSignal;
}

/** What is read past the cache whatever its size. */
const unkeptOutcomes: readonly Outcome[] = ['bypass-filter', 'bypass-version', 'bypass-owner-down'];

/** One answer: bytes [from, to) of one version. */
class FileReader {
  readonly #cache: FileCacheOptions;
  readonly #options: ReaderOptions;
  /** Undefined where nothing is kept. */
  readonly #asked: AskedRange | undefined;
  /** The page that was counted last, so that a page asked for again is counted once. */
  #countedPage = -1;
  /** The reader that this answer is for, once anything of it was not in the store. What was fetched ahead of it is a miss of its own, also when it is here by the time that it is sent. */
  #stream: ReadStream | undefined;

  constructor(cache: FileCacheOptions, options: ReaderOptions) {
    this.#cache = cache;
    this.#options = options;
    const { found, from, to } = options;
    const { fileKey } = found.record;
    this.#asked = fileKey && !found.bypass ? { file: fileKey, from, to } : undefined;
    this.#stream = this.#asked && cache.readAhead.resume(this.#asked);
  }

  body(first: Part): Body {
    const { from, to } = this.#options;
    let pending: Part | undefined = first;
    return {
      kind: 'parts',
      lengthBytes: to - from,
      next: async (offset, { signal }) => {
        if (pending && offset === 0) {
          const part = pending;
          pending = undefined;
          return part;
        }
        const { part } = await this.resolve(from + offset, signal);
        return part;
      },
      close: () => {
        if (pending) releasePart(pending);
        pending = undefined;
      },
    };
  }

  /** The part that begins at this byte of the file: store, then running fill, then a new one, then past the cache. */
  async resolve(offset: number, signal: AbortSignal): Promise<Resolved> {
    try {
      return await this.#resolve(offset, signal);
    } catch (thrown) {
      // What the under storage no longer has is not believed any longer, by this reader or the next.
      if (hasErrorCode(thrown, 'VersionChanged', 'FileNotFound', 'UfsAccessDenied')) {
        this.#cache.files.forget(this.#options.file);
      }
      throw thrown;
    }
  }

  async #resolve(offset: number, signal: AbortSignal): Promise<Resolved> {
    const { record, bypass } = this.#options.found;
    if (bypass) return this.#bypass(offset, bypass, signal);
    if (!this.#cache.rules.ruleOf(this.#options.file.ufsPath).isKept) {
      return this.#bypass(offset, 'bypass-filter', signal);
    }
    if (!record.fileKey) return this.#bypass(offset, 'bypass-version', signal);
    const { pageSizeBytes, store, filler } = this.#cache;
    const index = Math.floor(offset / pageSizeBytes);
    const page = { file: record.fileKey, index };

    const isBegun = this.#options.found.begunPage === index;
    const wasAhead = reach(this.#stream, index);
    const handle = store.get(page);
    if (handle) {
      if (wasAhead) this.#fetchAhead(offset);
      const outcome = wasAhead || isBegun ? 'miss' : this.#options.found.isStale ? 'hit-stale' : 'hit';
      const range = this.#rangeInPage(offset, index);
      return this.#resolved(index, { kind: 'extent', handle, ...range }, outcome);
    }
    const joinedOutcome = wasAhead || isBegun ? 'miss' : 'miss-joined';
    const running = filler.running(page);
    if (running) {
      this.#fetchAhead(offset);
      const joined = await this.#join(running, { page, offset, outcome: joinedOutcome, signal });
      if (joined) return joined;
    }
    const askedOffset = offset - index * pageSizeBytes;
    const other = filler.running(page);
    const fill = other ?? filler.start({ file: this.#options.file, record, page, askedOffset });
    if (fill === 'no-slot') return this.#bypass(offset, 'bypass-quota', signal);
    if (fill === 'no-room') return this.#bypass(offset, 'bypass-disk', signal);
    this.#fetchAhead(offset);
    return this.#follow(fill, { page, offset, outcome: other ? joinedOutcome : 'miss', signal });
  }

  /**
   * Follows a fill that was under way already. Undefined when the storage failed it in a way that may pass: it may have been asked long ago, for somebody
   * else or ahead of need, so whoever needs the byte now asks once more.
   */
  async #join(fill: Fill, asked: AskedByte): Promise<Resolved | undefined> {
    try {
      return await this.#follow(fill, asked);
    } catch (thrown) {
      if (hasErrorCode(thrown, 'UfsUnavailable', 'UfsTimeout', 'UfsBadResponse')) return undefined;
      throw thrown;
    }
  }

  /** Waits for the asked byte of a fill, so that its failure is known before anything is promised. */
  async #follow(fill: Fill, asked: AskedByte): Promise<Resolved> {
    const { slots } = this.#cache;
    const { slot, generation } = fill.lease;
    const range = this.#rangeInPage(asked.offset, asked.page.index);
    slots.hold(slot);
    let isReadable = false;
    try {
      const end = await slots.waitReadable(fill.lease, range.from, { signal: asked.signal });
      isReadable = end !== undefined;
    } finally {
      if (!isReadable) slots.release(slot);
    }
    if (!isReadable) {
      await fill.over;
      throw (
        fill.failure ?? new AlluxioError('Internal', `the fill of ${this.#options.file.ufsPath} gave nothing`)
      );
    }
    const release = once(() => slots.release(slot));
    return this.#resolved(
      asked.page.index,
      { kind: 'slot', slot, generation, ...range, release },
      asked.outcome,
    );
  }

  /** Starts on the pages that will be needed next. Whatever stands in the way shows when they are asked for. */
  #fetchAhead(offset: number): void {
    const { file, found, to } = this.#options;
    const { readAhead } = this.#cache;
    if (!this.#asked) return;
    this.#stream ??= readAhead.begin(this.#asked);
    readAhead.advance(this.#stream, { file, record: found.record, fileKey: this.#asked.file, offset, to });
  }

  /** Straight from the under storage to the reader, nothing kept: the version stays pinned where there is one. */
  async #bypass(offset: number, outcome: Outcome, signal: AbortSignal): Promise<Resolved> {
    const { file, found, to } = this.#options;
    const { version } = found.record.status;
    const read = await file.mount.ufs.read(file.key, {
      offset,
      lengthBytes: to - offset,
      signal,
      ...(version === undefined ? {} : { version }),
    });
    const index = Math.floor(offset / this.#cache.pageSizeBytes);
    return this.#resolved(index, { kind: 'stream', stream: read.body, lengthBytes: to - offset }, outcome);
  }

  #rangeInPage(offset: number, index: number): { readonly from: number; readonly to: number } {
    const { pageSizeBytes } = this.#cache;
    const pageStart = index * pageSizeBytes;
    return { from: offset - pageStart, to: Math.min(pageSizeBytes, this.#options.to - pageStart) };
  }

  #resolved(index: number, part: Part, outcome: Outcome): Resolved {
    if (index > this.#countedPage) {
      this.#countedPage = index;
      this.#cache.events.read(outcome, part.kind === 'stream' ? part.lengthBytes : part.to - part.from);
      this.#tellPage(index, outcome);
    }
    return { part, outcome };
  }

  #tellPage(index: number, outcome: Outcome): void {
    const { fileKey, status } = this.#options.found.record;
    if (!fileKey || unkeptOutcomes.includes(outcome)) return;
    const { events, pageSizeBytes } = this.#cache;
    events.pageRead({ file: fileKey, index }, pageLengthOf(status.sizeBytes, pageSizeBytes, index), outcome);
  }
}

function releasePart(part: Part): void {
  switch (part.kind) {
    case 'extent':
      part.handle.release();
      return;
    case 'slot':
      part.release();
      return;
    case 'stream':
      // Its connection goes with the request's signal.
      return;
    default:
      part satisfies never;
  }
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
