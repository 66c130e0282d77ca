/**
 * Has jobs give way to readers. While files are read, the permits of jobs are as many as leave the event loop free: it is asked how late it is, and permits are taken
 * away by a third as soon as it is late, and given back one by one when it was not for a while. A load that finds readers begins with few. Without readers jobs have
 * all of them.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import type { FairPermits } from './fair-permits.ts';

export interface ReadersFirstOptions {
  readonly permits: FairPermits;
  readonly concurrencyMax: number;
  /** On the monotonic clock: when something was read last. */
  readonly lastReadMs: () => number;
  readonly clock: Clock;
}

const askPauseMs = 20;
/** A reader that waits so long for the event loop at each of its turns feels it. */
const lateMaxMs = 2;
/** So often in a row in time for one permit more. */
const inTimeMin = 5;
const permitsAtFirst = 2;
/** Readers pause between files. */
const readerGoneMs = 1000;

export class ReadersFirst {
  readonly #options: ReadersFirstOptions;
  #batchCount = 0;
  #watch: AbortController | undefined;

  constructor(options: ReadersFirstOptions) {
    this.#options = options;
  }

  /** Watches as long as there are batches; the result ends one. */
  begin(): () => void {
    if (this.#batchCount++ === 0) {
      this.#watch = new AbortController();
      const { concurrencyMax, permits } = this.#options;
      if (this.#hasReaders()) permits.setMax(Math.min(permits.max, permitsAtFirst, concurrencyMax));
      void this.#run(this.#watch.signal);
    }
    return () => {
      if (--this.#batchCount === 0) this.#watch?.abort();
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, concurrencyMax, permits } = this.#options;
    let inTimeCount = 0;
    while (!signal.aborted) {
      const askedMs = clock.monotonic();
      await clock.sleep(askPauseMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const isLate = clock.monotonic() - askedMs - askPauseMs > lateMaxMs;
      inTimeCount = isLate ? 0 : inTimeCount + 1;
      if (!this.#hasReaders()) permits.setMax(concurrencyMax);
      else if (isLate) permits.setMax(Math.max(1, Math.floor((permits.max * 2) / 3)));
      else if (inTimeCount % inTimeMin === 0) permits.setMax(Math.min(concurrencyMax, permits.max + 1));
    }
  }

  #hasReaders(): boolean {
    const { clock, lastReadMs } = this.#options;
    return clock.monotonic() - lastReadMs() <= readerGoneMs;
  }
}
