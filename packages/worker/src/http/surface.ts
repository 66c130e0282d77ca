/** What every surface does around its calls: a request id on each answer, and failures as answers, by the catalogue alone. */

import { type Body, emptyBody } from '@alluxio-ts/common/body';
import { type AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import { retryAfterOf } from '@alluxio-ts/transport/answer-places';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { Logger } from '@alluxio-ts/common/logger';
import type {
  RequestHandler,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';

/** Marks an owner's failure that is the under storage's. */
export const ufsFailedHeader = 'x-alluxio-ufs-failed';

export interface SurfaceOptions {
  /** The header that carries the request id. */
  readonly idHeader: string;
  readonly logger: Logger;
  /** Fails with an AlluxioError for what cannot be answered. */
  answer(request: TransportRequest): Promise<TransportResponse>;
  /** The error as this surface's clients read it. `message` may be shown: what is internal stays in the log. */
  describe(request: TransportRequest, error: AlluxioError, message: string): ErrorDescription;
}

export interface ErrorDescription {
  readonly headers: TransportResponse['headers'];
  readonly body: Body;
}

export function createSurface(options: SurfaceOptions): RequestHandler {
  return async (request) => {
    const headersOf = ({ headers }: TransportResponse): TransportResponse['headers'] => [
      ...headers,
      [options.idHeader, request.requestId],
    ];
    const refusal = (error: AlluxioError): TransportResponse => {
      const response = errorResponse(request, error, options);
      return { ...response, headers: headersOf(response) };
    };
    try {
      const response = await options.answer(request);
      return { ...response, headers: headersOf(response), refusal };
    } catch (thrown) {
      return refusal(toAlluxioError(thrown));
    }
  };
}

function errorResponse(
  request: TransportRequest,
  error: AlluxioError,
  options: SurfaceOptions,
): TransportResponse {
  const isInternal = error.code === 'Internal';
  if (isInternal) {
    const target = loggableTarget(request.target);
    options.logger.error({ requestId: request.requestId, target, error }, 'request-failed');
  }
  const message = isInternal ? 'internal error; the log has the request id' : error.message;
  const { headers, body } = options.describe(request, error, message);
  const all = [...headers, ...retryAfterOf(error), ...ufsFailedHeaders(request, error)];
  if (request.method !== 'HEAD') return { status: error.httpStatus, headers: all, body };
  return { status: error.httpStatus, headers: [...all, ['content-length', '0']], body: emptyBody };
}

/** A worker that asked for another reads past the cache when the owner cannot reach the storage: it may reach it itself. */
function ufsFailedHeaders(
  request: TransportRequest,
  error: AlluxioError,
): readonly [name: string, value: string][] {
  return request.isRelayed && hasErrorCode(error, 'UfsUnavailable', 'UfsTimeout')
    ? [[ufsFailedHeader, '1']]
    : [];
}
