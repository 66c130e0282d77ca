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
      return route.response;
    case 'bypass':
      return answerHere({ bypass: 'bypass-owner-down' });
    default:
      return route satisfies never;
  }
}
