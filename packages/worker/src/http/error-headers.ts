import type { AlluxioError } from '@alluxio-ts/common/errors';

/** Every 503 says when to ask again: as long as the failing side wished, else a second. */
export function retryAfterHeaders(error: AlluxioError): readonly [name: string, value: string][] {
  if (error.httpStatus !== 503) return [];
  return [['retry-after', String(Math.ceil((error.retryAfterMs ?? 1000) / 1000))]];
}
