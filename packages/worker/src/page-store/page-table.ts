/**
 * The index of a page store: page → where its bytes lie, for tens of millions of pages without an object a page, so
 * that the garbage collector has nothing to walk. An entry is twelve words in chunks of a typed array, which never
 * move; a hash table of entry numbers, in 64 shards, finds it. Shards grow one at a time, so no single insert waits for the
 * whole table (a shard of a ten-million-page table rehashes in a few milliseconds). Entry 48 bytes + hash 5.3 to 10.7.
 *
 * The entries of one segment form a list, so that giving up a segment walks its own pages only.
 */

import type { PageId } from '@alluxio-ts/common/page';

const entryWords = 12;
const chunkShift = 12;
const chunkEntries = 1 << chunkShift;
const chunkMask = chunkEntries - 1;

const shardCount = 64;
const shardShift = 26;
const shardSizeMin = 16;

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
export const noEntry = 0xffff_ffff;

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
}

interface Shard {
  slots: Uint32Array;
  count: number;
}

export class PageTable {
  readonly #chunks: Uint32Array[] = [];
  readonly #shards: Shard[] = [];
  #freeEntry = noEntry;
  #entryCount = 0;
  #count = 0;
  #bytes = 0;
  #tick = 0;
  #tickSum = 0;

  constructor() {
    for (let shard = 0; shard < shardCount; shard++) {
      this.#shards.push({ slots: new Uint32Array(shardSizeMin), count: 0 });
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes of all pages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Mean tick of last use over all pages. */
  get tickMean(): number {
    return this.#count === 0 ? 0 : this.#tickSum / this.#count;
  }

  /** Bytes that the table itself takes. */
  get memoryBytes(): number {
    let slots = 0;
    for (const shard of this.#shards) slots += shard.slots.byteLength;
    return slots + this.#chunks.length * chunkEntries * entryWords * 4;
  }

  find(page: PageId): number {
    const hash = hashOf(page.file.a, page.index);
    const { slots } = this.#shardOf(hash);
    const mask = slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = slots[at] ?? 0;
      if (slot === 0) return noEntry;
      if (this.#isPage(slot - 1, page)) return slot - 1;
    }
  }

  /** Adds a page that is not in the table, as used just now or at `tick`. */
  insert(page: PageId, place: PagePlace, list: PageList, tick = this.#nextTick()): number {
    const entry = this.#takeEntry();
    const chunk = this.#chunkOf(entry);
    const at = (entry & chunkMask) * entryWords;
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
    this.#hashIn(entry);
    return entry;
  }

  remove(entry: number, list: PageList): void {
    this.#hashOut(entry);
    const next = this.nextOf(entry);
    const previous = this.#get(entry, previousWord);
    if (previous === noEntry) list.first = next;
    else this.#set(previous, nextWord, next);
    if (next !== noEntry) this.#set(next, previousWord, previous);
    this.#addTo(list, -1, -this.lengthOf(entry), -this.tickOf(entry));
    this.#set(entry, nextWord, this.#freeEntry);
    this.#freeEntry = entry;
  }

  /** Says that the page was used just now. */
  touch(entry: number, list: PageList): void {
    const tick = this.#nextTick();
    const gain = tick - this.tickOf(entry);
    this.#set(entry, tickWord, tick);
    list.tickSum += gain;
    this.#tickSum += gain;
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

  #isPage(entry: number, page: PageId): boolean {
    const chunk = this.#chunkOf(entry);
    const at = (entry & chunkMask) * entryWords;
    return (
      chunk[at + aWord] === page.file.a &&
      chunk[at + indexWord] === page.index &&
      chunk[at + bWord] === page.file.b &&
      chunk[at + cWord] === page.file.c
    );
  }

  #hashOfEntry(entry: number): number {
    return hashOf(this.#get(entry, aWord), this.#get(entry, indexWord));
  }

  #hashIn(entry: number): void {
    const hash = this.#hashOfEntry(entry);
    const shard = this.#shardOf(hash);
    shard.count++;
    // Linear probing stays short up to three quarters full.
    if (shard.count * 4 > shard.slots.length * 3) this.#grow(shard);
    place(shard.slots, hash, entry + 1);
  }

  #grow(shard: Shard): void {
    const larger = new Uint32Array(shard.slots.length * 2);
    for (const slot of shard.slots) {
      if (slot !== 0) place(larger, this.#hashOfEntry(slot - 1), slot);
    }
    shard.slots = larger;
  }

  /** Takes the entry out and moves later ones of the same run back, so that no tombstones are needed. */
  #hashOut(entry: number): void {
    const hash = this.#hashOfEntry(entry);
    const shard = this.#shardOf(hash);
    const { slots } = shard;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== entry + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const slot = slots[at] ?? 0;
      if (slot === 0) break;
      const home = this.#hashOfEntry(slot - 1) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = slot;
        hole = at;
      }
    }
    slots[hole] = 0;
    shard.count--;
  }

  #takeEntry(): number {
    const free = this.#freeEntry;
    if (free !== noEntry) {
      this.#freeEntry = this.nextOf(free);
      return free;
    }
    const entry = this.#entryCount++;
    if (entry >>> chunkShift >= this.#chunks.length) {
      this.#chunks.push(new Uint32Array(chunkEntries * entryWords));
    }
    return entry;
  }

  #shardOf(hash: number): Shard {
    return this.#shards[hash >>> shardShift] as Shard;
  }

  #chunkOf(entry: number): Uint32Array {
    return this.#chunks[entry >>> chunkShift] as Uint32Array;
  }

  #get(entry: number, word: number): number {
    return this.#chunkOf(entry)[(entry & chunkMask) * entryWords + word] ?? 0;
  }

  #set(entry: number, word: number, value: number): void {
    this.#chunkOf(entry)[(entry & chunkMask) * entryWords + word] = value;
  }
}

function place(slots: Uint32Array, hash: number, slot: number): void {
  const mask = slots.length - 1;
  let at = hash & mask;
  while (slots[at] !== 0) at = (at + 1) & mask;
  slots[at] = slot;
}

/** `a` is 32 bits of a sha256; the pages of one file must spread too. */
function hashOf(a: number, index: number): number {
  let hash = a ^ Math.imul(index, 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
