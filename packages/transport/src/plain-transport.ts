/**
 * The page transport in plain TypeScript on node:http: always available, for TLS, and the measure that the native one is held
 * against. Bytes from the store are read and checked through `PageHandle.read`; bytes of a running fill are copied out of their slot.
 */

import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { bodyLengthOf } from '@alluxio-ts/common/body';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type AlluxioError, errnoOf, toAlluxioError } from '@alluxio-ts/common/errors';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { Logger } from '@alluxio-ts/common/logger';
import { readBufferSizeBytes } from '@alluxio-ts/common/read-buffers';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import { AnswerPlaces, retryAfterOf } from './answer-places.ts';
import { bindError } from './bind-error.ts';
import { sendBody } from './body-sender.ts';
import type { BodySink } from './body-sender.ts';
import { type DelayWatch, LoopDelayWatch } from './delay-watch.ts';
import type {
  AnsweredRequest,
  ListenOptions,
  Listener,
  PageTransport,
  TransportRequest,
  TransportResponse,
} from './page-transport.ts';

export interface PlainTransportOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly slots: SlotPool;
  /** Called once an answer is over. Must not throw. */
  readonly onAnswered: (answered: AnsweredRequest) => void;
  /** Connections over this bound are closed at once. */
  readonly connectionsMax: number;
  /** Answers with a body over this bound are refused with Overloaded. */
  readonly answersMax: number;
  /** A client that takes no byte for so long is reset, so that it does not hold what its answer holds. */
  readonly stallTimeoutMs: number;
  /** A connection on which nothing was asked for so long after an answer is closed. */
  readonly keepAliveTimeoutMs: number;
  /** A head that is not whole after so long is answered 408, and its connection closed. */
  readonly headersTimeoutMs: number;
}

export const plainTransportDefaults = {
  connectionsMax: 16_384,
  answersMax: 1024,
  stallTimeoutMs: 180_000,
  // As nginx has them.
  keepAliveTimeoutMs: 75_000,
  headersTimeoutMs: 60_000,
} as const;

/** What an answer holds at most while it waits for its client, beside the socket's own buffer: a chunk of the body sender. */
export const plainAnswerMaxBytes = readBufferSizeBytes;

const headerSizeMaxBytes = 16 * 1024;

/** The reason of a request's signal once its answer is over or its client gone: made once, as every request ends with it. */
const answerOver = new Error('the answer is over, or its client has gone');

export class PlainTransport implements PageTransport {
  readonly #options: PlainTransportOptions;
  readonly #servers = new Set<Server>();
  readonly #connections = new WeakMap<Duplex, OpenAnswers>();
  readonly #idPrefix: string;
  readonly #places: AnswerPlaces;
  #requestCount = 0;
  #closing = false;

  constructor(options: PlainTransportOptions) {
    this.#options = options;
    this.#places = new AnswerPlaces(options.answersMax);
    this.#idPrefix = Buffer.from(options.random.bytes(6)).toString('hex');
  }

  async listen(options: ListenOptions): Promise<Listener> {
    const server = createServer(
      {
        maxHeaderSize: headerSizeMaxBytes,
        headersTimeout: this.#options.headersTimeoutMs,
        requestTimeout: 0,
        keepAliveTimeout: this.#options.keepAliveTimeoutMs,
        joinDuplicateHeaders: true,
        noDelay: true,
        // Seen to here, with those that came twice.
        requireHostHeader: false,
      },
      (incoming, outgoing) => {
        void this.#answer(options, incoming, outgoing);
      },
    );
    // A client that ends its side is answered what it has asked before. Node's types do not know of it.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.maxConnections = this.#options.connectionsMax;
    server.on('clientError', (error, socket) => {
      const connection = this.#connections.get(socket);
      if (connection) connection.onClientError(error, socket);
      else answerClientError(error, socket);
    });
    await bind(server, options);
    this.#servers.add(server);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a TCP listener has an address');
    return { host: address.address, port: address.port };
  }

  /** Every answer is made anew here. */
  drop(): void {}

