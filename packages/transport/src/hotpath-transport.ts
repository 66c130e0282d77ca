/**
 * The page transport whose sockets belong to a native thread (packages/transport/hotpath). That thread answers alone what its table knows; every other
 * request comes here, is given to the surface, and its answer is handed down in chunks. The table is filled from answers that say they are
 * reusable, page by page; what the table then sends was checked, and is checked again when the kernel no longer has it in memory; docs/decisions/0003-hotpath-seam.md.
 */

import { lookup } from 'node:dns/promises';
import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import { getSystemErrorName } from 'node:util';
import { bodyLengthOf, type SegmentRead } from '@alluxio-ts/common/body';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { FileKey } from '@alluxio-ts/common/page';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import { AnswerPlaces, retryAfterOf } from './answer-places.ts';
import { bindError } from './bind-error.ts';
import { type ExtentPart, sendBody } from './body-sender.ts';
import { aheadMaxBytes, HotpathExchange } from './hotpath-exchange.ts';
import {
  type NativeEntry,
  type NativeEvent,
  type NativeHotpath,
  type NativeRequest,
  eventKinds,
  startNativeHotpath,
} from './hotpath-native.ts';
import type {
  Dropped,
  HeaderList,
  ListenOptions,
  Listener,
  PageTransport,
  ReusableAnswer,
  ReusableRoute,
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

/** An entry is made anew after this time however long its file may be trusted. */
const entryAgeMaxMs = 600_000;

/** An entry is renewed so long before it runs out, at most half its time: long enough for a storage that is slow to answer. */
const renewAheadMaxMs = 10_000;

/** At once; an entry for which there is no room runs out, unless it is used again some seconds later. */
const renewalsMax = 32;

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
  readonly #reporting = new AbortController();
  #reported: Promise<void> | undefined;
  #requestCount = 0;
  #renewalCount = 0;
  #willTell = false;
  /** How often routes were dropped: what was found out before is not put after. */
  #routesDropCount = 0;
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
    switch (dropped.kind) {
      case 'file':
        this.#native?.dropFile(wordsOf(dropped.fileKey));
        return;
      case 'segment':
        this.#native?.dropSegment(dropped.path);
        return;
      case 'routes':
        this.#routesDropCount++;
        this.#native?.dropRoutes();
        return;
      case 'all':
        this.#routesDropCount++;
        this.#native?.dropAll();
        return;
      default:
        dropped satisfies never;
    }
  }

  beforeRead({ fd, lengthBytes, offset, path }: SegmentRead): void {
    this.#native?.beforeRead(path, fd, offset, lengthBytes);
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
    return native;
  }

  #onEvent(native: NativeHotpath, event: NativeEvent): void {
    const { connection, kind } = event;
    if (kind === eventKinds.renewal) {
      if (event.request) void this.#renew(event.request);
      return;
    }
    if (event.request) {
      const tellSoon = (): void => this.#tellSoon(native);
      const exchange = new HotpathExchange(native, connection, { request: event.request, tellSoon });
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
  #tellSoon(native: NativeHotpath): void {
    if (this.#willTell) return;
    this.#willTell = true;
    process.nextTick(() => {
      this.#willTell = false;
      native.tell();
    });
  }

  #finish(connection: number, isComplete: boolean): void {
    const exchange = this.#exchanges.get(connection);
    this.#exchanges.delete(connection);
    exchange?.onOver(isComplete);
  }

  /** Asks the surface once more for what the table has answered, so that its entry holds for longer. Never fails. */
  async #renew(native: NativeRequest): Promise<void> {
    const listener = this.#listeners[native.listener];
    if (!listener || this.#renewalCount >= renewalsMax) return;
    this.#renewalCount++;
    try {
      const { body, reusable } = await listener.handler({
        ...this.#requestOf(native, { body: nothing(), signal: neverAborted }),
        renewAheadMs: renewAheadMaxMs,
      });
      if (body.kind === 'parts') body.close();
      const renewed = reusable?.();
      if (renewed) this.#put(native, renewed, []);
    } catch (thrown) {
      const target = loggableTarget(native.target);
      this.#options.logger.warn({ listener: listener.name, target, error: thrown }, 'renewal-failed');
    } finally {
      this.#renewalCount--;
    }
  }

  async #answer(exchange: HotpathExchange, native: NativeRequest): Promise<void> {
    const { clock, logger, onAnswered } = this.#options;
    const startedMs = clock.monotonic();
    const listener = this.#listeners[native.listener];
    if (!listener) throw new Error(`a request came in at listener ${native.listener}, which there is not`);
    const request = this.#requestOf(native, { body: exchange.body(), signal: exchange.signal });
    const routesDropCount = this.#routesDropCount;
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
      void this.#learnRoute(native, response, routesDropCount);
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
          onExtentSent: (extent, offset) => this.#learn(exchange.request, response, extent, offset),
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

  /** Takes a page into the table, if it and the answer still hold: nothing runs between the question and the answer to it, and whoever changes either calls `drop` when they do. */
  #learn(native: NativeRequest, response: TransportResponse, { handle }: ExtentPart, offset: number): void {
    const reusable = response.reusable?.();
    const page = handle.native;
    if (!reusable || !page) return;
    const { checksums, path, offset: pageOffset, lengthBytes } = page;
    const index = pageIndexOf(reusable, offset);
    this.#put(native, reusable, [{ index, path, offset: pageOffset, lengthBytes, checksums }]);
  }

  /** Beside the pages that are given, those of the same version that the table has of the target stay; without any there is no entry. */
  #put({ listener, target }: NativeRequest, reusable: ReusableAnswer, pages: NativeEntry['pages']): void {
    if (this.#closing) return;
    const freshForMs = Math.min(reusable.freshUntilMs - this.#options.clock.monotonic(), entryAgeMaxMs);
    if (freshForMs <= 0) return;
    this.#native?.put({
      listener,
      target,
      fileKey: wordsOf(reusable.fileKey),
      sizeBytes: reusable.sizeBytes,
      pageSizeBytes: reusable.pageSizeBytes,
      freshForMs,
      renewInMs: freshForMs - Math.min(renewAheadMaxMs, freshForMs / 2),
      headers: headerLines(reusable.headers),
      bodyHeaders: headerLines(reusable.bodyHeaders),
      requestIdHeader: `${reusable.requestIdHeader}: `,
      etag: reusable.etag ?? '',
      ...(reusable.window ? { window: reusable.window } : {}),
      pages,
    });
  }

  /** Has further requests for the target passed on natively, if no route was dropped since this one came. Never fails. */
  async #learnRoute(
    { listener, method, target }: NativeRequest,
    { reusableRoute }: TransportResponse,
    routesDropCount: number,
  ): Promise<void> {
    const route = reusableRoute?.();
    if (!route) return;
    const freshUntilMs = this.#options.clock.monotonic() + route.validForMs;
    const found = await lookup(route.host).catch(() => undefined);
    const freshForMs = freshUntilMs - this.#options.clock.monotonic();
    if (!found || freshForMs <= 0 || this.#closing || routesDropCount !== this.#routesDropCount) return;
    const headers: HeaderList = [['host', hostOf(route)], ...route.headers];
    this.#native?.putRoute({
      listener,
      method,
      target,
      address: found.address,
      port: route.port,
      request: `${method} ${route.target} HTTP/1.1\r\n${headerLines(headers)}`,
      requestIdHeader: `${route.requestIdHeader}: `,
      freshForMs,
    });
  }
}

/** The body of a request that has none. */
async function* nothing(): AsyncGenerator<Uint8Array> {}

function hostOf({ host, port }: ReusableRoute): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function pageIndexOf(reusable: ReusableAnswer, offset: number): number {
  return Math.floor((reusable.bodyFrom + offset) / reusable.pageSizeBytes);
}

function wordsOf({ a, b, c }: FileKey): readonly number[] {
  return [a, b, c];
}

/** Fails, as node:http does, on a name or value that would not stay in its line. */
function headerLines(headers: HeaderList): string {
  let lines = '';
  for (const [name, value] of headers) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}

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
