/** A clock that stands still until a test moves it. */

import type { Clock } from '@alluxio-ts/common/clock';

interface Sleeper {
  readonly wakeAtMs: number;
  wake(): void;
}

export class ManualClock implements Clock {
  #monotonicMs = 1_000_000;
  #wallMs = Date.UTC(2026, 0, 1);
  readonly #sleepers = new Set<Sleeper>();

  now(): number {
    return this.#wallMs;
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  sleep(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (signal?.aborted) {
      reject(signal.reason as Error);
      return promise;
    }
    const abort = (): void => {
      this.#sleepers.delete(sleeper);
      reject(signal?.reason as Error);
    };
    const sleeper: Sleeper = {
      wakeAtMs: this.#monotonicMs + ms,
      wake: () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      },
    };
    this.#sleepers.add(sleeper);
    signal?.addEventListener('abort', abort, { once: true });
    return promise;
  }

  /** Moves both times on at once, as when the process stood still, and wakes whoever slept until then, in their order. */
  advance(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
    const due = [...this.#sleepers].filter((sleeper) => sleeper.wakeAtMs <= this.#monotonicMs);
    for (const sleeper of due.toSorted((one, other) => one.wakeAtMs - other.wakeAtMs)) {
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
  }

  /** Sets the wall clock alone on, or back. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  /** Moves both on, and lets whoever woke run, also who looks first what came meanwhile (see `resolvesWithin`). */
  async pass(ms: number): Promise<void> {
    this.advance(ms);
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}
