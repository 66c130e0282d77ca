/** The last times of something that is measured often, and what share of them was shorter than what. */

const samplesMax = 512;
/** Sorting them costs more than adding one, so a quantile is as old as that at most. */
const quantileAgeMax = 16;

export class RecentTimes {
  readonly #samples = new Float64Array(samplesMax);
  #addedCount = 0;
  #sorted = new Float64Array(0);
  #sortedAtCount = -1;

  get count(): number {
    return Math.min(this.#addedCount, samplesMax);
  }

  add(ms: number): void {
    this.#samples[this.#addedCount++ % samplesMax] = ms;
  }

  /** The time that this share of the last ones did not exceed; there must be one. */
  quantile(share: number): number {
    if (this.#sortedAtCount < 0 || this.#addedCount - this.#sortedAtCount >= quantileAgeMax) {
      this.#sorted = this.#samples.slice(0, this.count).toSorted();
      this.#sortedAtCount = this.#addedCount;
    }
    return this.#sorted[Math.min(this.#sorted.length - 1, Math.floor(share * this.#sorted.length))] ?? 0;
  }
}
