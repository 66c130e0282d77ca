import type { Body } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { TransportRequest, TransportResponse } from '@alluxio-ts/transport/page-transport';
import type { FileCache, LookupOptions } from '../cache/file-cache.ts';
import type { FileName } from '../cache/mount-table.ts';
import type { FileRouter, PeerApi } from '../cluster/peer-relay.ts';
import { ufsFailedHeader } from './surface.ts';

export interface RoutedRequest {
  readonly request: TransportRequest;
  readonly api: PeerApi;
  readonly file: FileName;
}

/** How a file is answered that is read here. */
export interface AnswerHere extends Pick<LookupOptions, 'bypass'> {
  /** Asked when a transport could remember the answer: whether it may, until it is told that the ring has changed. */
  readonly isReusable: () => boolean;
}

export interface RoutedOptions {
  readonly router: FileRouter;
  readonly cache: FileCache;
}

/**
 * Answers a read of a file where it belongs: here as its owner, at its owner, or past the cache when no owner can be reached, or the owner cannot reach the storage.
 * When the storage has not answered this worker lately either, the owner's failure is passed on.
 */
export async function answerRouted(
  routed: RoutedRequest,
  { cache, router }: RoutedOptions,
  answerHere: (how: AnswerHere) => Promise<TransportResponse>,
): Promise<TransportResponse> {
  const { api, file, request } = routed;
  const route = await router.route(request, api, file);
  const answerPast = (): Promise<TransportResponse> =>
    answerHere({ bypass: 'bypass-owner-down', isReusable: () => false });
  switch (route.kind) {
    case 'own':
      return answerHere({ isReusable: () => router.answersHere(request, file) });
    case 'relayed': {
      const { response } = route;
      if (headerOf(response, ufsFailedHeader) === undefined) return withRestFrom(response, answerPast);
      if (cache.files.hasFailedLately(file.mount)) return withoutHeader(response, ufsFailedHeader);
      if (response.body.kind === 'parts') response.body.close();
      return answerPast();
    }
    case 'bypass':
      return answerPast();
    default:
      return route satisfies never;
  }
}

function withoutHeader(response: TransportResponse, name: string): TransportResponse {
  return { ...response, headers: response.headers.filter(([each]) => each !== name) };
}

/**
 * When the owner goes in mid-answer, the rest comes from the same answer made here: of the same version, which the ETag tells, at the offset reached.
 * Without an ETag, or with another one, the answer ends where it is.
 */
function withRestFrom(
  response: TransportResponse,
  again: () => Promise<TransportResponse>,
): TransportResponse {
  const { body } = response;
  const etag = headerOf(response, 'etag');
  if (body.kind !== 'parts' || etag === undefined) return response;
  let isBegun = false;
  let rest: PartsBody | undefined;
  return {
    ...response,
    body: {
      kind: 'parts',
      lengthBytes: body.lengthBytes,
      next: async (offset, options) => {
        if (!isBegun) {
          isBegun = true;
          return body.next(offset, options);
        }
        rest ??= restOf(response, body, await again());
        return rest.next(offset, options);
      },
      close: () => {
        body.close();
        rest?.close();
      },
    },
  };
}

type PartsBody = Extract<Body, { readonly kind: 'parts' }>;

function restOf(begun: TransportResponse, body: PartsBody, answer: TransportResponse): PartsBody {
  const isSame =
    answer.status === begun.status &&
    headerOf(answer, 'etag') === headerOf(begun, 'etag') &&
    headerOf(answer, 'content-range') === headerOf(begun, 'content-range');
  if (answer.body.kind === 'parts') {
    if (isSame && answer.body.lengthBytes === body.lengthBytes) return answer.body;
    answer.body.close();
  }
  throw new AlluxioError(
    'VersionChanged',
    'the owner broke off in mid-answer, and the file has another version now',
  );
}

function headerOf({ headers }: TransportResponse, name: string): string | undefined {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1];
}
