/**
 * The page transport whose sockets belong to a native thread (packages/transport/hotpath). That thread answers alone what its table knows; every other
 * request comes here, is given to the surface, and its answer is handed down in chunks. The table is filled from answers that say they are
 * reusable, page by page; what the table then sends was checked, and is checked again when the kernel no longer has it in memory; docs/decisions/0003-hotpath-seam.md.
 */

import { lookup } from 'node:dns/promises';
import { STATUS_CODES } from 'node:http';
import { getSystemErrorName } from 'node:util';
import { bodyLengthOf, type SegmentRead } from '@alluxio-ts/common/body';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { AnswerPlaces, retryAfterOf } from './answer-places.ts';
import { bindError } from './bind-error.ts';
import { sendBody } from './body-sender.ts';
import { delayBucketCount, type DelayWatch } from './delay-watch.ts';
import { headerLines } from './header-lines.ts';
import { aheadMaxBytes, HotpathExchange } from './hotpath-exchange.ts';
import {
  type NativeEvent,
  type NativeHotpath,
  type NativeRequest,
  eventKinds,
  startNativeHotpath,
} from './hotpath-native.ts';
import { HotpathTable, renewAheadMaxMs } from './hotpath-table.ts';
import type {
  Dropped,
  HeaderList,
  ListenOptions,
  Listener,
  PageTransport,
  TransportRequest,
  TransportResponse,
} from './page-transport.ts';
import type { PlainTransportOptions } from './plain-transport.ts';
import { type TableReport, takeTableReport } from './table-report.ts';

export interface HotpathTransportOptions extends PlainTransportOptions {
  /** What the table may take. */
  readonly tableBytes: number;
  /** What routes to other workers may take. */
  readonly routesBytes: number;
  /** Connections to each other worker. */
  readonly upstreamsMax: number;
  /** Under which the workers of a cluster mark what they ask of each other; without it such requests come to the surface. */
  readonly peerSecret?: string | undefined;
  /** Told every second, and once more at the end, what the table has answered by itself: `onAnswered` is not. Must not throw. */
  readonly onTableReport: (report: TableReport) => void;
  /** Upper bounds of the buckets of times, at most 15. */
  readonly timeBoundsMs: readonly number[];
  /** Whether reports name each answer. */
  readonly reportsAnswers: boolean;
}

export const hotpathTransportDefaults = {
  tableBytes: 64 * 1024 * 1024,
  routesBytes: 16 * 1024 * 1024,
  upstreamsMax: 256,
} as const;

const reportIntervalMs = 1000;

/** What an answer holds at most while it waits for its client, beside the socket's own buffer. */
export const hotpathAnswerMaxBytes = aheadMaxBytes;

/** A renewal is given up by nobody: it ends with its handler. */
const neverAborted = new AbortController().signal;

/**
 * Headers that change no answer. Reads are anonymous, so those of signatures are among them; where access keys are checked, they are not.
 */
const neutralHeaders = [
  'host',
  'user-agent',
  'accept',
  'accept-encoding',
  'accept-language',
  'connection',
  'authorization',
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  // Of other workers.
  'x-alluxio-request-id',
  // Of fetch.
  'sec-fetch-mode',
] as const;

export class HotpathTransport implements PageTransport {
  readonly #options: HotpathTransportOptions;
  readonly #listeners: ListenOptions[] = [];
  readonly #exchanges = new Map<number, HotpathExchange>();
  readonly #idPrefix: string;
  readonly #places: AnswerPlaces;
  readonly #drainedAll = Promise.withResolvers<void>();
  #native: NativeHotpath | undefined;
  #table: HotpathTable | undefined;
  readonly #reporting = new AbortController();
  #reported: Promise<void> | undefined;
  #requestCount = 0;
  #willTell = false;
  #closing = false;

  constructor(options: HotpathTransportOptions) {
    this.#options = options;
    this.#places = new AnswerPlaces(options.answersMax);
    this.#idPrefix = Buffer.from(options.random.bytes(6)).toString('hex');
  }

  /** Fails also with InvalidOptions where the addon was not built. */
  async listen(options: ListenOptions): Promise<Listener> {
    const { address } = await lookup(options.host).catch((thrown: Error) => {
      throw bindError(thrown, undefined, options);
    });
    this.#native ??= this.#start();
    this.#reported ??= this.#reportAgainAndAgain();
    const { errno, port } = this.#native.listen(address, options.port);
    if (errno !== 0) {
      const name = getSystemErrorName(-errno);
      throw bindError(new Error(name), name, options);
    }
    this.#listeners.push(options);
    return { host: address, port };
  }

  drop(dropped: Dropped): void {
    this.#table?.drop(dropped);
  }

  beforeRead({ lengthBytes, offset, path }: SegmentRead): void {
    this.#native?.beforeRead(path, offset, lengthBytes);
  }

