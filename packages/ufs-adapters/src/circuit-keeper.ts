/** Asks a storage that is left alone, one question at a time with growing pauses, until it answers. One thread keeps a circuit: the one that serves the mount. */

import type { Clock } from '@alluxio-ts/common/clock';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { type Circuit, isSilence } from './circuit.ts';
import type { CallOptions } from './ufs.ts';

const pauseMinMs = 500;
/** The longest that calls go on to fail when the storage is back. */
const pauseMaxMs = 5000;
/** A question that is not answered by then is given up: a connection that was open when the storage went never tells. */
const answerMaxMs = 10_000;
/** One that opens again so soon is not trusted with short pauses. */
const settledMs = 10_000;

export interface CircuitChange {
  /** `s3://bucket`. */
  readonly name: string;
  /** `removed`: it was open, and the storage is not in use any more. */
  readonly state: 'open' | 'closed' | 'removed';
  /** How many tries failed before it opened, and for how long there has been no answer. */
  readonly failureCount: number;
  readonly failingMs: number;
}

export interface CircuitKeeperOptions {
  readonly circuit: Circuit;
  readonly clock: Clock;
  /** A cheap question, straight to the storage. */
  readonly ask: (options: CallOptions) => Promise<unknown>;
  /** Told when calls do not go through any more, and when they do again. */
  readonly onChange: (change: CircuitChange) => void;
}

export class CircuitKeeper {
  readonly #options: CircuitKeeperOptions;
  readonly #over = new AbortController();
  readonly #kept: Promise<void>;
  #pauseMs = pauseMinMs;

  constructor(options: CircuitKeeperOptions) {
    this.#options = options;
    this.#kept = this.#keep();
  }

  /** Ends a question that is under way. */
  async close(): Promise<void> {
    this.#over.abort();
    this.#options.circuit.wake();
    await this.#kept;
  }

  async #keep(): Promise<void> {
    const { circuit, clock } = this.#options;
    const { signal } = this.#over;
    let closedAtMs = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      await circuit.whenOpened();
      if (signal.aborted || circuit.isClosed) continue;
      if (clock.monotonic() - closedAtMs > settledMs) this.#pauseMs = pauseMinMs;
      this.#tell('open');
      // It rejects only when this keeper is closed.
      await this.#askUntilAnswered(signal).catch(() => undefined);
      this.#tell(signal.aborted ? 'removed' : 'closed');
      closedAtMs = clock.monotonic();
      circuit.close();
    }
  }

  async #askUntilAnswered(signal: AbortSignal): Promise<void> {
    const { circuit, clock } = this.#options;
    for (;;) {
      circuit.askAgainAt(clock.monotonic() + this.#pauseMs);
      await clock.sleep(this.#pauseMs, { signal });
      this.#pauseMs = Math.min(pauseMaxMs, this.#pauseMs * 2);
      circuit.halfOpen();
      const isAnswered = await this.#isAnswered(signal);
      signal.throwIfAborted();
      if (isAnswered) return;
    }
  }

  async #isAnswered(signal: AbortSignal): Promise<boolean> {
    const { ask, clock } = this.#options;
    const patience = new AbortController();
    const answer = ask({ signal: AbortSignal.any([signal, patience.signal]) }).then(
      () => true,
      (thrown: unknown) => !isSilence(thrown) && !patience.signal.aborted,
    );
    if (!(await resolvesWithin(clock, answerMaxMs, answer))) patience.abort();
    return answer;
  }

  #tell(state: CircuitChange['state']): void {
    const { circuit, onChange } = this.#options;
    const { count, ms } = circuit.failing;
    onChange({ name: circuit.name, state, failureCount: count, failingMs: ms });
  }
}
