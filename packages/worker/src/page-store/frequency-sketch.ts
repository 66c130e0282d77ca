/**
 * How often pages were used lately, of all that were seen and not only of those that are kept: a count-min sketch of 4-bit counters, half a byte each in four rows.
 * An estimate is never too low, and too high only where four other pages share its counters. All counts are halved after `agePeriodUses` uses, so that
 * what was popular once does not stay so.
 */

const rowCount = 4;
export const countMax = 15;
/** Odd constants that make four hashes of one. */
const rowFactors = [0x9e37_79b1, 0x85eb_ca6b, 0xc2b2_ae35, 0x27d4_eb2f] as const;

export interface FrequencySketchOptions {
  /** Rounded up to a power of two, at least 1,024. Best is some two for each page that is kept. */
  readonly countersPerRow: number;
}

export class FrequencySketch {
  readonly #rows: readonly Uint8Array[];
  readonly #shift: number;

  constructor(options: FrequencySketchOptions) {
    const bits = Math.max(10, Math.ceil(Math.log2(options.countersPerRow)));
    this.#shift = 32 - bits;
    this.#rows = rowFactors.map(() => new Uint8Array(2 ** (bits - 1)));
  }

  get memoryBytes(): number {
    return rowCount * (this.#rows[0]?.length ?? 0);
  }

  /**
   * Counts a use of what has this hash of 32 bits; gives the estimate before it. Counts only the lowest of its counters up, which keeps the others' estimates lower.
   */
  add(hash: number): number {
    const count = this.estimate(hash);
    if (count === countMax) return count;
    for (let row = 0; row < rowCount; row++) {
      if (this.#get(row, hash) === count) this.#increment(row, hash);
    }
    return count;
  }

  /** 0 to 15. */
  estimate(hash: number): number {
    let least = countMax;
    for (let row = 0; row < rowCount; row++) least = Math.min(least, this.#get(row, hash));
    return least;
  }

  halve(): void {
    // Each byte holds two counters: the bit that would pass from one to the other is masked.
    for (const row of this.#rows)
      for (let at = 0; at < row.length; at++) row[at] = ((row[at] ?? 0) >>> 1) & 0x77;
  }

  #get(row: number, hash: number): number {
    const slot = this.#slotOf(row, hash);
    const byte = this.#rows[row]?.[slot >>> 1] ?? 0;
    return slot & 1 ? byte >>> 4 : byte & 0x0f;
  }

  #increment(row: number, hash: number): void {
    const slot = this.#slotOf(row, hash);
    const bytes = this.#rows[row];
    if (bytes) bytes[slot >>> 1] = (bytes[slot >>> 1] ?? 0) + (slot & 1 ? 0x10 : 1);
  }

  #slotOf(row: number, hash: number): number {
    const mixed = Math.imul(hash ^ (hash >>> 15), rowFactors[row] ?? 1);
    return Math.imul(mixed ^ (mixed >>> 13), 0x9e37_79b1) >>> this.#shift;
  }
}
