/**
 * The index of a page store: page → where its bytes lie, for tens of millions of pages. A row is twelve words: 48 bytes and 5.3 to 10.7 in the hash.
 *
 * The entries of one segment form a list, so that giving up a segment walks its own pages only.
 */

import type { PageId } from '@alluxio-ts/common/page';
import { hashOfWords, noRow, RowTable } from '@alluxio-ts/common/row-table';

const entryWords = 12;

const aWord = 0;
const bWord = 1;
const cWord = 2;
const indexWord = 3;
const segmentWord = 4;
const recordWord = 5;
const dataWord = 6;
const lengthWord = 7;
const tickWord = 8;
const checksumWord = 9;
const nextWord = 10;
const previousWord = 11;

const recordUnitBytes = 4096;
const dataUnitBytes = 8;
const tickMax = 0xffff_ffff;

/** The entry that is none: returned by `find` for a miss, and the end of a list. */
export const noEntry = noRow;

/**
 * A page that is asked for in pieces is one use, as long as no more uses of others than these came between: 512, at most
 * a sixteenth of what is there.
 */
function visitUsesOf(pageCount: number): number {
  return Math.min(visitUsesMax, pageCount >> 4);
}

const visitUsesMax = 512;

/** Where a page lies. Offsets count from the begin of the segment's file. */
export interface PagePlace {
  readonly segmentId: number;
  readonly recordOffsetBytes: number;
  readonly dataStartBytes: number;
  readonly lengthBytes: number;
  /** Where its block checksums begin among those of the segment. */
  readonly checksumIndex: number;
}

/** The pages of one segment: the head of their list and what they add up to. */
export class PageList {
  first = noEntry;
  count = 0;
  bytes = 0;
  /** Sum of the ticks of last use, for the mean. */
  tickSum = 0;
  /** Of the latest use of any page that was ever in it. */
  tickLast = 0;
}

export class PageTable {
  readonly #rows: RowTable;
  /** What `#isSought` compares with, so that a lookup makes no closure. */
  #sought: PageId | undefined;
  /** For how many pages each entry stands; more than one in a sample. */
  #pagesPerEntry: number;
  #count = 0;
  #bytes = 0;
  #tick = 0;
  #tickSum = 0;

  constructor(options: { readonly pagesPerEntry: number } = { pagesPerEntry: 1 }) {
    this.#pagesPerEntry = options.pagesPerEntry;
    this.#rows = new RowTable({
      rowWords: entryWords,
      hashOf: (entry) => hashOfWords(this.#rows.get(entry, aWord), this.#rows.get(entry, indexWord)),
    });
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of all pages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of the latest use. */
  get tick(): number {
    return this.#tick;
  }

  /** Mean tick of last use over all pages. */
  get tickMean(): number {
    return this.#count === 0 ? 0 : this.#tickSum / this.#count;
  }

  /** Bytes that the table itself takes. */
  get memoryBytes(): number {
    return this.#rows.memoryBytes;
  }

  find(page: PageId): number {
    this.#sought = page;
    return this.#rows.find(hashOfWords(page.file.a, page.index), this.#isSought);
  }

  /** Adds a page that is not in the table, as used just now or at `tick`. */
  insert(page: PageId, place: PagePlace, list: PageList, tick = this.#nextTick()): number {
    const entry = this.#rows.take();
    const chunk = this.#rows.chunkOf(entry);
    const at = this.#rows.offsetOf(entry);
    chunk[at + aWord] = page.file.a;
    chunk[at + bWord] = page.file.b;
    chunk[at + cWord] = page.file.c;
    chunk[at + indexWord] = page.index;
    chunk[at + segmentWord] = place.segmentId;
    chunk[at + recordWord] = place.recordOffsetBytes / recordUnitBytes;
    chunk[at + dataWord] = place.dataStartBytes / dataUnitBytes;
    chunk[at + lengthWord] = place.lengthBytes;
    chunk[at + tickWord] = tick;
    chunk[at + checksumWord] = place.checksumIndex;
    chunk[at + nextWord] = list.first;
    chunk[at + previousWord] = noEntry;
    if (list.first !== noEntry) this.#set(list.first, previousWord, entry);
    list.first = entry;
    this.#addTo(list, 1, place.lengthBytes, tick);
    list.tickLast = Math.max(list.tickLast, tick);
    this.#rows.hashIn(entry);
    return entry;
  }

