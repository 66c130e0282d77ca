/** How many answers with a body may be under way at once: each holds buffers, here and in its socket, for as long as its client takes. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { TransportResponse } from './page-transport.ts';

const retryAfterMs = 1000;

export class AnswerPlaces {
  readonly #max: number;
  #takenCount = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * What is to be sent: the answer, which has a place then, to be given back by its sender, or its refusal when all are taken. The body of what is not sent is closed. Fails with
   * Overloaded when the answer has no refusal, and with the signal's reason when nobody waits for it any more.
   */
  admit(response: TransportResponse, signal: AbortSignal): TransportResponse {
    if (signal.aborted && response.body.kind === 'parts') response.body.close();
    signal.throwIfAborted();
    if (this.#takenCount < this.#max) {
      this.#takenCount++;
      return response;
    }
    if (response.body.kind === 'parts') response.body.close();
    const message = `${this.#max} answers are under way already (alluxio.worker.answers.max)`;
    const error = new AlluxioError('Overloaded', message, { retryAfterMs });
    if (!response.refusal) throw error;
    return response.refusal(error);
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
