/** Where requests that peers relay come in: the mark is checked, and the surface that the client spoke to answers as the owner's. */

import { textBody } from '@alluxio-ts/common/body';
import type { Clock } from '@alluxio-ts/common/clock';
import type { RequestHandler } from '@alluxio-ts/transport/page-transport';
import { isPeerMark, peerMarkHeader } from '../cluster/peer-mark.ts';
import { type PeerApi, parsePeerTarget } from '../cluster/peer-relay.ts';

export interface PeerEntryOptions {
  readonly secret: string;
  readonly clock: Clock;
  readonly surfaces: Readonly<Record<PeerApi, RequestHandler>>;
}

/** `surface` answers everything that is not a peer's. */
export function withPeerEntry(surface: RequestHandler, options: PeerEntryOptions): RequestHandler {
  return async (request) => {
    const peer = parsePeerTarget(request.target);
    if (!peer) return surface(request);
    if (!isPeerMark(request.headers.get(peerMarkHeader), request, options.secret, options.clock)) {
      return {
        status: 403,
        headers: [['content-type', 'text/plain']],
        body: textBody(
          'this path is for the workers of this cluster; they must share alluxio.cluster.secret.file, and their clocks\n',
        ),
      };
    }
    return options.surfaces[peer.api]({ ...request, target: peer.target, isRelayed: true });
  };
}