  /** Every block is checked as it is read. */
  beforeRead(): void {}

  watchDelays(): DelayWatch {
    return new LoopDelayWatch(this.#options.clock);
  }

  async close(options: { readonly deadlineMs: number }): Promise<void> {
    this.#closing = true;
    const closed = [...this.#servers].map((server) => {
      const done = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeIdleConnections();
      return done;
    });
    const deadline = new AbortController();
    const reset = this.#options.clock.sleep(options.deadlineMs, { signal: deadline.signal }).then(
      () => {
        for (const server of this.#servers) server.closeAllConnections();
      },
      () => undefined,
    );
    await Promise.all(closed);
    deadline.abort();
    await reset;
    this.#servers.clear();
  }

  async #answer(listener: ListenOptions, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const connection = this.#connections.get(incoming.socket) ?? new OpenAnswers();
    this.#connections.set(incoming.socket, connection);
    if (!connection.begin(incoming, outgoing)) return;
    const startedMs = this.#options.clock.monotonic();
    const gone = new AbortController();
    const request = this.#requestOf(incoming, gone.signal);
    const sent: Sent = { bytes: 0, outcome: undefined, hasPlace: false };
    outgoing.on('close', () => {
      gone.abort(answerOver);
      connection.end(incoming);
      if (sent.hasPlace) this.#places.give();
      // An answer that began before the close told its client to keep the connection.
      if (this.#closing) incoming.socket.destroySoon();
      this.#options.onAnswered({
        listener: listener.name,
        requestId: request.requestId,
        method: request.method,
        target: request.target,
        remoteAddress: request.remoteAddress,
        status: outgoing.statusCode,
        sentBytes: sent.bytes,
        durationMs: this.#options.clock.monotonic() - startedMs,
        isComplete: outgoing.writableFinished,
        outcome: sent.outcome,
      });
    });
    try {
      const response = this.#admit(request, await listener.handler(request), sent);
      await this.#send(request, response, outgoing, sent);
    } catch (thrown) {
      const error = toAlluxioError(thrown);
      if (!gone.signal.aborted && error.code !== 'Overloaded') {
        this.#options.logger.warn(
          {
            listener: listener.name,
            requestId: request.requestId,
            target: loggableTarget(request.target),
            error: thrown,
          },
          'answer-failed',
        );
      }
      refuse(outgoing, error, request.requestId);
    }
  }

  #requestOf(incoming: IncomingMessage, signal: AbortSignal): TransportRequest {
    this.#requestCount++;
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(incoming.headers)) {
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
    }
    return {
      method: incoming.method ?? 'GET',
      target: incoming.url ?? '/',
      headers,
      body: incoming,
      requestId: `${this.#idPrefix}${this.#requestCount.toString(16).padStart(8, '0')}`,
      remoteAddress: incoming.socket.remoteAddress ?? '',
      signal,
    };
  }

  /** The answer, or its refusal. */
  #admit({ signal }: TransportRequest, response: TransportResponse, sent: Sent): TransportResponse {
    if (response.body.kind !== 'parts') return response;
    // `close` of an answer that is not aborted is still to come, and gives the place back.
    const admitted = this.#places.admit(response, signal);
    sent.hasPlace = admitted === response;
    return admitted;
  }

  async #send(
    request: TransportRequest,
    response: TransportResponse,
    outgoing: ServerResponse,
    sent: Sent,
  ): Promise<void> {
    const { body } = response;
    const { signal } = request;
    const bodyBytes = bodyLengthOf(body);
    const headers: string[] = [];
    let hasLength = false;
    for (const [name, value] of response.headers) {
      headers.push(name, value);
      hasLength ||= name.toLowerCase() === 'content-length';
      if (name === 'x-alluxio-cache') sent.outcome = value;
    }
    const isBodyless = response.status === 304 || response.status === 204;
    if (!hasLength && !isBodyless) headers.push('content-length', String(bodyBytes));
    if (this.#closing) headers.push('connection', 'close');
    if (body.kind === 'bytes') {
      outgoing.writeHead(response.status, headers);
      const bytes = request.method === 'HEAD' || isBodyless ? undefined : body.bytes;
      sent.bytes = bytes?.length ?? 0;
      outgoing.end(bytes);
      return;
    }
    try {
      const { clock, slots } = this.#options;
      outgoing.writeHead(response.status, headers);
      await sendBody(body, socketSink(outgoing, sent, this.#options), { slots, clock, signal });
      outgoing.end();
    } finally {
      body.close();
    }
  }
}

/** What of a connection's requests is not answered: when something comes that is no HTTP, those go first, as the client takes what comes first for the answer to what it asked first. */
class OpenAnswers {
  readonly #answers = new Map<IncomingMessage, ServerResponse>();
  #onLastEnd: (() => void) | undefined;
  #isRefused = false;

  /** False when the request is not to be looked at: it could be read in two ways, and has its 400 now, or comes behind such a one. */
  begin(incoming: IncomingMessage, outgoing: ServerResponse): boolean {
    if (this.#isRefused) return false;
    this.#isRefused = !isUnambiguous(incoming);
    if (this.#isRefused) outgoing.writeHead(400, { connection: 'close', 'content-length': '0' }).end();
    else this.#answers.set(incoming, outgoing);
    return !this.#isRefused;
  }

  end(incoming: IncomingMessage): void {
    this.#answers.delete(incoming);
    if (this.#answers.size === 0) this.#onLastEnd?.();
  }

  onClientError(error: Error, socket: Duplex): void {
    // The connection ends behind that answer.
    if (this.#isRefused) return;
    const answer = (): void => answerClientError(error, socket);
    const broken = [...this.#answers].find(([incoming]) => !incoming.complete);
    if (errnoOf(error) === 'ECONNRESET' || this.#answers.size === 0) answer();
    else if (!broken) this.#onLastEnd = answer;
    else if (this.#answers.size > 1 || broken[1].headersSent) socket.destroy();
    else answer();
  }
}

/** Two readers could take different hosts; another version is not what Node reads. */
function isUnambiguous({ httpVersion, rawHeaders }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  return httpVersion === '1.1' ? hosts.length === 1 : httpVersion === '1.0' && hosts.length <= 1;
}

async function bind(server: Server, options: ListenOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(bindError(error, errnoOf(error), options)));
    server.listen({ host: options.host, port: options.port }, () => resolve());
  });
}

/** A request that could not be parsed: answered by its status and closed, as the smuggling rules want it. */
function answerClientError(error: Error, socket: Duplex): void {
  if (errnoOf(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    errnoOf(error) === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : errnoOf(error) === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

/** An answer that broke: before its head a plain 500, after it a reset, so that nobody takes the part for the whole. */
function refuse(outgoing: ServerResponse, error: AlluxioError, requestId: string): void {
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(error.httpStatus, {
    'x-request-id': requestId,
    'content-length': '0',
    ...Object.fromEntries(retryAfterOf(error)),
  });
  outgoing.end();
}

/** What is known of an answer while it is sent. */
interface Sent {
  bytes: number;
  outcome: string | undefined;
  /** One of the places for answers that are under way is its. */
  hasPlace: boolean;
}

function socketSink(outgoing: ServerResponse, sent: Sent, options: PlainTransportOptions): BodySink {
  return {
    write: (bytes, onSent) => {
      sent.bytes += bytes.length;
      return outgoing.write(bytes, (error) => {
        // On a connection that broke the system may still be at it.
        if (!error) onSent?.();
      });
    },
    drained: async (signal) => {
      const stalled = AbortSignal.timeout(options.stallTimeoutMs);
      await onceDrained(outgoing, AbortSignal.any([signal, stalled]));
    },
  };
}

function onceDrained(outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const drain = (): void => {
      signal.removeEventListener('abort', abort);
      resolve();
    };
    const abort = (): void => {
      outgoing.removeListener('drain', drain);
      reject(signal.reason as Error);
    };
    if (signal.aborted) {
      abort();
      return;
    }
    outgoing.once('drain', drain);
    signal.addEventListener('abort', abort, { once: true });
  });
}
