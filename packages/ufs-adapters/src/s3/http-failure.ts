/** What happened to a connection, as an error with a code like those of Node and undici; `errors.ts` makes one of ours of it. */

/**
 * Nobody answered the connection; it was silent for too long; one that was used before was silent for long enough to try another; it ended before the answer did; what
 * came is not HTTP.
 */
export type HttpFailureCode = 'ETIMEDOUT' | 'HTTP_SILENT' | 'HTTP_LATE' | 'HTTP_ENDED' | 'HPE_INVALID';

export class HttpFailure extends Error {
  readonly code: HttpFailureCode;

  constructor(code: HttpFailureCode, message: string) {
    super(message);
    this.code = code;
  }
}
