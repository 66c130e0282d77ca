/** One answer's bytes: of each page from the store, from a running fill, from one that it starts, or past the cache. */

import type { Body, Part } from '@alluxio-ts/common/body';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Outcome } from '@alluxio-ts/common/outcome';
import type { PageId } from '@alluxio-ts/common/page';
import { pageLengthOf } from '@alluxio-ts/common/page';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import { KIB } from '@alluxio-ts/common/units';
import type { PageStore } from '../page-store/page-store.ts';
import type { CacheRules } from './cache-rules.ts';
import type { BypassOutcome, FileTable, FoundFile } from './file-table.ts';
import type { FileName } from './mount-table.ts';
import type { Fill, FillRefusal, PageFiller } from './page-filler.ts';
import { type AskedRange, type ReadAhead, type ReadStream, reach } from './read-ahead.ts';

/** Who gets less than a MiB a second of a stream that could give more does not keep up with it. */
const slowBytesPerMs = 1049;
/** What such a client is given at once. */
const pieceBytes = 256 * KIB;

/** A reader that finds no memory for a fill waits so long for it: fills end as fast as the under storage gives. Then it reads to the end of the page for itself. */
const slotWaitMaxMs = 2000;

/** What reading needs. */
export interface ReadParts {
  readonly store: PageStore;
  readonly slots: SlotPool;
  readonly files: FileTable;
  readonly filler: PageFiller;
  readonly readAhead: ReadAhead;
  readonly pageSizeBytes: number;
  readonly rules: CacheRules;
  readonly clock: Clock;
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

export interface OpenedFile {
  /** The caller's: to be sent, or closed. */
  readonly body: Body;
  /** Of the page with the first byte. */
  readonly outcome: Outcome;
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
export class FileReader {
  readonly #cache: ReadParts;
  readonly #options: ReaderOptions;
  /** Undefined where nothing is kept. */
  readonly #asked: AskedRange | undefined;
  /** The page that was counted last, so that a page asked for again is counted once. */
  #countedPage = -1;
  /** The reader that this answer is for, once anything of it was not in the store. What was fetched ahead of it is a miss of its own, also when it is here by the time that it is sent. */
  #stream: ReadStream | undefined;
  /** What is being read past the cache, as a stream of this answer's own. */
  #passing: { readonly from: number; readonly to: number; readonly begunMs: number } | undefined;
  /** Streams past the cache give more than the client takes. */
  #isSlow = false;
  /** The page past the cache that this reader shares with others. */
  #sharedPage = -1;

