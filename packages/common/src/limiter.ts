/** Lets at most `concurrencyMax` calls run and at most `queueMax` wait; one more is refused, not kept. */

import { AlluxioError } from './errors.ts';

export interface LimiterOptions {
  readonly concurrencyMax: number;
  readonly queueMax: number;
  /** What is limited, for the error: `requests to s3://bucket`. */
  readonly name: string;
}

interface Waiting {
  grant(): void;
}

export class Limiter {
  readonly #options: LimiterOptions;
  readonly #queue = new Set<Waiting>();
  #running = 0;

  constructor(options: LimiterOptions) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running;
  }

  get waitingCount(): number {
    return this.#queue.size;
  }

  /**
   * Resolves when there is room; the caller gives the place back by calling the result once. Rejects with Overloaded when
   * the queue is full, with the signal's reason when it is aborted while waiting.
   */
  async acquire(options: { readonly signal?: AbortSignal } = {}): Promise<() => void> {
    options.signal?.throwIfAborted();
    if (this.#running < this.#options.concurrencyMax) {
      this.#running++;
      return this.#release();
    }
    if (this.#queue.size >= this.#options.queueMax) {
      throw new AlluxioError('Overloaded', `too many ${this.#options.name} are waiting`, {
        retryAfterMs: 1000,
      });
    }
    const { signal } = options;
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        grant: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = (): void => {
        this.#queue.delete(waiting);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#queue.add(waiting);
    });
    return this.#release();
  }

  #release(): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const [next] = this.#queue;
      if (next) {
        // The place passes on as it is: the count stays.
        this.#queue.delete(next);
        next.grant();
      } else {
        this.#running--;
      }
    };
  }
}
