/**
 * Has jobs give way to readers. While files are read, the permits of jobs are as many as leave the event loop free: it is asked how late it is, and permits are taken
 * away by a third as soon as it is late, and given back one by one when it was not for a while. The last permit is not taken away: it rests after each page, for up to
 * three times as long as the page took. A load that finds readers begins with few permits. Without readers jobs have all of them.
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
/** So often in a row in time for one permit more, or a shorter rest. */
const inTimeMin = 25;
/** So long in time, there is room for half as many more at once. */
const inTimeForLong = 100;
/** Of the time that a page took: a job goes on with a quarter of what one connection gives, however busy the machine is. */
const restMax = 3;
const permitsAtFirst = 2;
/** Readers pause between files. */
const readerGoneMs = 1000;

export class ReadersFirst {
  readonly #options: ReadersFirstOptions;
  #batchCount = 0;
  #rest = 0;
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

  /** So long a permit rests after a page that took so long, both in milliseconds. */
  restAfter(pageMs: number): number {
    return this.#rest * pageMs;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let inTimeCount = 0;
    while (!signal.aborted) {
      const askedMs = clock.monotonic();
      await clock.sleep(askPauseMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      const isLate = clock.monotonic() - askedMs - askPauseMs > lateMaxMs;
      inTimeCount = isLate ? 0 : inTimeCount + 1;
      if (!this.#hasReaders()) this.#giveAll();
      else if (isLate) this.#takeAway();
      else if (inTimeCount % inTimeMin === 0) this.#giveBack(inTimeCount >= inTimeForLong);
    }
  }

  #giveAll(): void {
    this.#rest = 0;
    this.#options.permits.setMax(this.#options.concurrencyMax);
  }

  #takeAway(): void {
    const { permits } = this.#options;
    if (permits.max === 1) this.#rest = Math.min(restMax, this.#rest + 1);
    permits.setMax(Math.max(1, Math.floor((permits.max * 2) / 3)));
  }

  #giveBack(isLong: boolean): void {
    const { concurrencyMax, permits } = this.#options;
    if (this.#rest > 0) this.#rest--;
    else permits.setMax(Math.min(concurrencyMax, permits.max + (isLong ? Math.ceil(permits.max / 2) : 1)));
  }

  #hasReaders(): boolean {
    const { clock, lastReadMs } = this.#options;
    return clock.monotonic() - lastReadMs() <= readerGoneMs;
  }
}
