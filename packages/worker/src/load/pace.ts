/** Bytes per second, by pauses: bytes are begun when those before them are paid for. */

import type { Clock } from '@alluxio-ts/common/clock';

export class Pace {
  readonly #clock: Clock;
  /** When everything charged so far is paid for, on the monotonic clock. What was not used is not saved up. */
  #paidAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Charges the bytes as soon as those before are paid for. False when that is not so until `deadlineMs` (monotonic). Rejects with the signal's reason. */
  async charge(
    bytes: number,
    options: {
      /** 0 is no limit. */
      readonly bytesPerSecond: number;
      readonly deadlineMs: number;
      readonly signal: AbortSignal;
    },
  ): Promise<boolean> {
    const { bytesPerSecond, deadlineMs, signal } = options;
    if (bytesPerSecond <= 0) return true;
    for (let now = this.#clock.monotonic(); now < this.#paidAtMs; now = this.#clock.monotonic()) {
      if (now >= deadlineMs) return false;
      await this.#clock.sleep(Math.min(this.#paidAtMs, deadlineMs) - now, { signal });
    }
    this.#paidAtMs = this.#clock.monotonic() + (1000 * bytes) / bytesPerSecond;
    return true;
  }
}
