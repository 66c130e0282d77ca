/**
 * Records in a file: {magic, length, checksum of both, checksum of the payload} and the payload, all integers little-endian. Made so that
 * a record that was being written when the process or the machine died can be told from one that went bad later.
 */

import { crc32 } from 'node:zlib';

const magic = Buffer.from('AKV1');
const headerSizeBytes = 16;

/** Far above what a transaction may hold even when JSON escapes all of it. */
const payloadMaxBytes = 64 * 1024 * 1024;

export function encodeRecord(payload: string): Buffer {
  const body = Buffer.from(payload);
  const header = Buffer.alloc(headerSizeBytes);
  magic.copy(header);
  header.writeUInt32LE(body.length, 4);
  header.writeUInt32LE(crc32(header.subarray(0, 8)), 8);
  header.writeUInt32LE(crc32(body), 12);
  return Buffer.concat([header, body]);
}

export interface RecordScan {
  readonly payloads: readonly string[];
  /** Where the last good record ends. */
  readonly goodBytes: number;
  /** What follows there: nothing, a record that was never finished, or damage to what had been written. */
  readonly rest: 'nothing' | 'torn' | 'corrupt';
}

/**
 * Each record is on disk before the next one is begun, so only the last one can be unfinished: whatever is bad and has more behind it than its own
 * length, or any good record behind it, is damage. A last record that is bad at full length counts as unfinished; the two cannot be told apart.
 */
export function scanRecords(file: Buffer): RecordScan {
  const payloads: string[] = [];
  let at = 0;
  while (at < file.length) {
    const record = readRecord(file, at);
    if (record.kind !== 'good') {
      const isDamage = record.kind === 'bad-inside' || hasGoodRecordAfter(file, at + 1);
      return { payloads, goodBytes: at, rest: isDamage ? 'corrupt' : 'torn' };
    }
    payloads.push(record.payload);
    at = record.end;
  }
  return { payloads, goodBytes: at, rest: 'nothing' };
}

type ReadRecord =
  | { readonly kind: 'good'; readonly payload: string; readonly end: number }
  /** Its header is right, its payload wrong, and something follows it. */
  | { readonly kind: 'bad-inside' }
  | { readonly kind: 'bad' };

function readRecord(file: Buffer, at: number): ReadRecord {
  if (at + headerSizeBytes > file.length) return { kind: 'bad' };
  const header = file.subarray(at, at + headerSizeBytes);
  if (!header.subarray(0, 4).equals(magic)) return { kind: 'bad' };
  if (header.readUInt32LE(8) !== crc32(header.subarray(0, 8))) return { kind: 'bad' };
  const lengthBytes = header.readUInt32LE(4);
  const end = at + headerSizeBytes + lengthBytes;
  if (lengthBytes > payloadMaxBytes || end > file.length) return { kind: 'bad' };
  const body = file.subarray(at + headerSizeBytes, end);
  if (header.readUInt32LE(12) === crc32(body)) return { kind: 'good', payload: body.toString(), end };
  return end < file.length ? { kind: 'bad-inside' } : { kind: 'bad' };
}

function hasGoodRecordAfter(file: Buffer, from: number): boolean {
  for (let at = file.indexOf(magic, from); at >= 0; at = file.indexOf(magic, at + 1)) {
    if (readRecord(file, at).kind === 'good') return true;
  }
  return false;
}
