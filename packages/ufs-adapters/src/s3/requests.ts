/**
 * Builds and signs the requests of S3. The path is made by hand and never passes through a URL parser: a parser would
 * resolve `.` and `..` and so name another object.
 */

import { hash } from 'node:crypto';
import type { CredentialsSource } from './credentials.ts';
import type { S3UfsOptions } from './options.ts';
import { type QueryParameter, SignatureV4, queryTextOf } from './signature.ts';

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
  readonly #signature: SignatureV4;
  /** How far the store's clock is ahead of ours, once it refused us for that. */
  #clockOffsetMs = 0;

  constructor(options: S3SignerOptions) {
    this.#options = options;
    this.#host = new URL(options.target.origin).host;
    this.#signature = new SignatureV4(options.target.region);
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
    const path = pathOf(target.pathPrefix, request.key);
    const query = Object.entries(request.query ?? {}).map(
      ([name, value]): QueryParameter => [encodeRfc3986(name), encodeRfc3986(value)],
    );
    const suffix = query.length === 0 ? '' : `?${queryTextOf(query)}`;
    const headers: Record<string, string> = { ...request.headers, host: this.#host };
    const keys = await credentials();
    if (!keys) return { path: path + suffix, headers, signedAtMs };
    headers['x-amz-content-sha256'] ??= request.bytes ? hash('sha256', request.bytes) : 'UNSIGNED-PAYLOAD';
    const signed = this.#signature.sign({ method: request.method, path, query, headers }, keys, signedAtMs);
    return { path: path + suffix, headers: signed, signedAtMs };
  }
}

/** The path of an object, each byte outside RFC 3986's unreserved ones encoded once; slashes stay. */
export function pathOf(pathPrefix: string, key: string | undefined): string {
  if (key === undefined) return pathPrefix === '' ? '/' : pathPrefix;
  return `${pathPrefix}/${key.split('/').map(encodeRfc3986).join('/')}`;
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