  watchDelays(): DelayWatch {
    const native = this.#native;
    if (!native) throw new Error('a transport that does not listen serves nobody');
    // Nothing of the one before.
    native.markDelays(false);
    native.takeDelays();
    native.watchDelays(true);
    return {
      mark: (isBeside) => native.markDelays(isBeside),
      take: () => {
        const counts = native.takeDelays();
        return { alone: counts.subarray(0, delayBucketCount), beside: counts.subarray(delayBucketCount) };
      },
      close: () => native.watchDelays(false),
    };
  }

  /** Tells what there is to tell now. */
  report(): void {
    if (!this.#native) return;
    const names = this.#listeners.map(({ name }) => name);
    this.#options.onTableReport(takeTableReport(this.#native, names));
  }

  async #reportAgainAndAgain(): Promise<void> {
    const { signal } = this.#reporting;
    while (!signal.aborted) {
      await this.#options.clock.sleep(reportIntervalMs, { signal }).catch(() => undefined);
      this.report();
    }
  }

  async close(options: { readonly deadlineMs: number }): Promise<void> {
    this.#closing = true;
    this.#table?.close();
    if (!this.#native) return;
    this.#native.drain();
    await resolvesWithin(this.#options.clock, options.deadlineMs, this.#drainedAll.promise);
    this.#native.stop();
    this.#reporting.abort();
    await this.#reported;
    for (const connection of this.#exchanges.keys()) this.#finish(connection, false);
  }

  #start(): NativeHotpath {
    const {
      answersMax,
      connectionsMax,
      headersTimeoutMs,
      keepAliveTimeoutMs,
      peerSecret = '',
      reportsAnswers,
      routesBytes,
      stallTimeoutMs,
      tableBytes,
      timeBoundsMs,
      upstreamsMax,
    } = this.#options;
    const native = startNativeHotpath(
      {
        tableBytes,
        connectionsMax,
        answersMax,
        headersTimeoutMs,
        keepAliveTimeoutMs,
        stallTimeoutMs,
        neutralHeaders,
        requestIdPrefix: this.#idPrefix,
        routesBytes,
        upstreamsMax,
        timeBoundsMs,
        isLogged: reportsAnswers,
        peerSecret,
      },
      (events) => {
        for (const event of events) this.#onEvent(native, event);
      },
    );
    const { clock, logger } = this.#options;
    this.#table = new HotpathTable({ native, clock, logger });
    return native;
  }

  #onEvent(native: NativeHotpath, event: NativeEvent): void {
    const { connection, kind } = event;
    if (kind === eventKinds.renewal) {
      if (event.request) this.#renew(event.request);
      return;
    }
    if (event.request) {
      const { request } = event;
      const exchange = new HotpathExchange(native, connection, { request, tellSoon: this.#tellSoon });
      this.#exchanges.set(connection, exchange);
      void this.#answer(exchange, event.request);
      return;
    }
    const exchange = this.#exchanges.get(connection);
    if (event.body) exchange?.onBody(event.body);
    if (event.sent !== undefined) exchange?.onSent(event.sent);
    if (kind === eventKinds.answered || kind === eventKinds.gone) {
      this.#finish(connection, kind === eventKinds.answered);
    }
    if (kind === eventKinds.drainedAll) this.#drainedAll.resolve();
  }

  /** Once the promises that are settled now have been gone through: head, first bytes and end of a short answer are one wake-up. */
  readonly #tellSoon = (): void => {
    if (this.#willTell) return;
    this.#willTell = true;
    process.nextTick(() => {
      this.#willTell = false;
      this.#native?.tell();
    });
  };

  #finish(connection: number, isComplete: boolean): void {
    const exchange = this.#exchanges.get(connection);
    this.#exchanges.delete(connection);
    exchange?.onOver(isComplete);
  }

  #renew(native: NativeRequest): void {
    const listener = this.#listeners[native.listener];
    if (!listener) return;
    const of = { body: nothing(), signal: neverAborted };
    const ask = (): Promise<TransportResponse> =>
      listener.handler({ ...this.#requestOf(native, of), renewAheadMs: renewAheadMaxMs });
    void this.#table?.renew(native, ask);
  }

  async #answer(exchange: HotpathExchange, native: NativeRequest): Promise<void> {
    const { clock, logger, onAnswered } = this.#options;
    const startedMs = clock.monotonic();
    const listener = this.#listeners[native.listener];
    if (!listener) throw new Error(`a request came in at listener ${native.listener}, which there is not`);
    const request = this.#requestOf(native, { body: exchange.body(), signal: exchange.signal });
    const routesDropCount = this.#table?.routesDropCount ?? 0;
    let answered: Pick<TransportResponse, 'status' | 'headers'> = { status: 500, headers: [] };
    exchange.onceOver((isComplete) => {
      if (exchange.hasPlace) this.#places.give();
      onAnswered({
        listener: listener.name,
        requestId: request.requestId,
        method: request.method,
        target: request.target,
        remoteAddress: request.remoteAddress,
        status: answered.status,
        sentBytes: exchange.sentBytes,
        durationMs: clock.monotonic() - startedMs,
        isComplete,
        outcome: answered.headers.find(([name]) => name === 'x-alluxio-cache')?.[1],
      });
    });
    try {
      const response = this.#admit(exchange, request, await listener.handler(request));
      answered = response;
      void this.#table?.learnRoute(native, response, routesDropCount);
      await this.#send(exchange, request, response);
    } catch (thrown) {
      const { requestId } = request;
      const target = loggableTarget(request.target);
      const error = toAlluxioError(thrown);
      if (!exchange.signal.aborted && error.code !== 'Overloaded') {
        logger.warn({ listener: listener.name, requestId, target, error: thrown }, 'answer-failed');
      }
      if (exchange.isHeadSent) {
        exchange.reset();
        return;
      }
      const { httpStatus } = error;
      answered = { status: httpStatus, headers: [] };
      const headers: HeaderList = [['x-request-id', requestId], ...retryAfterOf(error)];
      exchange.sendHead(this.#headOf(exchange, httpStatus, headers, 0));
      exchange.end(this.#isKept(exchange));
    }
  }

  #requestOf(native: NativeRequest, of: Pick<TransportRequest, 'body' | 'signal'>): TransportRequest {
    this.#requestCount++;
    return {
      method: native.method,
      target: native.target,
      headers: headersOf(native),
      requestId: `${this.#idPrefix}${this.#requestCount.toString(16).padStart(8, '0')}`,
      remoteAddress: native.remoteAddress,
      ...(native.resume ? { rest: native.resume } : {}),
      ...of,
    };
  }

  async #send(
    exchange: HotpathExchange,
    request: TransportRequest,
    response: TransportResponse,
  ): Promise<void> {
    const { body, status } = response;
    const isBodyless = status === 304 || status === 204;
    try {
      const head = this.#headOf(
        exchange,
        status,
        response.headers,
        isBodyless ? undefined : bodyLengthOf(body),
      );
      const hasBody = !isBodyless && request.method !== 'HEAD';
      if (exchange.request.resume) expectRest(response, exchange.request.resume);
      else exchange.sendHead(head, hasBody && body.kind === 'bytes' ? body.bytes : undefined);
      if (hasBody && body.kind === 'parts') {
        await sendBody(body, exchange, {
          slots: this.#options.slots,
          clock: this.#options.clock,
          signal: exchange.signal,
          onExtentSent: (extent, offset) => this.#table?.learn(exchange.request, response, extent, offset),
        });
      }
      exchange.end(this.#isKept(exchange));
    } finally {
      if (body.kind === 'parts') body.close();
    }
  }

  /** The answer, or its refusal. The table's places are counted apart, and what it cannot end keeps its right to be answered. */
  #admit(
    exchange: HotpathExchange,
    { method, signal }: TransportRequest,
    response: TransportResponse,
  ): TransportResponse {
    const { body } = response;
    if (body.kind !== 'parts' || method === 'HEAD' || exchange.request.resume) return response;
    // `onOver` of an answer that is not aborted is still to come, and gives the place back.
    const admitted = this.#places.admit(response, signal);
    exchange.hasPlace = admitted === response;
    return admitted;
  }

  #isKept(exchange: HotpathExchange): boolean {
    return exchange.request.isKeptAlive && !this.#closing;
  }

