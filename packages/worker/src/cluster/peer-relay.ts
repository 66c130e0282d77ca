/**
 * Sends a read that came to the wrong worker on to the owner of its file, and the owner's answer back, byte for byte. Only owners cache; when none of
 * them can be reached, whoever asked reads past the cache.
 */

import { type Body, emptyBody } from '@alluxio-ts/common/body';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { hostAndPortOf, type WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import type {
  ReusableRoute,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import { Agent, type Dispatcher } from 'undici';
import type { FileName } from '../cache/mount-table.ts';
import type { Placement } from '../cache/placement.ts';
import { SilenceWatch } from '@alluxio-ts/common/client/silence-watch';
import {
  makePeerMark,
  peerMarkAgeMaxMs,
  peerMarkHeader,
  peerRefusedHeader,
} from '@alluxio-ts/common/protocol/peer-mark';

/** The surface whose request is relayed: the owner answers with the same one. */
export type PeerApi = 's3' | 'rest';

/** What members of the cluster ask of each other begins so. */
export const peerPrefix = '/internal/peer/';

/** Where a request of a worker's peers begins: `/internal/peer/s3/bucket/key`. */
export function peerTargetOf(api: PeerApi, target: string): string {
  return `${peerPrefix}${api}${target}`;
}

export function parsePeerTarget(
  target: string,
): { readonly api: PeerApi; readonly target: string } | undefined {
  const match = /^\/internal\/peer\/(s3|rest)(\/.*)$/.exec(target);
  const api = match?.[1];
  return match?.[2] !== undefined && (api === 's3' || api === 'rest') ? { api, target: match[2] } : undefined;
}

/** What to do with a read of a file. */
export type Route =
  /** This worker owns the file. */
  | { readonly kind: 'own' }
  | { readonly kind: 'relayed'; readonly response: TransportResponse }
  /** No owner can be reached: read past the cache. */
  | { readonly kind: 'bypass' };

export interface FileRouter {
  /** Whether this worker answers such requests itself, until the ring changes: not where it stands in for an owner that is left alone. */
  answersHere(request: TransportRequest, file: FileName): boolean;
  route(request: TransportRequest, api: PeerApi, file: FileName): Promise<Route>;
}

/** Alone, a worker owns everything. */
export const ownEverything: FileRouter = {
  answersHere: () => true,
  route: async () => ({ kind: 'own' }),
};

export interface PeerRelayOptions {
  readonly placement: Placement;
  readonly self: () => WorkerNetAddress;
  readonly secret: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Connections to each peer. */
  readonly connectionsMax: number;
  /** Whether clients of the S3 API are sent to the owner by a 307. */
  readonly redirectsS3: boolean;
  /** Called when a peer is left alone from now on, or its clock turns out to differ: routes that were given out before hold no longer. */
  readonly onRoutesChanged: () => void;
}

/** Marks a request that a 307 sent here, so that it is sent no further. */
const redirectedParameter = 'x-alluxio-redirected=1';

/** A peer that does not take a connection in this time counts as gone. */
const connectTimeoutMs = 500;
/** A peer that was gone is left alone for so long. */
const skipMs = 5000;
/** Until the head of the owner's answer: the owner's own deadlines towards the under storage are shorter. */
const headTimeoutMs = 120_000;
/** Between two pieces of it; what is missing is then read past the cache. */
const bodyTimeoutMs = 60_000;

/** So long a transport may send further requests to the owner by itself. Far below what a mark is good for. */
const routeValidForMs = 60_000;

/** What of a request means something to the owner: the same as in packages/transport/hotpath/src/request.rs. */
const forwardedHeaders = [
  'range',
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
] as const;

/** Answers of the file itself: what comes after them may well be one too. */
const reusableStatuses = new Set([200, 206, 304]);

/** What belongs to one connection and not to the answer: the same as in packages/transport/hotpath/src/upstream.rs. */
const hopHeaders = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'date',
  'x-amz-request-id',
  'x-request-id',
]);

export class PeerRelay implements FileRouter {
  readonly #options: PeerRelayOptions;
  readonly #agent: Agent;
  /** On the monotonic clock, by `host:port`: until when a peer is left alone. Bounded by the number of peers. */
  readonly #skippedUntilMs = new Map<string, number>();
  /** By `host:port`: how far the wall clock of a peer that refused a mark for its time is ahead of ours. Bounded by the number of peers. */
  readonly #clockOffsetsMs = new Map<string, number>();
  readonly #silence: SilenceWatch;