  constructor(cache: ReadParts, options: ReaderOptions) {
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
    this.#isSlow ||= this.#hasLeft(offset);
    const { record, bypass } = this.#options.found;
    if (bypass) return this.#resolvePast(offset, bypass, signal);
    if (!this.#cache.rules.ruleOf(this.#options.file.ufsPath).isKept) {
      return this.#bypass(offset, 'bypass-filter', signal);
    }
    if (!record.fileKey) return this.#bypass(offset, 'bypass-version', signal);
    const page = { file: record.fileKey, index: Math.floor(offset / this.#cache.pageSizeBytes) };
    const resolved = await this.#fromCache(offset, page, signal);
    if (resolved !== 'no-slot') return resolved;
    const again = (await this.#waitForSlot(signal)) ? await this.#fromCache(offset, page, signal) : resolved;
    return again === 'no-slot' ? this.#bypass(offset, 'bypass-quota', signal) : again;
  }

  /** False when no memory came free in time. */
  async #waitForSlot(signal: AbortSignal): Promise<boolean> {
    const { clock, slots } = this.#cache;
    const over = new AbortController();
    const free = slots.waitFree(AbortSignal.any([signal, over.signal]));
    try {
      return await resolvesWithin(clock, slotWaitMaxMs, free);
    } finally {
      over.abort();
    }
  }

  async #fromCache(offset: number, page: PageId, signal: AbortSignal): Promise<Resolved | 'no-slot'> {
    const { store } = this.#cache;
    const { index } = page;

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
    const asked = { page, offset, outcome: 'miss', signal } as const;
    const filled = await this.#fromFill(asked, { joinedOutcome, mayStart: () => true, isKept: true });
    return filled === 'no-room' ? this.#bypass(offset, 'bypass-disk', signal) : filled;
  }

  /** From the fill that runs, or from one that is started. */
  async #fromFill(
    asked: AskedByte,
    how: { readonly joinedOutcome: Outcome; readonly mayStart: () => boolean; readonly isKept: boolean },
  ): Promise<Resolved | FillRefusal> {
    const { filler, pageSizeBytes } = this.#cache;
    const { file, found } = this.#options;
    const { offset, page } = asked;
    const joining = { ...asked, outcome: how.joinedOutcome };
    const running = filler.running(page);
    if (running) {
      this.#fetchAhead(offset);
      const joined = await this.#join(running, joining);
      if (joined) return joined;
    }
    const other = filler.running(page);
    const askedOffset = offset - page.index * pageSizeBytes;
    const request = { file, record: found.record, page, askedOffset, isKept: how.isKept };
    const fill = other ?? (how.mayStart() ? filler.start(request) : 'no-slot');
    if (typeof fill === 'string') return fill;
    this.#fetchAhead(offset);
    return this.#follow(fill, other ? joining : asked);
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

  /**
   * Past the cache, one fetch of a page for all who read it here meanwhile. Whoever is too slow to keep up with that, which shows when it comes again for the same page,
   * and whoever finds half of the memory taken, has a stream of its own.
   */
  async #resolvePast(offset: number, outcome: BypassOutcome, signal: AbortSignal): Promise<Resolved> {
    const { pageSizeBytes, slots } = this.#cache;
    const { record } = this.#options.found;
    const index = Math.floor(offset / pageSizeBytes);
    if (!record.fileKey || index === this.#sharedPage || this.#isSlow)
      return this.#bypass(offset, outcome, signal);
    this.#sharedPage = index;
    const page = { file: record.fileKey, index };
    const how = {
      joinedOutcome: outcome,
      mayStart: () => slots.freeCount * 2 >= slots.slotCount,
      isKept: false,
    };
    const filled = await this.#fromFill({ page, offset, outcome, signal }, how);
    return typeof filled === 'string' ? this.#bypass(offset, outcome, signal) : filled;
  }

  /** Starts on the pages that will be needed next. Whatever stands in the way shows when they are asked for. */
  #fetchAhead(offset: number): void {
    const { file, found, to } = this.#options;
    const { readAhead } = this.#cache;
    if (!this.#asked) return;
    this.#stream ??= readAhead.begin(this.#asked);
    readAhead.advance(this.#stream, { file, record: found.record, fileKey: this.#asked.file, offset, to });
  }

  /** Whether the stream that this byte is of was left because the client did not keep up. */
  #hasLeft(offset: number): boolean {
    const { clock } = this.#cache;
    if (!this.#passing || offset >= this.#passing.to) return false;
    const { begunMs, from } = this.#passing;
    return (offset - from) / (clock.monotonic() - begunMs) < slowBytesPerMs;
  }

  /**
   * Straight from the under storage to the reader, nothing kept: the version stays pinned where there is one. A client that does not keep up gets pieces that are
   * fetched as fast as the storage gives them, so that it holds none of the requests that a storage is allowed.
   */
  async #bypass(offset: number, outcome: Outcome, signal: AbortSignal): Promise<Resolved> {
    const { file, to } = this.#options;
    const index = Math.floor(offset / this.#cache.pageSizeBytes);
    if (this.#isSlow) return this.#piece(offset, { index, outcome, signal });
    // Whoever found no memory looks again at the next page.
    const end = outcome === 'bypass-quota' ? Math.min(to, (index + 1) * this.#cache.pageSizeBytes) : to;
    const lengthBytes = end - offset;
    const { body: stream } = await file.mount.ufs.read(file.key, {
      offset,
      lengthBytes,
      ...this.#version,
      signal,
    });
    this.#passing = { from: offset, to: end, begunMs: this.#cache.clock.monotonic() };
    const part = { kind: 'stream', stream, lengthBytes, isLeftWhenSlow: true } as const;
    return this.#resolved(index, part, outcome);
  }

  async #piece(
    offset: number,
    { index, outcome, signal }: { index: number; outcome: Outcome; signal: AbortSignal },
  ): Promise<Resolved> {
    const { file, to } = this.#options;
    // Its own memory: whoever sends it does not give it back.
    const into = Buffer.allocUnsafeSlow(Math.min(pieceBytes, to - offset));
    const asked = { offset, lengthBytes: into.length, ...this.#version, signal };
    const { over } = await file.mount.ufs.receive(file.key, { ...asked, into, onReceived: nobody });
    const lengthBytes = await over;
    const stream = oneChunk(into.subarray(0, lengthBytes));
    return this.#resolved(index, { kind: 'stream', stream, lengthBytes, isOwned: true }, outcome);
  }

  get #version(): { readonly version?: string } {
    const { version } = this.#options.found.record.status;
    return version === undefined ? {} : { version };
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

const nobody = (): void => undefined;

async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

function once(action: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    action();
  };
}
