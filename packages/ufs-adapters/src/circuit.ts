/**
 * Whether a storage is asked at all. One that fails to answer again and again is left alone: calls fail at once instead of waiting for it, until a
 * question of our own is answered (`circuit-keeper.ts`). What is known lies in shared memory, so that the main thread and the fill threads of a worker, which
 * each open the storage for themselves, learn from each other's calls.
 *
 * closed: calls go through. open: none does. half-open: none does but one question. Only failures to answer count: no connection, no answer in time,
 * a server error. That a file is missing, forbidden or overwritten is an answer, and so is being throttled.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import { murmur3 } from '@alluxio-ts/common/murmur3';

/** So many tries in a row without an answer open it. */
const failuresMax = 5;
/** So does one that fails when nothing was answered for so long. */
const silenceMaxMs = 10_000;
/** No client is told to come back sooner. */
const retryAfterMinMs = 1000;

const stateWord = 0;
const failureCountWord = 1;
/** Hash of the name that the last server error was about. */
const failedNameWord = 2;
/** When the first call that failed since the last answer was begun, and when that answer came: milliseconds of the monotonic clock, which is one for all threads. */
const failingSinceWord = 3;
const answeredWord = 4;
const askedAgainWord = 5;
const wordCount = 6;

const closedState = 0n;
const openState = 1n;
const halfOpenState = 2n;

export interface CircuitOptions {
  /** What is left alone, for the error: `s3://bucket`. */
  readonly name: string;
  readonly clock: Clock;
  /** Of `newMemory`, shared with the other openings of the same mount. */
  readonly memory: SharedArrayBuffer;
}

export class Circuit {
  readonly #options: CircuitOptions;
  readonly #words: BigInt64Array<SharedArrayBuffer>;

  static newMemory(): SharedArrayBuffer {
    return new SharedArrayBuffer(wordCount * BigInt64Array.BYTES_PER_ELEMENT);
  }

  constructor(options: CircuitOptions) {
    this.#options = options;
    this.#words = new BigInt64Array(options.memory);
  }

  get name(): string {
    return this.#options.name;
  }

  get isClosed(): boolean {
    return Atomics.load(this.#words, stateWord) === closedState;
  }

  /** How many tries have failed since the last answer, and for how long. */
  get failing(): { readonly count: number; readonly ms: number } {
    const sinceMs = Math.max(this.#read(failingSinceWord), this.#read(answeredWord));
    return { count: this.#read(failureCountWord), ms: Math.max(0, this.#nowMs - sinceMs) };
  }

  /** Throws UfsUnavailable, which says when the storage is asked again, unless calls go through. */
  check(): void {
    if (this.isClosed) return;
    const askedInMs = Math.max(0, this.#read(askedAgainWord) - this.#nowMs);
    const { count, ms } = this.failing;
    const again = askedInMs > 0 ? `in ${(askedInMs / 1000).toFixed(1)} s` : 'just now';
    throw new AlluxioError(
      'UfsUnavailable',
      `${this.name} has not answered ${count} times in ${Math.round(ms / 1000)} s and is left alone; it is asked again ${again}, come back then`,
      { retry: 'never', retryAfterMs: Math.max(retryAfterMinMs, askedInMs), context: { isLeftAlone: true } },
    );
  }

  /** A try ended well, or with this failure. */
  settled(call: { readonly name: string; readonly askedAtMs: number; readonly failure?: unknown }): void {
    if (!isSilence(call.failure)) {
      this.#write(answeredWord, this.#nowMs);
      if (this.isClosed) Atomics.store(this.#words, failureCountWord, 0n);
      return;
    }
    if (!this.isClosed || this.#isKnown(call.name, call.failure)) return;
    const count = Number(Atomics.add(this.#words, failureCountWord, 1n)) + 1;
    if (count === 1) this.#write(failingSinceWord, call.askedAtMs);
    if (count >= failuresMax || this.failing.ms >= silenceMaxMs) this.#move(closedState, openState);
  }

  /** For its keeper: the storage is going to be asked at that time. */
  askAgainAt(monotonicMs: number): void {
    this.#write(askedAgainWord, monotonicMs);
    this.#move(halfOpenState, openState);
  }

  /** For its keeper: the one question is under way. */
  halfOpen(): void {
    this.#move(openState, halfOpenState);
  }

  /** For its keeper: the storage answers again. */
  close(): void {
    Atomics.store(this.#words, failureCountWord, 0n);
    Atomics.store(this.#words, stateWord, closedState);
  }

  /** Resolves when it is not closed (any more), in whichever thread that came about, or when `wake` was called. */
  async whenOpened(): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, stateWord, closedState);
    if (wait.async) await wait.value;
  }

  wake(): void {
    Atomics.notify(this.#words, stateWord);
  }

  /** A server error about one name, again, tells nothing new: it may be that name alone. */
  #isKnown(name: string, failure: unknown): boolean {
    if (!(failure instanceof AlluxioError) || failure.context['status'] === undefined) return false;
    const hash = BigInt(murmur3(Buffer.from(name)));
    return Atomics.exchange(this.#words, failedNameWord, hash) === hash && this.#read(failureCountWord) > 0;
  }

  #move(from: bigint, to: bigint): void {
    if (Atomics.compareExchange(this.#words, stateWord, from, to) === from) this.wake();
  }

  get #nowMs(): number {
    return Math.floor(this.#options.clock.monotonic());
  }

  #read(word: number): number {
    return Number(Atomics.load(this.#words, word));
  }

  #write(word: number, value: number): void {
    Atomics.store(this.#words, word, BigInt(Math.floor(value)));
  }
}

/** Whether a call failed because the storage did not answer it. */
export function isSilence(failure: unknown): boolean {
  return hasErrorCode(failure, 'UfsUnavailable', 'UfsTimeout');
}
