/** Who may make a call: a reading one anybody, a changing one who has the admin token or, where the operation says so, a member of the cluster. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Operation } from '@alluxio-ts/common/protocol/operation';
import { isPeerMark, peerMarkHeader, peerRefusedHeader } from '@alluxio-ts/common/protocol/peer-mark';
import type { FastifyReply, FastifyRequest } from 'fastify';

export type AdminAccess =
  | { readonly kind: 'open' }
  /** `tokenFile` is for the error, which says where the token is to be found. */
  | { readonly kind: 'token'; readonly token: string; readonly tokenFile: string };

export interface CallerCheckOptions {
  readonly admin: AdminAccess;
  /** By which members of the cluster are known; undefined where there are none. */
  readonly peerSecret?: string;
  readonly clock: Clock;
}

/** As whom somebody was let in: by the token, by the mark of a member, or because nobody is kept out. */
export type Caller = 'admin' | 'peer' | 'anyone';

/** Throws Unauthenticated without the token, AccessDenied with a mark that does not hold. */
export type CallerCheck = (request: FastifyRequest, reply: FastifyReply, operation: Operation) => Caller;

export function createCallerCheck(options: CallerCheckOptions): CallerCheck {
  const { admin } = options;
  return (request, reply, operation) => {
    if (!operation.changes || admin.kind === 'open') return 'anyone';
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given !== undefined && isSameText(given, admin.token)) return 'admin';
    if (operation.allowsPeer && isFromPeer(request, reply, options)) return 'peer';
    const fault = given === undefined ? 'came without the admin token' : 'came with a wrong admin token';
    throw new AlluxioError(
      'Unauthenticated',
      `a changing call ${fault}; send "Authorization: Bearer <token>" with the token in ${admin.tokenFile} (option alluxio.security.admin.token.file)`,
    );
  };
}

/** False without a mark. */
function isFromPeer(
  request: FastifyRequest,
  reply: FastifyReply,
  { peerSecret, clock }: CallerCheckOptions,
): boolean {
  const mark = request.headers[peerMarkHeader];
  if (typeof mark !== 'string' || peerSecret === undefined) return false;
  const { method, url } = request;
  if (isPeerMark(mark, { method, target: url }, peerSecret, clock.now())) return true;
  void reply.header(peerRefusedHeader, String(clock.now()));
  throw new AlluxioError(
    'AccessDenied',
    'the mark of a member of the cluster does not hold: they must share alluxio.cluster.secret.file, and their clocks',
  );
}

/** Takes the same time whatever differs: digests of equal length are compared. */
function isSameText(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