  remove(entry: number, list: PageList): void {
    this.#rows.hashOut(entry);
    const next = this.nextOf(entry);
    const previous = this.#get(entry, previousWord);
    if (previous === noEntry) list.first = next;
    else this.#set(previous, nextWord, next);
    if (next !== noEntry) this.#set(next, previousWord, previous);
    this.#addTo(list, -1, -this.lengthOf(entry), -this.tickOf(entry));
    this.#rows.give(entry);
  }

  /** Says that the page was asked for just now; false when that belongs to its last use. */
  touch(entry: number, list: PageList): boolean {
    const before = this.tickOf(entry);
    const visitUses = visitUsesOf(this.#count * this.#pagesPerEntry) / this.#pagesPerEntry;
    if (this.#tick - before <= visitUses) return false;
    const tick = this.#nextTick();
    this.#set(entry, tickWord, tick);
    list.tickSum += tick - before;
    list.tickLast = tick;
    this.#tickSum += tick - before;
    return true;
  }

  /** Says that half of the entries have been taken out of the sample. */
  sampleLess(): void {
    this.#pagesPerEntry *= 2;
  }

  /** The next page of the same segment. */
  nextOf(entry: number): number {
    return this.#get(entry, nextWord);
  }

  pageOf(entry: number): PageId {
    const file = { a: this.#get(entry, aWord), b: this.#get(entry, bWord), c: this.#get(entry, cWord) };
    return { file, index: this.#get(entry, indexWord) };
  }

  segmentIdOf(entry: number): number {
    return this.#get(entry, segmentWord);
  }

  placeOf(entry: number): PagePlace {
    return {
      segmentId: this.segmentIdOf(entry),
      recordOffsetBytes: this.#get(entry, recordWord) * recordUnitBytes,
      dataStartBytes: this.#get(entry, dataWord) * dataUnitBytes,
      lengthBytes: this.lengthOf(entry),
      checksumIndex: this.#get(entry, checksumWord),
    };
  }

  lengthOf(entry: number): number {
    return this.#get(entry, lengthWord);
  }

  tickOf(entry: number): number {
    return this.#get(entry, tickWord);
  }

  /** The ticks that follow are greater than `tick`. */
  advanceTick(tick: number): void {
    this.#tick = Math.max(this.#tick, tick);
  }

  get isTickSpent(): boolean {
    return this.#tick >= tickMax;
  }

  /**
   * Halves all ticks, which keeps their order but for neighbours, so that they fit 32 bits again. At 100,000 uses a second that is needed twice
   * a day and takes some 10 ms for ten million pages.
   */
  halveTicks(lists: Iterable<PageList>): void {
    this.#tick = Math.ceil(this.#tick / 2);
    this.#tickSum = 0;
    for (const list of lists) {
      list.tickSum = 0;
      list.tickLast >>>= 1;
      for (let entry = list.first; entry !== noEntry; entry = this.nextOf(entry)) {
        const tick = this.tickOf(entry) >>> 1;
        this.#set(entry, tickWord, tick);
        list.tickSum += tick;
      }
      this.#tickSum += list.tickSum;
    }
  }

  #nextTick(): number {
    this.#tick = Math.min(this.#tick + 1, tickMax);
    return this.#tick;
  }

  #addTo(list: PageList, count: number, bytes: number, tick: number): void {
    list.count += count;
    list.bytes += bytes;
    list.tickSum += tick;
    this.#count += count;
    this.#bytes += bytes;
    this.#tickSum += tick;
  }

  readonly #isSought = (entry: number): boolean => {
    const page = this.#sought;
    if (!page) return false;
    const chunk = this.#rows.chunkOf(entry);
    const at = this.#rows.offsetOf(entry);
    return (
      chunk[at + aWord] === page.file.a &&
      chunk[at + indexWord] === page.index &&
      chunk[at + bWord] === page.file.b &&
      chunk[at + cWord] === page.file.c
    );
  };

  #get(entry: number, word: number): number {
    return this.#rows.get(entry, word);
  }

  #set(entry: number, word: number, value: number): void {
    this.#rows.set(entry, word, value);
  }
}
