import { type Clock, systemClock } from '../../src/clock.ts';

/** The real clock, which a test can move ahead: for a store whose other side runs on real time. */
export class JumpingClock implements Clock {
  readonly #jumped = new Set<() => void>();
  readonly #slept = new Set<(ms: number) => void>();
  #aheadMs = 0;

  now(): number {
    return systemClock.now() + this.#aheadMs;
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#aheadMs;
  }

  async sleep(ms: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    for (const notify of this.#slept) notify(ms);
    const wakeAt = this.monotonic() + ms;
    while (this.monotonic() < wakeAt) {
      const jump = new AbortController();
      const wake = (): void => jump.abort();
      this.#jumped.add(wake);
      const signal = AbortSignal.any([jump.signal, ...(options.signal ? [options.signal] : [])]);
      try {
        await systemClock.sleep(wakeAt - this.monotonic(), { signal });
      } catch {
        options.signal?.throwIfAborted();
      } finally {
        this.#jumped.delete(wake);
      }
    }
  }

  jump(ms: number): void {
    this.#aheadMs += ms;
    for (const wake of this.#jumped) wake();
  }

  /** Resolves when somebody begins to sleep for at least so long. */
  nextSleep(atLeastMs: number): Promise<void> {
    return new Promise((resolve) => {
      const notify = (ms: number): void => {
        if (ms < atLeastMs) return;
        this.#slept.delete(notify);
        resolve();
      };
      this.#slept.add(notify);
    });
  }
}
