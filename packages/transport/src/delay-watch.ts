/**
 * How late whoever serves connections comes to what is due: a timer is due every millisecond or two, as if somebody asked for something then. What keeps the server
 * from it, work of its own, other threads, other processes or the machine, keeps it from its clients as long. Delays are counted in buckets whose bounds grow
 * by the fourth root of two.
 */

import type { Clock } from '@alluxio-ts/common/clock';

/** Counts by bucket. */
export interface DelayCounts {
  /** What was due without that work; what was due beside it. */
  readonly alone: ArrayLike<number>;
  readonly beside: ArrayLike<number>;
}

/** One that has begun to count. */
export interface DelayWatch {
  /** Whether what is due from now on is so beside work that may be the reason if it is late. */
  mark(isBeside: boolean): void;
  /** Since the last call, of which the caller owns what it gets. */
  take(): DelayCounts;
  close(): void;
}

/** The last is for a quarter of a second and more. */
export const delayBucketCount = 50;

const firstBoundMs = 1 / 16;
export const delayBucketsPerDoubling = 4;

/** The first bucket whose bound is not below the delay. */
export function delayBucketOf(delayMs: number): number {
  const bucket = Math.ceil(Math.log2(delayMs / firstBoundMs) * delayBucketsPerDoubling);
  return Math.min(delayBucketCount - 1, Math.max(0, bucket));
}

/** However long the server was kept away at once, it counts for so many: the machine stands still now and then, for long, and that says little of the rest of the time. */
const atOnceMax = 5;

/** Timers of the event loop are no finer than a millisecond. */
const loopIntervalMs = 2;

/** Of this thread's event loop. */
export class LoopDelayWatch implements DelayWatch {
  readonly #clock: Clock;
  readonly #closing = new AbortController();
  #isBeside = false;
  #alone = new Uint32Array(delayBucketCount);
  #beside = new Uint32Array(delayBucketCount);

  constructor(clock: Clock) {
    this.#clock = clock;
    void this.#run();
  }

  mark(isBeside: boolean): void {
    this.#isBeside = isBeside;
  }

  take(): DelayCounts {
    const taken = { alone: this.#alone, beside: this.#beside };
    this.#alone = new Uint32Array(delayBucketCount);
    this.#beside = new Uint32Array(delayBucketCount);
    return taken;
  }

  close(): void {
    this.#closing.abort();
  }

  async #run(): Promise<void> {
    const clock = this.#clock;
    const { signal } = this.#closing;
    let dueMs = clock.monotonic();
    let wasBeside = false;
    for (;;) {
      await clock.sleep(loopIntervalMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      // What was late may be so for work that is over now.
      const counts = this.#isBeside || wasBeside ? this.#beside : this.#alone;
      wasBeside = this.#isBeside;
      const nowMs = clock.monotonic();
      const dueCount = Math.floor((nowMs - dueMs) / loopIntervalMs);
      for (let index = 1; index <= Math.min(atOnceMax, dueCount); index++) {
        const bucket = delayBucketOf(nowMs - dueMs - index * loopIntervalMs);
        counts[bucket] = (counts[bucket] ?? 0) + 1;
      }
      dueMs += dueCount * loopIntervalMs;
    }
  }
}
