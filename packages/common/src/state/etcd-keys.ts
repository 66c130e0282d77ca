/** Between etcd's bytes and numbers in text and the seam's. */

import type { IKeyValue } from 'etcd3';
import type { KvEntry } from './kv-store.ts';

export interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

/** In etcd a range to the key of one zero byte has no end. */
const zeroByte = Buffer.from([0]);

export function rangeOfPrefix(prefix: string): KeyRange {
  const key = prefix === '' ? zeroByte : Buffer.from(prefix);
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] ?? 0;
    if (byte === 0xff) continue;
    end[at] = byte + 1;
    return { key, range_end: end.subarray(0, at + 1) };
  }
  return { key, range_end: zeroByte };
}

/** The first key behind this one. */
export function keyAfter(key: Buffer): Buffer {
  return Buffer.concat([key, zeroByte]);
}

/** Numbers stay exact up to 2^53 changes. */
export function entryOf(pair: IKeyValue): KvEntry {
  return {
    key: pair.key.toString('utf8'),
    value: pair.value.toString('utf8'),
    createRevision: Number(pair.create_revision),
    modRevision: Number(pair.mod_revision),
  };
}
