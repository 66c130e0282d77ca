/**
 * Sends signed requests to one bucket over bounded pools of connections: bodies that have a place in memory by connections of our own, which receive
 * straight into it, where the store speaks plain HTTP and gives lengths; everything else by undici.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { MIB } from '@alluxio-ts/common/units';
import { Pool } from 'undici';
import { receiveChunks } from '../reception.ts';
import { RetryBudget } from '../retry-budget.ts';
import { type CredentialsSource, credentialsSourceOf } from './credentials.ts';
import { errorDocumentMaxBytes } from './direct-connection.ts';
import { type BodyPart, DirectPool, type DirectResponse } from './direct-pool.ts';
import { nameOf, type S3Failure, type S3Subject, s3Error } from './errors.ts';
import type { S3UfsOptions } from './options.ts';
import { Patience } from './patience.ts';
import { type S3Request, S3Signer, type SignedRequest } from './requests.ts';
import { type ResponseHeaders, headerOf } from './responses.ts';
import { childText, parseXml, type XmlElement } from './xml.ts';

/** A page of 1,000 entries with the longest names, each byte encoded as three, stays below this. */
const documentMaxBytes = 16 * MIB;

const nowhere = new Uint8Array(0);

/** Less than stores keep a silent connection. */
const idleTimeoutMs = 4000;

export interface S3Call {
  /** Completes "cannot …" in messages. */
  readonly action: string;
  readonly request: S3Request;
  readonly signal: AbortSignal | undefined;
  /** Where the body may be received: `receive` of the answer is to be called, unless it is an error's. */
  readonly into?: Uint8Array | undefined;
  /** What of which object goes there, and how much more is asked for. */
  readonly part?: BodyPart | undefined;
}

/** An answer that has begun. Its body is read once, or discarded. */
export interface S3Response {
  readonly statusCode: number;
  readonly statusText: string;
  readonly headers: ResponseHeaders;
  /** Whether it goes on with what an earlier answer left, whose head it has. */
  readonly isNext: boolean;
  /** Whether the rest of the answer, beyond the memory of the call, waits for the next. */
  readonly isParted: boolean;
  chunks(): AsyncIterable<Uint8Array>;
  /** Resolves with how many bytes came into the memory of the call; more than there is room for end it. */
  receive(onReceived: (count: number) => void): Promise<number>;
  /** Ends the connection of a body that was not read to its end; without effect after that. */
  discard(): void;
}

export class S3Connection {
  readonly #options: S3UfsOptions;
  readonly #signer: S3Signer;
  #pool: Pool;
  /** Pools before it, until their last requests are over. */
  readonly #leftPools = new Set<Pool>();
  /** Listings take longer than what is about one object. */
  readonly #patience: { readonly object: Patience; readonly list: Patience };
  /** Undefined where nothing can be received directly. */
  #direct: DirectPool | undefined;