  constructor(options: PeerRelayOptions) {
    this.#options = options;
    this.#silence = new SilenceWatch(options.clock);
    this.#agent = new Agent({
      connections: options.connectionsMax,
      pipelining: 1,
      connect: { timeout: connectTimeoutMs },
      headersTimeout: headTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
    });
  }

  answersHere(request: TransportRequest, file: FileName): boolean {
    if (request.isRelayed) return true;
    const [first] = this.#options.placement.ownersOf(file.ufsPath);
    return !first || hostAndPortOf(first) === hostAndPortOf(this.#options.self());
  }

  /** Fails with what a reachable owner fails with in mid-answer; an owner's error answers are passed on as they are. */
  async route(request: TransportRequest, api: PeerApi, file: FileName): Promise<Route> {
    if (request.isRelayed) return { kind: 'own' };
    const owners = this.#options.placement.ownersOf(file.ufsPath);
    const self = hostAndPortOf(this.#options.self());
    if (owners.length === 0) return { kind: 'own' };
    for (const [index, owner] of owners.entries()) {
      const name = hostAndPortOf(owner);
      // Nobody before this worker in the list can be reached: as a replica it is next.
      if (name === self) return { kind: 'own' };
      if (this.#isSkipped(name)) continue;
      if (this.#options.redirectsS3 && api === 's3') return redirectOf(request, owner);
      const response = await this.#ask(owner, request, api);
      if (!response) continue;
      // A replica stands in for as long as the owner is left alone, which ends by itself.
      const isReusable = index === 0 && api === 's3' && reusableStatuses.has(response.status);
      const reusableRoute = (): ReusableRoute => this.#routeTo(owner, request, api);
      return { kind: 'relayed', response: isReusable ? { ...response, reusableRoute } : response };
    }
    return { kind: 'bypass' };
  }

  async close(): Promise<void> {
    await Promise.all([this.#agent.close(), this.#silence.close()]);
  }

  #isSkipped(name: string): boolean {
    const untilMs = this.#skippedUntilMs.get(name);
    if (untilMs === undefined) return false;
    if (this.#options.clock.monotonic() < untilMs) return true;
    this.#skippedUntilMs.delete(name);
    return false;
  }

  /** Undefined when the peer takes no connection, resets it before the head of an answer, or shows no sign of life. */
  async #ask(
    owner: WorkerNetAddress,
    request: TransportRequest,
    api: PeerApi,
  ): Promise<TransportResponse | undefined> {
    const { clock, logger } = this.#options;
    const over = new AbortController();
    const { signal } = over;
    const name = hostAndPortOf(owner);
    let isSilent = false;
    const stopWatching = this.#silence.begin(name, () => {
      isSilent = true;
      over.abort(new AlluxioError('UfsTimeout', `${name} shows no sign of life`));
    });
    const giveUp = (): void => over.abort(request.signal.reason);
    const answered = (): void => {
      stopWatching();
      request.signal.removeEventListener('abort', giveUp);
    };
    request.signal.addEventListener('abort', giveUp, { once: true });
    if (request.signal.aborted) giveUp();
    try {
      const markedAtMs = this.#clockOf(owner);
      let response = await this.#send(owner, request, { api, markedAtMs, signal });
      if (isRefused(response) && this.#takesClockOf(owner, response, markedAtMs))
        response = await this.#send(owner, request, { api, markedAtMs: this.#clockOf(owner), signal });
      if (isRefused(response)) {
        throw new AlluxioError(
          'AccessDenied',
          `${name} does not know this worker: they need the same alluxio.cluster.secret.file`,
        );
      }
      response.body.once('close', answered);
      const onChunk = (): void => this.#silence.heard(name);
      onChunk();
      return answerOf(request, response, onChunk);
    } catch (thrown) {
      answered();
      const isGone = isSilent || isUnreachable(thrown);
      if (request.signal.aborted || !isGone) throw asPeerError(owner, thrown, request.signal);
      this.#skippedUntilMs.set(name, clock.monotonic() + skipMs);
      this.#options.onRoutesChanged();
      logger.warn({ peer: name, requestId: request.requestId, error: thrown }, 'peer-skipped');
      return undefined;
    }
  }

  #routeTo(owner: WorkerNetAddress, { method, target }: TransportRequest, api: PeerApi): ReusableRoute {
    const marked = { method, target: peerTargetOf(api, target) };
    return {
      host: owner.Host,
      port: owner.HttpServerPort,
      target: marked.target,
      headers: [[peerMarkHeader, makePeerMark(marked, this.#options.secret, this.#clockOf(owner))]],
      validForMs: routeValidForMs,
      requestIdHeader: 'x-amz-request-id',
    };
  }

  async #send(
    owner: WorkerNetAddress,
    request: TransportRequest,
    {
      api,
      markedAtMs,
      signal,
    }: { readonly api: PeerApi; readonly markedAtMs: number; readonly signal: AbortSignal },
  ): Promise<Dispatcher.ResponseData> {
    const target = peerTargetOf(api, request.target);
    const headers: Record<string, string> = {
      [peerMarkHeader]: makePeerMark({ method: request.method, target }, this.#options.secret, markedAtMs),
      'x-alluxio-request-id': request.requestId,
    };
    for (const name of forwardedHeaders) {
      const value = request.headers.get(name);
      if (value !== undefined) headers[name] = value;
    }
    const response = await this.#agent.request({
      origin: `http://${hostAndPortOf(owner)}`,
      path: target,
      method: request.method === 'HEAD' ? 'HEAD' : 'GET',
      headers,
      signal,
    });
    if (isRefused(response)) response.body.on('error', () => undefined).resume();
    return response;
  }

  /** The peer's wall clock, as far as it is known. */
  #clockOf(peer: WorkerNetAddress): number {
    return this.#options.clock.now() + (this.#clockOffsetsMs.get(hostAndPortOf(peer)) ?? 0);
  }

  /** Whether the mark was refused for its time, so that one by the peer's clock, which is known from now on, may hold. */
  #takesClockOf(owner: WorkerNetAddress, refusal: Dispatcher.ResponseData, markedAtMs: number): boolean {
    const { clock, logger } = this.#options;
    const name = hostAndPortOf(owner);
    const peerMs = Number(refusal.headers[peerRefusedHeader]);
    if (!(Math.abs(peerMs - markedAtMs) > peerMarkAgeMaxMs)) return false;
    const offsetMs = peerMs - clock.now();
    this.#clockOffsetsMs.set(name, offsetMs);
    this.#options.onRoutesChanged();
    logger.warn({ peer: name, offsetMs }, 'peer-clock-differs');
    return true;
  }
}

function isRefused({ statusCode, headers }: Dispatcher.ResponseData): boolean {
  return statusCode === 403 && headers[peerRefusedHeader] !== undefined;
}

/** One that was sent here already and is not at home here either reads past the cache: two workers may see two rings for a while. */
function redirectOf(request: TransportRequest, owner: WorkerNetAddress): Route {
  const { target } = request;
  if (target.includes(redirectedParameter)) return { kind: 'bypass' };
  const marked = `${target}${target.includes('?') ? '&' : '?'}${redirectedParameter}`;
  const headers = [['location', `http://${owner.Host}:${owner.S3Port}${marked}`]] as const;
  return { kind: 'relayed', response: { status: 307, headers, body: emptyBody } };
}

function answerOf(
  request: TransportRequest,
  response: Dispatcher.ResponseData,
  onChunk: () => void,
): TransportResponse {
  const headers: [string, string][] = [];
  for (const [name, value] of Object.entries(response.headers)) {
    if (value === undefined || hopHeaders.has(name)) continue;
    for (const each of Array.isArray(value) ? value : [value]) headers.push([name, outcomeHere(name, each)]);
  }
  return { status: response.statusCode, headers, body: bodyOf(request, response, onChunk) };
}

/** What the owner had is a hit at a peer; what it had to fetch stays what it was. */
function outcomeHere(name: string, value: string): string {
  return name === 'x-alluxio-cache' && value === 'hit' ? 'hit-peer' : value;
}

function bodyOf(request: TransportRequest, response: Dispatcher.ResponseData, onChunk: () => void): Body {
  const lengthBytes = Number(response.headers['content-length'] ?? 0);
  if (request.method === 'HEAD' || lengthBytes === 0) {
    response.body.on('error', () => undefined).resume();
    return { kind: 'bytes', bytes: new Uint8Array(0) };
  }
  let isTaken = false;
  return {
    kind: 'parts',
    lengthBytes,
    next: async (offset) => {
      // Where the rest is to be had is not known here (see `answerRouted`).
      if (isTaken)
        throw new AlluxioError('UfsUnavailable', `the owner's answer broke off at ${offset}`, {
          retry: 'never',
        });
      isTaken = true;
      const stream = piecesOf(response.body, request.signal, onChunk);
      return { kind: 'stream', stream, lengthBytes, isOwned: true };
    },
    close: () => {
      response.body.on('error', () => undefined);
      if (!response.body.readableEnded) response.body.destroy();
    },
  };
}

/** Fails like the body of a storage, so that the rest is asked for. */
async function* piecesOf(
  stream: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onChunk: () => void,
): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of stream) {
      onChunk();
      yield chunk;
    }
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw new AlluxioError('UfsUnavailable', "the owner's answer broke off", { cause: thrown });
  }
}

/** Also one that takes this worker for a stranger: reads go on past the cache, and the log says why. */
function isUnreachable(thrown: unknown): boolean {
  if (hasErrorCode(thrown, 'AccessDenied')) return true;
  const code = errnoOf(thrown) ?? '';
  return [
    'ECONNREFUSED',
    'ECONNRESET',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'ENOTFOUND',
    'EPIPE',
    'UND_ERR_CONNECT_TIMEOUT',
    'UND_ERR_SOCKET',
  ].includes(code);
}

function asPeerError(owner: WorkerNetAddress, thrown: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return thrown;
  const reason =
    thrown instanceof Error ? `${errnoOf(thrown) ?? thrown.name} ${thrown.message}` : String(thrown);
  return new AlluxioError('UfsTimeout', `the owner ${hostAndPortOf(owner)} did not answer: ${reason}`, {
    cause: thrown,
  });
}
