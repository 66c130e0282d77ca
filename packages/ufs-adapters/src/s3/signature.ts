/**
 * Signature Version 4 as S3 wants it, in the header Authorization (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). Every fill asks for one, and somebody waits for
 * it: made at once, where the SDK's signer takes eight promises and four times the time.
 */

import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';
import type { SigningKeys } from './credentials.ts';

const algorithm = 'AWS4-HMAC-SHA256';

export interface SignableRequest {
  readonly method: string;
  /** As it is sent, each byte encoded once. */
  readonly path: string;
  /** As it is sent. */
  readonly query: readonly QueryParameter[];
  /** All of them are signed: names in lower case, `host` and `x-amz-content-sha256` among them. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Encoded, both; no name twice. */
export type QueryParameter = readonly [name: string, value: string];

/** Signs for one region. Keeps the key of the day, which takes four HMACs to derive. */
export class SignatureV4 {
  readonly #region: string;
  #time = { second: Number.NaN, text: '' };
  #derived: { readonly of: string; readonly key: KeyObject } | undefined;

  constructor(region: string) {
    this.#region = region;
  }

  /** The headers, and those that say who asks, when, and that it is they. */
  sign(request: SignableRequest, keys: SigningKeys, signedAtMs: number): Record<string, string> {
    const time = this.#timeOf(signedAtMs);
    const date = time.slice(0, 8);
    const headers: Record<string, string> = { ...request.headers, 'x-amz-date': time };
    if (keys.sessionToken !== undefined) headers['x-amz-security-token'] = keys.sessionToken;
    const names = Object.keys(headers).toSorted();
    const signedNames = names.join(';');
    const canonical = [
      request.method,
      request.path,
      canonicalQueryOf(request.query),
      ...names.map((name) => `${name}:${canonicalValueOf(headers[name] ?? '')}`),
      '',
      signedNames,
      headers['x-amz-content-sha256'],
    ].join('\n');
    const scope = `${date}/${this.#region}/s3/aws4_request`;
    const text = `${algorithm}\n${time}\n${scope}\n${hash('sha256', canonical)}`;
    const signature = createHmac('sha256', this.#keyOf(keys, date)).update(text).digest('hex');
    headers['authorization'] =
      `${algorithm} Credential=${keys.accessKeyId}/${scope}, SignedHeaders=${signedNames}, Signature=${signature}`;
    return headers;
  }

  /** As the algorithm writes it; the same text for all of a second. */
  #timeOf(ms: number): string {
    const second = Math.floor(ms / 1000);
    if (this.#time.second !== second) {
      const text = new Date(second * 1000).toISOString().replaceAll(/[-:]|\.\d+/g, '');
      this.#time = { second, text };
    }
    return this.#time.text;
  }

  #keyOf({ secretAccessKey }: SigningKeys, date: string): KeyObject {
    const of = `${date}/${secretAccessKey}`;
    if (this.#derived?.of === of) return this.#derived.key;
    let key: string | Buffer = `AWS4${secretAccessKey}`;
    for (const part of [date, this.#region, 's3', 'aws4_request'])
      key = createHmac('sha256', key).update(part).digest();
    // Node takes several times longer for an HMAC by bytes than by a key.
    this.#derived = { of, key: createSecretKey(key) };
    return this.#derived.key;
  }
}

function canonicalValueOf(value: string): string {
  const trimmed = value.trim();
  return /\s/.test(trimmed) ? trimmed.replaceAll(/\s+/g, ' ') : trimmed;
}

/** By name: the `=` behind it does not count. */
function canonicalQueryOf(query: readonly QueryParameter[]): string {
  return queryTextOf(query.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

export function queryTextOf(query: readonly QueryParameter[]): string {
  return query.map(([name, value]) => `${name}=${value}`).join('&');
}