  /** The whole head; `lengthBytes` counts unless the surface gave a length. */
  #headOf(
    exchange: HotpathExchange,
    status: number,
    headers: HeaderList,
    lengthBytes: number | undefined,
  ): string {
    const all = [...headers];
    const hasLength = headers.some(([name]) => name.toLowerCase() === 'content-length');
    if (!hasLength && lengthBytes !== undefined) all.push(['content-length', String(lengthBytes)]);
    // Kept or not, it is said: HTTP/1.0 would take silence for a close.
    all.push(['connection', this.#isKept(exchange) ? 'keep-alive' : 'close']);
    all.push(['date', new Date(this.#options.clock.now()).toUTCString()]);
    return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${headerLines(all)}\r\n`;
  }
}

/** The body of a request that has none. */
async function* nothing(): AsyncGenerator<Uint8Array> {}

/** Fails when the answer is not the rest of the one that the table began. */
function expectRest(
  { body, headers, status }: TransportResponse,
  { etag, from, to }: NonNullable<NativeRequest['resume']>,
): void {
  const isSame = headers.some(([name, value]) => name === 'etag' && value === etag);
  if ((status === 206 || status === 200) && isSame && body.kind === 'parts' && body.lengthBytes === to - from)
    return;
  throw new AlluxioError(
    'VersionChanged',
    `an answer cannot go on: bytes ${from} to ${to} are not what they were`,
    {
      context: { status },
    },
  );
}

/** Those of the request; of one that the table has answered in part, with the range that is left. */
function headersOf({ headers, resume }: NativeRequest): ReadonlyMap<string, string> {
  const joined = joinHeaders(headers);
  if (resume) joined.set('range', `bytes=${resume.from}-${resume.to - 1}`);
  return joined;
}

function joinHeaders(flat: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const [name = '', value = ''] = [flat[at], flat[at + 1]];
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}
