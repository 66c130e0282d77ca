/** How many calls may be repeated: a share of all, and a few at once, so that a storage in trouble gets no multiple of the calls that it cannot answer. */

/** Repetitions that a call earns. */
const share = 0.1;
/** Repetitions that are saved up at most, and there are at the start. */
const savedMax = 10;

export class RetryBudget {
  #saved = savedMax;

  /** A call, not repeated yet. */
  earn(): void {
    this.#saved = Math.min(savedMax, this.#saved + share);
  }

  /** False when there is none left. */
  spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }
}
