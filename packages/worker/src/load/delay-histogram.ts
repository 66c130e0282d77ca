/** Delays of the last while by bucket. */

import { delayBucketCount } from '@alluxio-ts/transport/delay-watch';

export class DelayHistogram {
  readonly #counts = new Float64Array(delayBucketCount);
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** What was counted before weighs half as much whenever it makes more than so many. */
  add(counts: ArrayLike<number>, countMax: number): void {
    for (let bucket = 0; bucket < delayBucketCount; bucket++) this.#add(bucket, counts[bucket] ?? 0);
    this.#halveTo(countMax);
  }

  /** Likewise, in one bucket. */
  addTo(bucket: number, count: number, countMax: number): void {
    this.#add(bucket, count);
    this.#halveTo(countMax);
  }

  halve(): void {
    for (let bucket = 0; bucket < delayBucketCount; bucket++)
      this.#add(bucket, -(this.#counts[bucket] ?? 0) / 2);
  }

  /** How many are above this bucket. */
  countAbove(bucket: number): number {
    return this.#counts.subarray(bucket + 1).reduce((sum, count) => sum + count, 0);
  }

  /** The lowest bucket above which there is no more than this share; 0 where nothing was counted. */
  bucketOfTail(share: number): number {
    const aboveMax = share * this.#total;
    let bucket = delayBucketCount - 1;
    for (let above = this.#counts[bucket] ?? 0; bucket > 0 && above <= aboveMax; ) {
      bucket--;
      above += this.#counts[bucket] ?? 0;
    }
    return bucket;
  }

  #halveTo(countMax: number): void {
    while (this.#total > countMax) this.halve();
  }

  #add(bucket: number, count: number): void {
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
    this.#total += count;
  }
}
