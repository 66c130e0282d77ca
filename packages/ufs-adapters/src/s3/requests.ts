/**
 * Builds and signs the requests of S3. The path is made by hand and never passes through a URL parser: a parser would
 * resolve `.` and `..` and so name another object.
 */

import { createHash, createHmac, createSecretKey, type Hmac, type Hash, type KeyObject } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { CredentialsSource } from './credentials.ts';
import type { S3UfsOptions } from './options.ts';

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** The full key, with the mount's prefix; undefined for the bucket itself. */
  readonly key: string | undefined;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly bytes?: Uint8Array;
}

/** What goes out: `path` with its query, exactly as it is signed. */
export interface SignedRequest {
  readonly path: string;
  readonly headers: Record<string, string>;
  /** The time that it was signed for. */
  readonly signedAtMs: number;
}

export interface S3SignerOptions {
  readonly target: Pick<S3UfsOptions, 'origin' | 'pathPrefix' | 'region'>;
  readonly credentials: CredentialsSource;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Stores refuse what is off by 15 minutes, a few by less. */
const clockDifferenceMaxMs = 5 * 60_000;

export class S3Signer {
  readonly #options: S3SignerOptions;
  readonly #host: string;
  /** How far the store's clock is ahead of ours, once it refused us for that. */
  #clockOffsetMs = 0;

  constructor(options: S3SignerOptions) {
    this.#options = options;
    this.#host = new URL(options.target.origin).host;
  }

  /**
   * For a request that the store refused, at this time of its own (its header Date): whether the time that it was signed for may be the reason. Requests are signed
   * by the store's clock from then on, so that the same one, signed again, may pass.
   */
  takeClockOf(storeDate: string | undefined, { signedAtMs }: SignedRequest): boolean {
    const storeMs = Date.parse(storeDate ?? '');
    if (!(Math.abs(storeMs - signedAtMs) > clockDifferenceMaxMs)) return false;
    this.#clockOffsetMs = storeMs - this.#options.now();
    return true;
  }

  async sign(request: S3Request): Promise<SignedRequest> {
    const { target, credentials, now } = this.#options;
    const signedAtMs = now() + this.#clockOffsetMs;
    const query = request.query ?? {};
    const path = pathOf(target.pathPrefix, request.key);
    const headers: Record<string, string> = { ...request.headers, host: this.#host };
    const suffix = queryTextOf(query);
    const keys = await credentials();
    if (!keys) return { path: path + suffix, headers, signedAtMs };
    headers['x-amz-content-sha256'] ??= request.bytes
      ? createHash('sha256').update(request.bytes).digest('hex')
      : 'UNSIGNED-PAYLOAD';
    const signer = new SignatureV4({
      credentials: keys,
      region: target.region,
      service: 's3',
      sha256: Sha256,
      // S3 alone signs the path as it is sent, encoded once.
      uriEscapePath: false,
    });
    const signed = await signer.sign(
      {
        method: request.method,
        protocol: 'https:',
        hostname: this.#host,
        path,
        query: { ...query },
        headers,
      },
      { signingDate: new Date(signedAtMs) },
    );
    return { path: path + suffix, headers: signed.headers, signedAtMs };
  }
}

/** The path of an object, each byte outside RFC 3986's unreserved ones encoded once; slashes stay. */
export function pathOf(pathPrefix: string, key: string | undefined): string {
  if (key === undefined) return pathPrefix === '' ? '/' : pathPrefix;
  return `${pathPrefix}/${key.split('/').map(encodeRfc3986).join('/')}`;
}

function queryTextOf(query: Readonly<Record<string, string>>): string {
  const parts = Object.entries(query).map(
    ([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`,
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** The signer derives a key a day and gives the same bytes again; Node takes several times longer for an HMAC by bytes than by a key. */
const keysOfBytes = new WeakMap<object, KeyObject>();

function keyOf(secret: string | ArrayBuffer | ArrayBufferView): KeyObject {
  if (typeof secret === 'string') return createSecretKey(secret, 'utf8');
  const known = keysOfBytes.get(secret);
  if (known) return known;
  const key = createSecretKey(bytesOf(secret));
  keysOfBytes.set(secret, key);
  return key;
}

/** The hash that the signer asks for, by the fast one of Node. */
class Sha256 {
  readonly #secret: KeyObject | undefined;
  #hash: Hash | Hmac;

  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#secret = secret === undefined ? undefined : keyOf(secret);
    this.#hash = this.#start();
  }

  update(data: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof data === 'string' ? data : bytesOf(data));
  }

  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    this.#hash = this.#start();
  }

  #start(): Hash | Hmac {
    return this.#secret === undefined ? createHash('sha256') : createHmac('sha256', this.#secret);
  }
}

function bytesOf(data: ArrayBuffer | ArrayBufferView): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
