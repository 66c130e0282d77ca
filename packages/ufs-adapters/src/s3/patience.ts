/**
 * How long a connection that was used before may be silent, until a request on it is sent once more on a new one. Whatever stands between (a balancer, a firewall, a storage that
 * was moved) may forget a connection without a word, and its packets are lost for minutes before the kernel gives up; a new connection tells at once whether the storage is there.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { RecentTimes } from '../recent-times.ts';
import type { RetryBudget } from '../retry-budget.ts';

/** Of the time that 99 % of the last answers began within: one of a slow storage is not asked for twice. */
const usualFactor = 4;
const usualShare = 0.99;

export interface PatienceOptions {
  readonly clock: Clock;
  /** It is never shorter. */
  readonly leastMs: number;
  /** Each request that is sent once more is a repetition of it. */
  readonly budget: RetryBudget;
}

export class Patience {
  readonly #options: PatienceOptions;
  readonly #times = new RecentTimes();
  /** When a request that was sent once more was answered in time: what was silent until then on a kept connection is lost, and not slow. */
  #provenMs = Number.NEGATIVE_INFINITY;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  get ms(): number {
    const { leastMs } = this.#options;
    return this.#times.count === 0
      ? leastMs
      : Math.max(leastMs, usualFactor * this.#times.quantile(usualShare));
  }

  /** Asked after each `ms` of silence, of a request that has waited for so long; false goes on to wait, since too much is repeated already. */
  isOver(silentMs: number): boolean {
    const { budget, clock } = this.#options;
    if (this.#provenMs < clock.monotonic() - silentMs) return budget.spend();
    budget.pass();
    return true;
  }

  /** False when it is over before the answer begins. Fails as the answer does. */
  async waitsFor(answer: Promise<unknown>): Promise<boolean> {
    const { clock } = this.#options;
    const sentMs = clock.monotonic();
    while (!(await resolvesWithin(clock, this.ms, answer))) {
      if (this.isOver(clock.monotonic() - sentMs)) return false;
    }
    return true;
  }

  /** Takes the time until the answer begins to a request that was just sent, the first time or again. One that was given up for another tells nothing. */
  async timed<T>(answer: Promise<T>, isAgain = false): Promise<T> {
    const { clock } = this.#options;
    const sentMs = clock.monotonic();
    const begun = await answer;
    const nowMs = clock.monotonic();
    if (isAgain && nowMs - sentMs <= this.ms) this.#provenMs = nowMs;
    this.#times.add(nowMs - sentMs);
    return begun;
  }
}
