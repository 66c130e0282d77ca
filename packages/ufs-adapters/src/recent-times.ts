/** The last times of something that is measured often, and what share of them was shorter than what. */

const samplesMax = 512;
/** Sorting them costs more than adding one: a quantile may be without this share of them. */
const unsortedShareMax = 1 / 8;

export class RecentTimes {
  readonly #samples = new Float64Array(samplesMax);
  #addedCount = 0;
  #sorted = new Float64Array(0);
  #unsortedCount = 0;

  get count(): number {
    return Math.min(this.#addedCount, samplesMax);
  }

  add(ms: number): void {
    this.#samples[this.#addedCount++ % samplesMax] = ms;
    this.#unsortedCount++;
  }

  /** The time that this share of the last ones did not exceed; there must be one. */
  quantile(share: number): number {
    if (this.#unsortedCount > unsortedShareMax * this.count) {
      this.#sorted = this.#samples.slice(0, this.count).sort();
      this.#unsortedCount = 0;
    }
    return this.#sorted[Math.min(this.#sorted.length - 1, Math.floor(share * this.#sorted.length))] ?? 0;
  }
}
