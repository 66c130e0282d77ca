/**
 * Starts on the pages that will be read next. A request over many pages says itself what comes; a reader that asks for a file in pieces, each where the one before ended, is
 * taken for one that goes on: the further it has gone, the more pages are started ahead of it, 1, 2, 4 … Whoever jumps about in a file has nothing fetched that it
 * did not ask for.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import type { FileKey } from '@alluxio-ts/common/page';
import { pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import type { PageStore } from '../page-store/page-store.ts';
import type { FillRequest, PageFiller } from './page-filler.ts';

/** Of what a request asks for itself so many pages are started ahead from its first miss on: enough that the under storage never waits for the client. */
const askedAheadPages = 2;
/** Readers that are kept in mind, some 300 bytes each. */
const streamsMax = 16_384;
/** A reader that has not come back for so long is forgotten. */
const streamIdleMs = 60_000;

export interface ReadAheadOptions {
  readonly store: PageStore;
  readonly filler: PageFiller;
  readonly slots: SlotPool;
  readonly pageSizeBytes: number;
  /** As far ahead of a reader as that at most; 0 fetches nothing but what requests ask for. */
  readonly sizeMaxBytes: number;
  readonly clock: Clock;
  readonly events: ReadAheadEvents;
}

/** What is counted. */
export interface ReadAheadEvents {
  /** A page is being fetched that nobody has waited for yet. */
  started(lengthBytes: number): void;
  /** So much was fetched ahead of a reader that never came to it. */
  unused(lengthBytes: number): void;
}

/** One reader of one version of a file, over its requests. */
export interface ReadStream {
  readonly fromOffset: number;
  /** More than one request, each where the one before ended. */
  isContinued: boolean;
  /** Pages that were started ahead of it and that it has not come to yet, with their lengths. */
  readonly ahead: Map<number, number>;
  /** What is to be ahead of this page, and of those before it, has been seen to. */
  servedPage: number;
  lastUseMs: number;
  /** Under which it is kept in mind. */
  name: string;
}

/** Bytes [from, to) of a file. */
export interface AskedRange {
  readonly file: FileKey;
  readonly from: number;
  readonly to: number;
}

export interface ReachedByte extends Pick<FillRequest, 'file' | 'record'> {
  readonly fileKey: FileKey;
  readonly offset: number;
  /** Where the request ends. */
  readonly to: number;
}

export class ReadAhead {
  readonly #options: ReadAheadOptions;
  readonly #pagesMax: number;
  /** By the place where their next request would begin; the least recently used first. */
  readonly #streams = new Map<string, ReadStream>();

  constructor(options: ReadAheadOptions) {
    this.#options = options;
    this.#pagesMax = Math.ceil(options.sizeMaxBytes / options.pageSizeBytes);
  }

  /** The reader that goes on with this range; undefined when none was expected here. */
  resume(asked: AskedRange): ReadStream | undefined {
    const name = nameOf(asked.file, asked.from);
    const stream = this.#streams.get(name);
    if (!stream) return undefined;
    this.#streams.delete(name);
    stream.isContinued = true;
    this.#expect(stream, asked);
    return stream;
  }

  /** A reader that begins here, at the first page of it that is not in the store. */
  begin(asked: AskedRange): ReadStream {
    const stream = {
      fromOffset: asked.from,
      isContinued: false,
      ahead: new Map<number, number>(),
      servedPage: -1,
      lastUseMs: 0,
      name: '',
    };
    this.#expect(stream, asked);
    return stream;
  }

  /** Starts what is to be ahead of a byte that a reader has come to, as far as there is memory for it: half stays for what somebody waits for. */
  advance(stream: ReadStream, reached: ReachedByte): void {
    const { filler, pageSizeBytes, slots, store } = this.#options;
    const { fileKey, offset, record } = reached;
    const index = Math.floor(offset / pageSizeBytes);
    if (index <= stream.servedPage) return;
    if (this.#streams.get(stream.name) === stream) this.#keep(stream);
    for (let next = index + 1; next <= this.#lastPageFor(stream, reached, index); next++) {
      if (slots.freeCount * 2 < slots.slotCount) return;
      const page = { file: fileKey, index: next };
      if (store.has(page) || filler.running(page)) continue;
      const fill = filler.start({ file: reached.file, record, page, askedOffset: 0 });
      if (typeof fill !== 'object') return;
      const lengthBytes = pageLengthOf(record.status.sizeBytes, pageSizeBytes, next);
      stream.ahead.set(next, lengthBytes);
      this.#options.events.started(lengthBytes);
    }
    stream.servedPage = index;
  }

  /** Forgets readers that have not come back. */
  sweep(): void {
    const idleSinceMs = this.#options.clock.monotonic() - streamIdleMs;
    for (const [name, stream] of this.#streams) {
      if (stream.lastUseMs > idleSinceMs && this.#streams.size <= streamsMax) return;
      this.#streams.delete(name);
      for (const lengthBytes of stream.ahead.values()) this.#options.events.unused(lengthBytes);
    }
  }

  #lastPageFor(stream: ReadStream, { offset, record, to }: ReachedByte, index: number): number {
    const { pageSizeBytes } = this.#options;
    const passedPages = Math.floor((offset - stream.fromOffset) / pageSizeBytes);
    const window = passedPages < 1 ? 0 : Math.min(this.#pagesMax, 2 ** (passedPages - 1));
    const askedLast = Math.floor((to - 1) / pageSizeBytes);
    const asked = Math.min(askedLast, index + Math.max(askedAheadPages, window));
    const fileLast = pageCountOf(record.status.sizeBytes, pageSizeBytes) - 1;
    return stream.isContinued ? Math.max(asked, Math.min(fileLast, index + window)) : asked;
  }

  #expect(stream: ReadStream, { file, to }: AskedRange): void {
    stream.name = nameOf(file, to);
    // Two that came to the same place go on as one.
    const other = this.#streams.get(stream.name);
    for (const [index, lengthBytes] of other?.ahead ?? []) stream.ahead.set(index, lengthBytes);
    this.#keep(stream);
    this.sweep();
  }

  #keep(stream: ReadStream): void {
    stream.lastUseMs = this.#options.clock.monotonic();
    this.#streams.delete(stream.name);
    this.#streams.set(stream.name, stream);
  }
}

/** Whether the page was started ahead of this reader, which has come to it now. */
export function reach(stream: ReadStream | undefined, index: number): boolean {
  return stream?.ahead.delete(index) ?? false;
}

function nameOf(file: FileKey, offset: number): string {
  return `${file.a}.${file.b}.${file.c}@${offset}`;
}
