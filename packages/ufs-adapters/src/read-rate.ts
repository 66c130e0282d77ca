/**
 * Bytes a second that all storages of a worker together give. The account lies in shared memory, so that one rate holds over all threads. Whoever has taken a chunk
 * pays for it before it asks for more; payments queue up in the order in which they come, so that readers which are all behind get the same.
 */

import type { Clock } from '@alluxio-ts/common/clock';

/** Of a rate that was not used so much is saved up: more than a timer is late by. */
const savedMaxUs = 50_000;

export interface ReadRateOptions {
  readonly bytesPerSecond: number;
  readonly clock: Clock;
  /** Of `newMemory`, shared with the other threads. */
  readonly memory: SharedArrayBuffer;
}

export class ReadRate {
  readonly #options: ReadRateOptions;
  /** Until when everything taken so far is paid for: microseconds of the monotonic clock, which is one for all threads. */
  readonly #paidUntilUs: BigInt64Array<SharedArrayBuffer>;

  static newMemory(): SharedArrayBuffer {
    return new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  }

  constructor(options: ReadRateOptions) {
    this.#options = options;
    this.#paidUntilUs = new BigInt64Array(options.memory);
  }

  /** What another thread needs to hold the same rate. */
  get shared(): Pick<ReadRateOptions, 'bytesPerSecond' | 'memory'> {
    const { bytesPerSecond, memory } = this.#options;
    return { bytesPerSecond, memory };
  }

  /** Resolves when it is the turn of these bytes, with the milliseconds that it took. Rejects with the signal's reason. */
  async pay(bytes: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<number> {
    const { clock } = this.#options;
    const beginMs = clock.monotonic();
    const waitMs = this.#book(bytes, Math.floor(beginMs * 1000)) / 1000;
    if (waitMs <= 0) return 0;
    await clock.sleep(waitMs, options.signal ? { signal: options.signal } : {});
    return clock.monotonic() - beginMs;
  }

  /** Gives the microseconds until the bytes may be used. */
  #book(bytes: number, nowUs: number): number {
    const costUs = BigInt(Math.ceil((bytes * 1_000_000) / this.#options.bytesPerSecond));
    const earliestUs = BigInt(nowUs - savedMaxUs);
    for (;;) {
      const paidUs = Atomics.load(this.#paidUntilUs, 0);
      const beginUs = paidUs > earliestUs ? paidUs : earliestUs;
      if (Atomics.compareExchange(this.#paidUntilUs, 0, paidUs, beginUs + costUs) === paidUs) {
        return Number(beginUs) - nowUs;
      }
    }
  }
}