  constructor(
    options: S3UfsOptions,
    parts: {
      readonly clock: Clock;
      readonly credentials?: CredentialsSource;
      readonly budget?: RetryBudget;
    },
  ) {
    this.#options = options;
    this.#signer = new S3Signer({
      target: options,
      credentials: parts.credentials ?? credentialsSourceOf(options.credentials),
      now: () => parts.clock.now(),
    });
    const { budget = new RetryBudget(), clock } = parts;
    const newPatience = (): Patience =>
      new Patience({ clock, budget, leastMs: options.keptConnectionTimeoutMs });
    this.#patience = { object: newPatience(), list: newPatience() };
    this.#pool = newPool(options);
    const { hostname, port, protocol } = new URL(options.origin);
    if (protocol !== 'http:') return;
    this.#direct = new DirectPool({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 80 : Number(port),
      connectionsMax: options.connectionsMax,
      connectTimeoutMs: options.connectTimeoutMs,
      headTimeoutMs: options.requestTimeoutMs,
      silenceTimeoutMs: options.socketTimeoutMs,
      idleTimeoutMs,
    });
  }

  /** Resolves with the head of the answer, whatever its status; the caller owns the body. Fails when there is no answer. */
  async send(call: S3Call): Promise<S3Response> {
    call.signal?.throwIfAborted();
    const { into, part, signal } = call;
    if (into && part && this.#direct?.holds(part)) {
      const next = await this.#direct.next(part, into, signal);
      if (next) return responseOf(next, { isNext: true, isParted: true });
    }
    const signed = await this.#signer.sign(call.request);
    const response = await this.#sendOnce(call, signed);
    // HEAD has no document that would tell a clock that is off from keys that are wrong.
    const isRefused = response.statusCode === 403;
    if (!isRefused || !this.#signer.takeClockOf(headerOf(response.headers, 'date'), signed)) return response;
    response.discard();
    return this.#sendOnce(call, await this.#signer.sign(call.request));
  }

  /** Whether answers that are longer than the memory for them can be taken in parts now. */
  get takesParts(): boolean {
    return this.#direct?.takesParts === true;
  }

  async #sendOnce(call: S3Call, signed: SignedRequest): Promise<S3Response> {
    try {
      return (await this.#receive(call, signed)) ?? (await this.#request(call, signed));
    } catch (thrown) {
      throw this.connectionError(call, thrown);
    }
  }

  /** Undefined when the answer has to come by the other way. */
  async #receive(call: S3Call, { path, headers }: SignedRequest): Promise<S3Response | undefined> {
    const { into, signal } = call;
    const direct = this.#direct;
    if (!into || !direct) return undefined;
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const response = await direct.get({
      head: `GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`,
      into,
      signal,
      patience: this.#patienceWith(call),
      part: call.part,
    });
    const { head } = response;
    if (head.lengthBytes === undefined) {
      // It sends without a length, and will again.
      response.discard();
      this.#direct = undefined;
      return undefined;
    }
    return responseOf(response, { isNext: false, isParted: true });
  }

  async #request(call: S3Call, signed: SignedRequest): Promise<S3Response> {
    const { request, signal } = call;
    const pool = this.#pool;
    if (request.method !== 'GET' && request.method !== 'HEAD') return requestBy(pool, call, signed, signal);
    const patience = this.#patienceWith(call);
    // With all of them busy it gets a new one all the same, and may be tried twice.
    const isKept = pool.stats.connected > 0;
    if (!isKept) return patience.timed(requestBy(pool, call, signed, signal));
    const given = new AbortController();
    const joined = signal ? AbortSignal.any([signal, given.signal]) : given.signal;
    const answer = patience.timed(requestBy(pool, call, signed, joined));
    if (await patience.waitsFor(answer)) return answer;
    answer.then(
      (late) => late.discard(),
      () => undefined,
    );
    given.abort();
    this.#leave(pool);
    return patience.timed(requestBy(this.#pool, call, signed, signal), true);
  }

  /** Its idle connections are no better than the one that was silent; what is under way may end. */
  #leave(pool: Pool): void {
    if (pool !== this.#pool) return;
    this.#pool = newPool(this.#options);
    this.#leftPools.add(pool);
    const forget = (): void => void this.#leftPools.delete(pool);
    pool.close().then(forget, forget);
  }

  #patienceWith({ request }: S3Call): Patience {
    return request.key === undefined ? this.#patience.list : this.#patience.object;
  }

  /** The whole body as text; fails with UfsBadResponse when it is longer than any S3 document. */
  async text(call: S3Call, response: S3Response, maxBytes = documentMaxBytes): Promise<string> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    try {
      for await (const chunk of response.chunks()) {
        sizeBytes += chunk.length;
        if (sizeBytes > maxBytes) break;
        chunks.push(chunk);
      }
    } catch (thrown) {
      response.discard();
      throw this.connectionError(call, thrown);
    }
    if (sizeBytes <= maxBytes) return Buffer.concat(chunks).toString();
    response.discard();
    const name = nameOf(this.subjectOf(call));
    throw new AlluxioError(
      'UfsBadResponse',
      `the store answered about ${name} with more than ${maxBytes} bytes`,
    );
  }

  /** The error that an answer stands for; reads the body, or lets go of the connection. */
  async errorOf(call: S3Call, response: S3Response): Promise<AlluxioError> {
    const document = await this.#errorDocument(call, response);
    const { headers } = response;
    const failure: S3Failure = {
      kind: 'answer',
      status: response.statusCode,
      statusText: response.statusText,
      s3Code: document && childText(document, 'Code')?.trim(),
      bucketRegion:
        headerOf(headers, 'x-amz-bucket-region') ?? (document && childText(document, 'Region')?.trim()),
      retryAfter: headerOf(headers, 'retry-after'),
    };
    return s3Error(call.action, failure, this.subjectOf(call));
  }

  /** The signal's reason when the caller gave up, otherwise what happened to the connection. */
  connectionError(call: S3Call, thrown: unknown): unknown {
    if (call.signal?.aborted) return call.signal.reason;
    if (thrown instanceof AlluxioError) return thrown;
    return s3Error(call.action, { kind: 'connection', cause: thrown }, this.subjectOf(call));
  }

  subjectOf(call: S3Call): S3Subject {
    const { bucket, origin, region } = this.#options;
    return { bucket, key: call.request.key, origin, region };
  }

  /** Ends what is under way: a body that nobody reads must not keep the process. */
  async close(): Promise<void> {
    this.#direct?.close(new Error('the storage was closed'));
    await Promise.all([this.#pool, ...this.#leftPools].map((pool) => pool.destroy()));
  }

  /** An error without a readable document is told by its status. */
  async #errorDocument(call: S3Call, response: S3Response): Promise<XmlElement | undefined> {
    try {
      const text = await this.text(call, response, errorDocumentMaxBytes);
      return text === '' ? undefined : parseXml(text);
    } catch (thrown) {
      if (call.signal?.aborted) throw thrown;
      return undefined;
    }
  }
}

function newPool(options: S3UfsOptions): Pool {
  return new Pool(options.origin, {
    connections: options.connectionsMax,
    pipelining: 1,
    connect: { timeout: options.connectTimeoutMs },
    headersTimeout: options.requestTimeoutMs,
    bodyTimeout: options.socketTimeoutMs,
  });
}

function responseOf(response: DirectResponse, how: Pick<S3Response, 'isNext' | 'isParted'>): S3Response {
  const { head } = response;
  return {
    ...how,
    statusCode: head.statusCode,
    statusText: head.statusText,
    headers: head.headers,
    chunks: async function* () {
      yield await response.whole();
    },
    receive: async (onReceived) => (await response.whole(onReceived)).length,
    discard: () => response.discard(),
  };
}

async function requestBy(
  pool: Pool,
  { into = nowhere, request }: S3Call,
  { path, headers }: SignedRequest,
  signal: AbortSignal | undefined,
): Promise<S3Response> {
  const {
    body,
    headers: answered,
    statusCode,
    statusText,
  } = await pool.request({
    method: request.method,
    path,
    headers,
    // Left to itself undici gives up the connection after each HEAD, for servers that send a body after one; stores do not.
    reset: false,
    ...(request.bytes === undefined ? {} : { body: request.bytes }),
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    statusCode,
    statusText,
    headers: answered,
    isNext: false,
    isParted: false,
    chunks: () => body as AsyncIterable<Uint8Array>,
    receive: (onReceived) => receiveChunks(body, { into, onReceived, ...(signal ? { signal } : {}) }),
    discard: () => {
      body.on('error', () => undefined);
      body.destroy();
    },
  };
}
