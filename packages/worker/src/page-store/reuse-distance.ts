/**
 * How many uses pass between two of the same page, over all pages that are seen, kept or not: the mean of the last few of a sample. For a job that reads each
 * sample once an epoch it is the size of the data set.
 */

/** Of so many pages one is watched. */
const sampleShare = 64;
const watchedMax = 1 << 16;
const weight = 1 / 16;

export class ReuseDistance {
  mean = 0;
  #tick = 0;
  /** Tick of last use, by hash of the page; the one that was used longest ago first. */
  readonly #watched = new Map<number, number>();

  add(hash: number): void {
    this.#tick++;
    if (hash % sampleShare !== 0) return;
    const before = this.#watched.get(hash);
    this.#watched.delete(hash);
    this.#watched.set(hash, this.#tick);
    if (before !== undefined) this.#take(this.#tick - before);
    else if (this.#watched.size > watchedMax) this.#forgetEldest();
  }

  #take(distance: number): void {
    this.mean = this.mean === 0 ? distance : this.mean + (distance - this.mean) * weight;
  }

  #forgetEldest(): void {
    for (const eldest of this.#watched.keys()) {
      this.#watched.delete(eldest);
      return;
    }
  }
}
