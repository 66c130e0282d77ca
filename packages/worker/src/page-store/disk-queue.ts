/**
 * Disk operations, so many at a time and each with a deadline. A disk that hangs holds the threads of the pool, not
 * the callers: at the deadline the caller is told PageStoreUnavailable, and whatever the operation does later goes into memory
 * that nobody was given. The operation keeps its place until it really ends, so a hung disk is not asked for more than the bound.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';

export interface DiskQueueOptions {
  readonly clock: Clock;
  /** What is queued, for the error: `reads of /cache/0`. */
  readonly name: string;
  readonly timeoutMs: number;
  readonly concurrencyMax: number;
  readonly queueMax: number;
  /** Told of each deadline that passes. */
  readonly onTimeout: () => void;
}

/** The cause of a failure: the operation itself was begun and did not end in time. */
export class DiskDeadline extends Error {}

interface Job {
  readonly dueMs: number;
  start(): void;
  giveUp(why: string, cause?: DiskDeadline): void;
}

export class DiskQueue {
  readonly #options: DiskQueueOptions;
  readonly #waiting = new Set<Job>();
  /** Every job whose caller still waits, the earliest deadline first. */
  readonly #watched = new Set<Job>();
  readonly #closing = new AbortController();
  #running = 0;
  #isWatching = false;

  constructor(options: DiskQueueOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#waiting.size >= this.#options.queueMax;
  }

  /** Whether more than half of what may run at a time does. */
  get isBusy(): boolean {
    return 2 * this.#running > this.#options.concurrencyMax;
  }

  /** Runs `operation` when there is room. Rejects with PageStoreUnavailable at the deadline and when too many wait. */
  run<T>(operation: () => Promise<T>): Promise<T> {
    if (this.isFull) return Promise.reject(this.#unavailable('too many are waiting'));
    return new Promise<T>((resolve, reject) => {
      const job: Job = {
        dueMs: this.#options.clock.monotonic() + this.#options.timeoutMs,
        start: () => {
          this.#running++;
          void operation()
            .then(resolve, reject)
            .finally(() => this.#ended(job));
        },
        giveUp: (why, cause) => {
          this.#watched.delete(job);
          const wasWaiting = this.#waiting.delete(job);
          reject(this.#unavailable(why, wasWaiting ? undefined : cause));
        },
      };
      this.#watched.add(job);
      this.#watch();
      if (this.#running < this.#options.concurrencyMax) job.start();
      else this.#waiting.add(job);
    });
  }

  /** Tells everybody who waits now that they wait in vain. What has begun keeps its place until it ends. */
  giveUpAll(): void {
    for (const job of this.#watched) job.giveUp('the disk has been given up');
  }

  /** Ends the watch over deadlines; no `run` may follow. */
  close(): void {
    this.#closing.abort();
  }

  #ended(job: Job): void {
    this.#running--;
    this.#watched.delete(job);
    const [next] = this.#waiting;
    if (!next) return;
    this.#waiting.delete(next);
    next.start();
  }

  /** One sleeper for all jobs: all have the same time limit, so they fall due in the order in which they came. */
  #watch(): void {
    if (this.#isWatching) return;
    this.#isWatching = true;
    void this.#sleepAndExpire()
      .catch(() => undefined)
      .finally(() => {
        this.#isWatching = false;
      });
  }

  async #sleepAndExpire(): Promise<void> {
    const { clock, onTimeout } = this.#options;
    const signal = this.#closing.signal;
    for (;;) {
      const [first] = this.#watched;
      if (!first || signal.aborted) return;
      const restMs = first.dueMs - clock.monotonic();
      if (restMs > 0) {
        await clock.sleep(restMs, { signal });
      } else {
        const why = `no answer within ${this.#options.timeoutMs} ms`;
        first.giveUp(why, new DiskDeadline(why));
        onTimeout();
      }
    }
  }

  #unavailable(what: string, cause?: DiskDeadline): AlluxioError {
    return new AlluxioError('PageStoreUnavailable', `${this.#options.name}: ${what}`, {
      context: { running: this.#running, waiting: this.#waiting.size },
      ...(cause ? { cause } : {}),
    });
  }
}
