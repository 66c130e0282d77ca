/** What is seen of those who read: when somebody did last, and how long they take. */

import { latencyBucketsMs } from '@alluxio-ts/common/metrics';
import { delayBucketOf } from '@alluxio-ts/transport/delay-watch';
import type { AnsweredRequest } from '@alluxio-ts/transport/page-transport';
import type { TableReport } from '@alluxio-ts/transport/table-report';
import { DelayHistogram } from './delay-histogram.ts';

/** Of the last answers. */
const countMax = 4000;

export class SeenReads {
  readonly #now: () => number;
  readonly #times = new DelayHistogram();
  #lastMs = Number.NEGATIVE_INFINITY;

  /** `now` is the monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** On the monotonic clock; of reads that the native table answers, up to a second ago. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** The bucket of delays (`transport/delay-watch`) that the time of an answer is in at the median. */
  get medianBucket(): number {
    return this.#times.bucketOfTail(0.5);
  }

  /** Somebody reads a page. */
  read(): void {
    this.#lastMs = this.#now();
  }

  answered({ durationMs, isComplete, method, outcome }: AnsweredRequest): void {
    if (method === 'GET' && isComplete && outcome !== undefined) this.#add(durationMs, 1);
  }

  /** What the native table answered, and passed on of other workers. */
  reported({ calls, listeners, pages }: TableReport): void {
    if (pages.length > 0 || listeners.some(({ relayedCount }) => relayedCount > 0)) this.read();
    for (const { bucketCounts, isComplete, method, status } of calls) {
      if (method !== 'GET' || status === 304 || !isComplete) continue;
      // Of a bucket of times only the bounds are known.
      for (const [index, count] of bucketCounts.entries()) this.#add(latencyBucketsMs[index - 1] ?? 0, count);
    }
  }

  #add(durationMs: number, count: number): void {
    if (count > 0) this.#times.addTo(delayBucketOf(durationMs), count, countMax);
  }
}
