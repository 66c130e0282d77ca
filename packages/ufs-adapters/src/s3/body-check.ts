/** Compares the bytes of a whole object with what the store says that they are. */

import { type Hash, createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ChecksumVerify } from './options.ts';
import { type ResponseHeaders, headerOf } from './responses.ts';

export interface BodyCheck {
  /** `CRC-32` or `MD5`, for messages. */
  readonly name: string;
  update(bytes: Uint8Array): void;
  /** Whether all bytes so far are what the store says of the object; called once. */
  matches(): boolean;
}

/** Undefined where the answer tells nothing that can be compared: there is no sum, or one over the sums of parts. */
export function bodyCheckOf(headers: ResponseHeaders, verify: ChecksumVerify): BodyCheck | undefined {
  if (verify === 'none') return undefined;
  const crc = headerOf(headers, 'x-amz-checksum-crc32');
  const isOfParts = headerOf(headers, 'x-amz-checksum-type')?.toUpperCase() === 'COMPOSITE';
  if (crc !== undefined && !isOfParts && /^[A-Za-z0-9+/]{6}==$/.test(crc)) return new Crc32Check(crc);
  const md5 = /^"([0-9a-f]{32})"$/.exec(headerOf(headers, 'etag') ?? '')?.[1];
  return verify === 'md5' && md5 !== undefined && !isEncrypted(headers) ? new Md5Check(md5) : undefined;
}

/** With keys of KMS or of the customer an ETag looks like an MD5 and is none. */
function isEncrypted(headers: ResponseHeaders): boolean {
  const algorithm = headerOf(headers, 'x-amz-server-side-encryption');
  const isByCustomer = headerOf(headers, 'x-amz-server-side-encryption-customer-algorithm') !== undefined;
  return isByCustomer || (algorithm !== undefined && algorithm !== 'AES256');
}

class Crc32Check implements BodyCheck {
  readonly name = 'CRC-32';
  readonly #expected: number;
  #sum = 0;

  constructor(base64: string) {
    this.#expected = Buffer.from(base64, 'base64').readUInt32BE(0);
  }

  update(bytes: Uint8Array): void {
    this.#sum = crc32(bytes, this.#sum);
  }

  matches(): boolean {
    return this.#sum === this.#expected;
  }
}

class Md5Check implements BodyCheck {
  readonly name = 'MD5';
  readonly #expected: string;
  readonly #hash: Hash = createHash('md5');

  constructor(hex: string) {
    this.#expected = hex;
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  matches(): boolean {
    return this.#hash.digest('hex') === this.#expected;
  }
}
