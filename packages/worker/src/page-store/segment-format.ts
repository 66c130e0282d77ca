/**
 * A segment file: a header of 4 KiB, records one after the other, and, once nothing more is appended, an index (the
 * footer) and a trailer as the file's last bytes. A restart reads the header, the trailer and the footer only.
 *
 *     header   0  magic "AXSEGMT\n"    8  format version u32   12 page size u32    16 store id, 16 bytes
 *              32 segment id u64       40 nonce, 16 bytes      56 checksum of all that stands before, u32
 *     footer   an entry a live record, by offset: record offset u64, data offset in the record u32, data length u32,
 *              file key 3 × u32, page index u32, block checksums u32 each
 *     trailer  0  magic "AXFOOTR\n"    8  format version u32   12 entry count u32  16 nonce, 16 bytes
 *              32 segment id u64       40 footer offset u64    48 footer length u64
 *              56 checksum of the footer u32                   60 checksum of all that stands before, u32
 *
 * All numbers are little-endian. The nonce is drawn when the segment is made and is nowhere but in its own parts, so no byte that a
 * user stores can pass for one of them.
 */

import { Buffer } from 'node:buffer';
import { blockSizeBytes } from '@alluxio-ts/common/page';
import type { PageId } from '@alluxio-ts/common/page';
import { blockCountOf, checksumOf } from './page-checksums.ts';
import {
  type SegmentIdentity,
  alignUp,
  endMarkBytes,
  formatVersion,
  headerMaxBytesOf,
  readChecksums,
  recordAlignmentBytes,
} from './record-format.ts';

export const segmentHeaderBytes = 4096;
export const trailerBytes = 64;
export const nonceBytes = 16;
export const storeIdBytes = 16;

/** Ids are kept in 32 bits; at 256 MiB a segment that is an exbibyte of writes. */
export const segmentIdMax = 0xffff_fffe;

const segmentMagic = Buffer.from('AXSEGMT\n', 'latin1');
const trailerMagic = Buffer.from('AXFOOTR\n', 'latin1');
const headerUsedBytes = 60;
const entryFixedBytes = 32;

/** A record as the index of its segment knows it: all that is needed to read and check the page. */
export interface SegmentEntry {
  readonly page: PageId;
  readonly recordOffsetBytes: number;
  /** From the begin of the file. */
  readonly dataStartBytes: number;
  readonly lengthBytes: number;
  readonly checksums: Uint32Array;
}

export interface SegmentHeader {
  readonly identity: SegmentIdentity;
  readonly storeId: Buffer;
}

export interface Trailer {
  readonly entryCount: number;
  readonly footerOffsetBytes: number;
  readonly footerBytes: number;
  readonly footerChecksum: number;
}

/** `00000000000000ff.seg`: names sort in the order in which segments were made. */
export function segmentFileNameOf(id: number): string {
  return `${id.toString(16).padStart(16, '0')}.seg`;
}

/** The id in a segment's file name; undefined for any other name. */
export function segmentIdOf(fileName: string): number | undefined {
  const match = /^([0-9a-f]{16})\.seg$/.exec(fileName);
  if (!match?.[1]) return undefined;
  const id = Number.parseInt(match[1], 16);
  return id <= segmentIdMax ? id : undefined;
}

/** What an entry takes in the footer. */
export function footerEntryBytesOf(lengthBytes: number): number {
  return entryFixedBytes + 4 * blockCountOf(lengthBytes);
}

/** The smallest segment that can take any one page. */
export function segmentSizeMinBytesOf(pageSizeBytes: number): number {
  const header = alignUp(headerMaxBytesOf(pageSizeBytes), recordAlignmentBytes);
  const record = header + alignUp(pageSizeBytes + endMarkBytes, recordAlignmentBytes);
  const footer = footerEntryBytesOf(pageSizeBytes) + trailerBytes;
  return segmentHeaderBytes + record + alignUp(footer, recordAlignmentBytes);
}

export function encodeSegmentHeader(identity: SegmentIdentity, storeId: Buffer): Buffer {
  const bytes = Buffer.alloc(segmentHeaderBytes);
  segmentMagic.copy(bytes, 0);
  bytes.writeUInt32LE(formatVersion, 8);
  bytes.writeUInt32LE(identity.pageSizeBytes, 12);
  storeId.copy(bytes, 16);
  bytes.writeBigUInt64LE(BigInt(identity.id), 32);
  identity.nonce.copy(bytes, 40);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(0, headerUsedBytes - 4)), headerUsedBytes - 4);
  return bytes;
}

