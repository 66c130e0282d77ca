/**
 * The mark that one worker puts on a request which it relays to another: it says that a worker of this cluster sent it, so that the receiver
 * answers as the owner and sends it no further. It is an HMAC over method, target and time under the cluster's secret; the secret itself never travels. A
 * mark is good for five minutes: what it allows is a read that anybody may make.
 */

import { createHmac, timingSafeEqual } from 'node:crypto';
export const peerMarkHeader = 'x-alluxio-peer';

/** On the answer to a request whose mark does not hold: the wall clock of whoever refuses, in milliseconds, so that the next mark can go by it. */
export const peerRefusedHeader = 'x-alluxio-peer-refused';

/** Clocks that differ by more make a mark that does not hold. */
export const peerMarkAgeMaxMs = 300_000;

export interface MarkedRequest {
  readonly method: string;
  readonly target: string;
}

/** `nowMs` is the receiver's wall clock as far as it is known, otherwise our own. */
export function makePeerMark(request: MarkedRequest, secret: string, nowMs: number): string {
  const timeMs = String(Math.round(nowMs));
  return `1 ${timeMs} ${digestOf(request, timeMs, secret).toString('hex')}`;
}

export function isPeerMark(
  mark: string | undefined,
  request: MarkedRequest,
  secret: string,
  nowMs: number,
): boolean {
  const match = /^1 (\d{1,16}) ([0-9a-f]{64})$/.exec(mark ?? '');
  const [, timeMs = '', hex = ''] = match ?? [];
  if (!match || Math.abs(nowMs - Number(timeMs)) > peerMarkAgeMaxMs) return false;
  return timingSafeEqual(Buffer.from(hex, 'hex'), digestOf(request, timeMs, secret));
}

function digestOf(request: MarkedRequest, timeMs: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(`${request.method}\n${request.target}\n${timeMs}`).digest();
}
