/**
 * Rows of words for tens of millions of things without an object each, so that the garbage collector has nothing to walk. Rows lie in chunks of a typed array, which
 * never move; a hash table of row numbers, in 64 shards, finds them. Shards grow one at a time, so no single insert waits for the whole table (a shard
 * of ten million rows rehashes in a few milliseconds). The hash takes 5.3 to 10.7 bytes a row.
 *
 * What the words mean, and which of them are the key, is its user's matter.
 */

const chunkShift = 12;
const chunkRows = 1 << chunkShift;
const chunkMask = chunkRows - 1;

const shardCount = 64;
const shardShift = 26;
const shardSizeMin = 16;

/** The row that is none: what `find` gives for a miss. */
export const noRow = 0xffff_ffff;

interface Shard {
  slots: Uint32Array;
  count: number;
}

export interface RowTableOptions {
  /** At least one. */
  readonly rowWords: number;
  /** Of a row that is in use, 32 bits without a sign: the same for as long as it is in the hash. */
  readonly hashOf: (row: number) => number;
}

export class RowTable {
  readonly #rowWords: number;
  readonly #hashOf: (row: number) => number;
  readonly #chunks: Uint32Array[] = [];
  readonly #shards: Shard[] = [];
  #freeRow = noRow;
  #rowCount = 0;

  constructor(options: RowTableOptions) {
    this.#rowWords = options.rowWords;
    this.#hashOf = options.hashOf;
    for (let shard = 0; shard < shardCount; shard++) {
      this.#shards.push({ slots: new Uint32Array(shardSizeMin), count: 0 });
    }
  }

  /** Rows that were ever taken: every row's number is below it. */
  get rowCount(): number {
    return this.#rowCount;
  }

  /** Bytes that the table itself takes. */
  get memoryBytes(): number {
    let slots = 0;
    for (const shard of this.#shards) slots += shard.slots.byteLength;
    return slots + this.#chunks.length * chunkRows * this.#rowWords * 4;
  }

  /** The words that the row is among, from `offsetOf(row)` on. */
  chunkOf(row: number): Uint32Array {
    return this.#chunks[row >>> chunkShift] as Uint32Array;
  }

  offsetOf(row: number): number {
    return (row & chunkMask) * this.#rowWords;
  }

  get(row: number, word: number): number {
    return this.chunkOf(row)[this.offsetOf(row) + word] ?? 0;
  }

  set(row: number, word: number, value: number): void {
    this.chunkOf(row)[this.offsetOf(row) + word] = value;
  }

  /** A row outside the hash, its words as whoever had it before left them. */
  take(): number {
    const free = this.#freeRow;
    if (free !== noRow) {
      this.#freeRow = this.get(free, 0);
      return free;
    }
    const row = this.#rowCount++;
    if (row >>> chunkShift >= this.#chunks.length) {
      this.#chunks.push(new Uint32Array(chunkRows * this.#rowWords));
    }
    return row;
  }

  /** Gives back a row that is not in the hash. Its first word is no longer its own. */
  give(row: number): void {
    this.set(row, 0, this.#freeRow);
    this.#freeRow = row;
  }

  /** The row of this hash that is the sought one. */
  find(hash: number, isSought: (row: number) => boolean): number {
    const { slots } = this.#shardOf(hash);
    const mask = slots.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const slot = slots[at] ?? 0;
      if (slot === 0) return noRow;
      if (isSought(slot - 1)) return slot - 1;
    }
  }

  hashIn(row: number): void {
    const hash = this.#hashOf(row);
    const shard = this.#shardOf(hash);
    shard.count++;
    // Linear probing stays short up to three quarters full.
    if (shard.count * 4 > shard.slots.length * 3) this.#grow(shard);
    place(shard.slots, hash, row + 1);
  }

  /** Takes the row out and moves later ones of the same run back, so that no tombstones are needed. */
  hashOut(row: number): void {
    const hash = this.#hashOf(row);
    const shard = this.#shardOf(hash);
    const { slots } = shard;
    const mask = slots.length - 1;
    let hole = hash & mask;
    while (slots[hole] !== row + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const slot = slots[at] ?? 0;
      if (slot === 0) break;
      const home = this.#hashOf(slot - 1) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots[hole] = slot;
        hole = at;
      }
    }
    slots[hole] = 0;
    shard.count--;
  }

  #grow(shard: Shard): void {
    const larger = new Uint32Array(shard.slots.length * 2);
    for (const slot of shard.slots) {
      if (slot !== 0) place(larger, this.#hashOf(slot - 1), slot);
    }
    shard.slots = larger;
  }

  #shardOf(hash: number): Shard {
    return this.#shards[hash >>> shardShift] as Shard;
  }
}

function place(slots: Uint32Array, hash: number, slot: number): void {
  const mask = slots.length - 1;
  let at = hash & mask;
  while (slots[at] !== 0) at = (at + 1) & mask;
  slots[at] = slot;
}

/** Spreads words whose bits are not all used. */
export function hashOfWords(one: number, other: number): number {
  let hash = one ^ Math.imul(other, 0x9e37_79b1);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