/** Undefined for anything that is not a whole header of this format. Never throws. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes || !bytes.subarray(0, 8).equals(segmentMagic)) return undefined;
  if (bytes.readUInt32LE(8) !== formatVersion) return undefined;
  const checksum = checksumOf(bytes.subarray(0, headerUsedBytes - 4));
  if (bytes.readUInt32LE(headerUsedBytes - 4) !== checksum) return undefined;
  const id = Number(bytes.readBigUInt64LE(32));
  const nonce = Buffer.from(bytes.subarray(40, 40 + nonceBytes));
  return {
    identity: { id, nonce, pageSizeBytes: bytes.readUInt32LE(12) },
    storeId: Buffer.from(bytes.subarray(16, 16 + storeIdBytes)),
  };
}

/** The footer and its trailer, for `footerOffsetBytes` of the segment. `entries` are in the order of their offsets. */
export function encodeFooter(
  entries: readonly SegmentEntry[],
  identity: SegmentIdentity,
  footerOffsetBytes: number,
): Buffer {
  let footerBytes = 0;
  for (const entry of entries) footerBytes += footerEntryBytesOf(entry.lengthBytes);
  const bytes = Buffer.alloc(footerBytes + trailerBytes);
  let at = 0;
  for (const entry of entries) at = writeEntry(bytes, at, entry);
  const trailer = bytes.subarray(footerBytes);
  trailerMagic.copy(trailer, 0);
  trailer.writeUInt32LE(formatVersion, 8);
  trailer.writeUInt32LE(entries.length, 12);
  identity.nonce.copy(trailer, 16);
  trailer.writeBigUInt64LE(BigInt(identity.id), 32);
  trailer.writeBigUInt64LE(BigInt(footerOffsetBytes), 40);
  trailer.writeBigUInt64LE(BigInt(footerBytes), 48);
  trailer.writeUInt32LE(checksumOf(bytes.subarray(0, footerBytes)), 56);
  trailer.writeUInt32LE(checksumOf(trailer.subarray(0, trailerBytes - 4)), trailerBytes - 4);
  return bytes;
}

function writeEntry(bytes: Buffer, offset: number, entry: SegmentEntry): number {
  bytes.writeBigUInt64LE(BigInt(entry.recordOffsetBytes), offset);
  bytes.writeUInt32LE(entry.dataStartBytes - entry.recordOffsetBytes, offset + 8);
  bytes.writeUInt32LE(entry.lengthBytes, offset + 12);
  bytes.writeUInt32LE(entry.page.file.a, offset + 16);
  bytes.writeUInt32LE(entry.page.file.b, offset + 20);
  bytes.writeUInt32LE(entry.page.file.c, offset + 24);
  bytes.writeUInt32LE(entry.page.index, offset + 28);
  let at = offset + entryFixedBytes;
  for (const checksum of entry.checksums) at = bytes.writeUInt32LE(checksum, at);
  return at;
}

/** The trailer of a file of `fileBytes`, whose last bytes are `bytes`; undefined when the file does not end in one. Never throws. */
export function decodeTrailer(
  bytes: Buffer,
  identity: SegmentIdentity,
  fileBytes: number,
): Trailer | undefined {
  if (bytes.length !== trailerBytes || !bytes.subarray(0, 8).equals(trailerMagic)) return undefined;
  if (bytes.readUInt32LE(trailerBytes - 4) !== checksumOf(bytes.subarray(0, trailerBytes - 4))) {
    return undefined;
  }
  if (bytes.readUInt32LE(8) !== formatVersion || !bytes.subarray(16, 32).equals(identity.nonce)) {
    return undefined;
  }
  if (bytes.readBigUInt64LE(32) !== BigInt(identity.id)) return undefined;
  const footerOffsetBytes = Number(bytes.readBigUInt64LE(40));
  const footerBytes = Number(bytes.readBigUInt64LE(48));
  if (footerOffsetBytes < segmentHeaderBytes) return undefined;
  if (footerOffsetBytes + footerBytes + trailerBytes !== fileBytes) return undefined;
  return {
    entryCount: bytes.readUInt32LE(12),
    footerOffsetBytes,
    footerBytes,
    footerChecksum: bytes.readUInt32LE(56),
  };
}

/** The entries of a footer, or undefined when it is not what the trailer says. Never throws. */
export function decodeFooter(
  bytes: Buffer,
  trailer: Trailer,
  identity: SegmentIdentity,
): readonly SegmentEntry[] | undefined {
  if (bytes.length !== trailer.footerBytes || checksumOf(bytes) !== trailer.footerChecksum) return undefined;
  const entries: SegmentEntry[] = [];
  let at = 0;
  while (at + entryFixedBytes <= bytes.length) {
    const entry = readEntry(bytes, at, trailer, identity);
    if (!entry) return undefined;
    entries.push(entry);
    at += footerEntryBytesOf(entry.lengthBytes);
  }
  return at === bytes.length && entries.length === trailer.entryCount ? entries : undefined;
}

function readEntry(
  bytes: Buffer,
  offset: number,
  trailer: Trailer,
  identity: SegmentIdentity,
): SegmentEntry | undefined {
  const recordOffsetBytes = Number(bytes.readBigUInt64LE(offset));
  const dataStartBytes = recordOffsetBytes + bytes.readUInt32LE(offset + 8);
  const lengthBytes = bytes.readUInt32LE(offset + 12);
  if (lengthBytes < 1 || lengthBytes > identity.pageSizeBytes) return undefined;
  if (offset + footerEntryBytesOf(lengthBytes) > bytes.length) return undefined;
  if (recordOffsetBytes < segmentHeaderBytes || recordOffsetBytes % recordAlignmentBytes !== 0) {
    return undefined;
  }
  if (dataStartBytes + lengthBytes > trailer.footerOffsetBytes) return undefined;
  const a = bytes.readUInt32LE(offset + 16);
  const b = bytes.readUInt32LE(offset + 20);
  const c = bytes.readUInt32LE(offset + 24);
  const page = { file: { a, b, c }, index: bytes.readUInt32LE(offset + 28) };
  const checksums = readChecksums(bytes, offset + entryFixedBytes, blockCountOf(lengthBytes));
  return { page, recordOffsetBytes, dataStartBytes, lengthBytes, checksums };
}

/** How many bytes of a segment are read at once while its records are walked. */
export const walkWindowBytes = 4 * blockSizeBytes;
