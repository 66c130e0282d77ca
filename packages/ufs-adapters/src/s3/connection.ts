/** Sends signed requests to one bucket over its own bounded pool of connections. */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { MIB } from '@alluxio-ts/common/units';
import { type Dispatcher, Pool } from 'undici';
import { type CredentialsSource, credentialsSourceOf } from './credentials.ts';
import { nameOf, type S3Failure, type S3Subject, s3Error } from './errors.ts';
import type { S3UfsOptions } from './options.ts';
import { type S3Request, S3Signer, type SignedRequest } from './requests.ts';
import { headerOf } from './responses.ts';
import { childText, parseXml, type XmlElement } from './xml.ts';

/** A page of 1,000 entries with the longest names, each byte encoded as three, stays below this. */
const documentMaxBytes = 16 * MIB;
const errorDocumentMaxBytes = 64 * 1024;

export interface S3Call {
  /** Completes "cannot …" in messages. */
  readonly action: string;
  readonly request: S3Request;
  readonly signal: AbortSignal | undefined;
}

export type S3Response = Dispatcher.ResponseData;

export class S3Connection {
  readonly #options: S3UfsOptions;
  readonly #signer: S3Signer;
  readonly #pool: Pool;

  constructor(
    options: S3UfsOptions,
    parts: { readonly clock: Clock; readonly credentials?: CredentialsSource },
  ) {
    this.#options = options;
    this.#signer = new S3Signer({
      target: options,
      credentials: parts.credentials ?? credentialsSourceOf(options.credentials),
      now: () => parts.clock.now(),
    });
    this.#pool = new Pool(options.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      connect: { timeout: options.connectTimeoutMs },
      headersTimeout: options.requestTimeoutMs,
      bodyTimeout: options.socketTimeoutMs,
    });
  }

  /** Resolves with the head of the answer, whatever its status; the caller owns the body. Fails when there is no answer. */
  async send(call: S3Call): Promise<S3Response> {
    call.signal?.throwIfAborted();
    const signed = await this.#signer.sign(call.request);
    const response = await this.#sendOnce(call, signed);
    // HEAD has no document that would tell a clock that is off from keys that are wrong.
    const isRefused = response.statusCode === 403;
    if (!isRefused || !this.#signer.takeClockOf(headerOf(response.headers, 'date'), signed)) return response;
    response.body.on('error', () => undefined).resume();
    return this.#sendOnce(call, await this.#signer.sign(call.request));
  }

  async #sendOnce(call: S3Call, { path, headers }: SignedRequest): Promise<S3Response> {
    const { request, signal } = call;
    try {
      return await this.#pool.request({
        method: request.method,
        path,
        headers,
        ...(request.bytes === undefined ? {} : { body: request.bytes }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (thrown) {
      throw this.connectionError(call, thrown);
    }
  }

  /** The whole body as text; fails with UfsBadResponse when it is longer than any S3 document. */
  async text(call: S3Call, response: S3Response, maxBytes = documentMaxBytes): Promise<string> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    try {
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        sizeBytes += chunk.length;
        if (sizeBytes > maxBytes) break;
        chunks.push(chunk);
      }
    } catch (thrown) {
      throw this.connectionError(call, thrown);
    }
    if (sizeBytes <= maxBytes) return Buffer.concat(chunks).toString();
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
    await this.#pool.destroy();
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
