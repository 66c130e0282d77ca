import type { Clock } from '../../src/clock.ts';

interface Sleeper {
  readonly wakeAt: number;
  wake(): void;
}

/** A clock that stands still until a test moves it; sleepers wake in the order of their times. */
export class ManualClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #time = 0;

  now(): number {
    return 1_700_000_000_000 + this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  sleep(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason as Error);
      };
      const sleeper: Sleeper = {
        wakeAt: this.#time + ms,
        wake: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#sleepers.add(sleeper);
    });
  }

  /** Moves at once by `ms`, as when the process stood still, and lets whoever woke run. */
  async jump(ms: number): Promise<void> {
    this.#time += ms;
    const due = [...this.#sleepers].filter((sleeper) => sleeper.wakeAt <= this.#time);
    for (const sleeper of due.sort((one, other) => one.wakeAt - other.wakeAt)) {
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}
