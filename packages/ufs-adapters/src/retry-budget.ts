/** How many calls may be repeated: a share of all, and a few at once, so that a storage in trouble gets no multiple of the calls that it cannot answer. */

/** Repetitions that a call earns. */
const share = 0.1;
/** Repetitions that are saved up at most, and there are at the start. */
const savedMax = 10;

export type RetryOutcome = 'repeated' | 'refused';

export class RetryBudget {
  readonly #onSpend: (outcome: RetryOutcome) => void;
  #saved = savedMax;

  /** Told of each repetition, and of each that was refused. */
  constructor(onSpend: (outcome: RetryOutcome) => void = () => undefined) {
    this.#onSpend = onSpend;
  }

  /** A call, not repeated yet. */
  earn(): void {
    this.#saved = Math.min(savedMax, this.#saved + share);
  }

  /** False when there is none left. */
  spend(): boolean {
    const isGranted = this.#saved >= 1;
    if (isGranted) this.#saved--;
    this.#onSpend(isGranted ? 'repeated' : 'refused');
    return isGranted;
  }

  /** A repetition that needs none: of a request that certainly never reached the storage. */
  pass(): void {
    this.#onSpend('repeated');
  }
}
