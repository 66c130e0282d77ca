import type { Body } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { TransportRequest, TransportResponse } from '@alluxio-ts/transport/page-transport';
import type { LookupOptions } from '../cache/file-cache.ts';
import type { FileName } from '../cache/mount-table.ts';
import type { FileRouter, PeerApi } from '../cluster/peer-relay.ts';

export interface RoutedRequest {
  readonly request: TransportRequest;
  readonly api: PeerApi;
  readonly file: FileName;
}

/** Answers a read of a file where it belongs: here as its owner, at its owner, or past the cache when no owner can be reached. */
export async function answerRouted(
  routed: RoutedRequest,
  router: FileRouter,
  answerHere: (how: Pick<LookupOptions, 'bypass'>) => Promise<TransportResponse>,
): Promise<TransportResponse> {
  const route = await router.route(routed.request, routed.api, routed.file);
  switch (route.kind) {
    case 'own':
      return answerHere({});
    case 'relayed':
      return withRestFrom(route.response, () => answerHere({ bypass: 'bypass-owner-down' }));
    case 'bypass':
      return answerHere({ bypass: 'bypass-owner-down' });
    default:
      return route satisfies never;
  }
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
