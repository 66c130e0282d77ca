/** How many answers with a body may be under way at once: each holds buffers, here and in its socket, for as long as its client takes. */

import { AlluxioError } from '@alluxio-ts/common/errors';

const retryAfterMs = 1000;

export class AnswerPlaces {
  readonly #max: number;
  #takenCount = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Fails with Overloaded when all are taken; whoever has one gives it back. */
  take(): void {
    if (this.#takenCount >= this.#max) {
      throw new AlluxioError(
        'Overloaded',
        `${this.#max} answers are under way already (alluxio.worker.answers.max)`,
        { retryAfterMs },
      );
    }
    this.#takenCount++;
  }

  give(): void {
    this.#takenCount--;
  }
}

/** Every 503 says when to ask again: as long as the failing side wished, else a second. */
export function retryAfterOf({ httpStatus, retryAfterMs }: AlluxioError): readonly [string, string][] {
  if (httpStatus !== 503) return [];
  return [['retry-after', String(Math.ceil((retryAfterMs ?? 1000) / 1000))]];
}
