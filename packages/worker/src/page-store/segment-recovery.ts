/**
 * Reads what a segment file holds, at a start. Nothing in the file is believed that its identity and a checksum do not
 * confirm, and nothing in it can make this throw: a file is either usable, with the entries that are sound, or refused.
 *
 * A segment with an index gives the index. One without (the process was killed, the file was cut) is walked from header to header, past records without
 * their end mark, and ends at the first header that is not sound: data is never searched for records, for a user could have stored one.
 */

import { Buffer } from 'node:buffer';
import fs from 'node:fs/promises';
import { fileKeyOf } from '@alluxio-ts/common/page';
import { closeFile, openFile, readAt } from './file-io.ts';
import {
  type RecordHeader,
  type SegmentIdentity,
  decodeRecordHeader,
  endMarkBytes,
  headerMaxBytesOf,
  isRecordEnd,
} from './record-format.ts';
import {
  type SegmentEntry,
  decodeFooter,
  decodeSegmentHeader,
  decodeTrailer,
  segmentHeaderBytes,
  trailerBytes,
  walkWindowBytes,
} from './segment-format.ts';

export type Recovered =
  | {
      readonly kind: 'usable';
      readonly identity: SegmentIdentity;
      readonly isSealed: boolean;
      readonly sizeBytes: number;
      readonly entries: readonly SegmentEntry[];
    }
  /** A segment of another format, page size or store, or no segment at all. */
  | { readonly kind: 'foreign' }
  /** The disk did not give it. */
  | { readonly kind: 'unreadable'; readonly sizeBytes: number; readonly cause: unknown };

export interface Expected {
  readonly id: number;
  readonly storeId: Buffer;
  readonly pageSizeBytes: number;
}

export async function recoverSegment(path: string, expected: Expected): Promise<Recovered> {
  let sizeBytes = 0;
  let fd: number | undefined;
  try {
    const stat = await fs.stat(path);
    if (!stat.isFile()) return { kind: 'unreadable', sizeBytes: 0, cause: new Error('not a file') };
    sizeBytes = stat.size;
    fd = await openFile(path, 'r');
    return await readSegment(fd, sizeBytes, expected);
  } catch (cause) {
    return { kind: 'unreadable', sizeBytes, cause };
  } finally {
    if (fd !== undefined) await closeFile(fd).catch(() => undefined);
  }
}

async function readSegment(fd: number, sizeBytes: number, expected: Expected): Promise<Recovered> {
  const header = decodeSegmentHeader(await readBytes(fd, 0, segmentHeaderBytes));
  if (!header || header.identity.id !== expected.id || !header.storeId.equals(expected.storeId)) {
    return { kind: 'foreign' };
  }
  const { identity } = header;
  if (identity.pageSizeBytes !== expected.pageSizeBytes) return { kind: 'foreign' };
  const indexed = await readIndex(fd, sizeBytes, identity);
  const entries = indexed ?? (await walkRecords(fd, sizeBytes, identity));
  return { kind: 'usable', identity, isSealed: indexed !== undefined, sizeBytes, entries };
}

async function readIndex(
  fd: number,
  sizeBytes: number,
  identity: SegmentIdentity,
): Promise<readonly SegmentEntry[] | undefined> {
  if (sizeBytes < segmentHeaderBytes + trailerBytes) return undefined;
  const bytes = await readBytes(fd, sizeBytes - trailerBytes, trailerBytes);
  const trailer = decodeTrailer(bytes, identity, sizeBytes);
  if (!trailer) return undefined;
  const footer = await readBytes(fd, trailer.footerOffsetBytes, trailer.footerBytes);
  return decodeFooter(footer, trailer, identity);
}

async function walkRecords(
  fd: number,
  sizeBytes: number,
  identity: SegmentIdentity,
): Promise<readonly SegmentEntry[]> {
  const entries: SegmentEntry[] = [];
  // The end of one record and the header of the next stand side by side, and are read together.
  const wantedBytes = endMarkBytes + headerMaxBytesOf(identity.pageSizeBytes);
  let window: Buffer = Buffer.alloc(0);
  let windowOffset = 0;
  let offset = segmentHeaderBytes;
  let entry: SegmentEntry | undefined;
  while (offset <= sizeBytes) {
    const from = offset - endMarkBytes;
    if (from - windowOffset + Math.min(wantedBytes, sizeBytes - from) > window.length) {
      window = await readBytes(fd, from, Math.max(walkWindowBytes, wantedBytes));
      windowOffset = from;
    }
    const bytes = window.subarray(from - windowOffset);
    if (entry && isRecordEnd(bytes, identity, entry.recordOffsetBytes)) entries.push(entry);
    const header = decodeRecordHeader(bytes.subarray(endMarkBytes), identity, offset);
    if (!header) break;
    entry = entryOf(header, offset);
    offset += header.layout.recordBytes;
  }
  return entries;
}

function entryOf(header: RecordHeader, recordOffsetBytes: number): SegmentEntry {
  return {
    page: { file: fileKeyOf(header.origin), index: header.index },
    recordOffsetBytes,
    dataStartBytes: recordOffsetBytes + header.layout.dataOffsetBytes,
    lengthBytes: header.layout.lengthBytes,
    checksums: header.checksums,
  };
}

/** Up to `length` bytes; fewer when the file ends before. */
async function readBytes(fd: number, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length);
  const count = await readAt(fd, bytes, offset);
  return bytes.subarray(0, count);
}
