/**
 * A page's record in a segment: a header that says in full what the page is and what its blocks must be, the data, and an end mark as the record's last
 * bytes. All of it goes to the disk in one write, in this order, so that a process that dies in the middle leaves no mark, and without its mark a record is
 * no page. Header and mark name their own place (nonce, offset; the header also the segment), so a record that is found anywhere else is refused.
 *
 *     0   magic "AXPAGE\r\n"        8   format version u32      12  header length u32
 *     16  segment nonce, 16 bytes   32  segment id u64          40  record offset u64
 *     48  sha256(UFS path)          80  sha256(version)
 *     112 page size u32             116 page index u32          120 data length u32     124 data offset u32
 *     128 path length u16           130 version length u16      132 zero u32
 *     136 path, version, zeros up to 4; block checksums u32 each; checksum of all that stands before, u32
 *
 *     end mark: magic "AXPEND\r\n", segment nonce, 16 bytes, record offset u64
 *
 * All numbers are little-endian. Records begin and end at 4 KiB; what lies between data and mark is zero.
 */

import { Buffer } from 'node:buffer';
import { hash } from 'node:crypto';
import { type PageOrigin, blockSizeBytes } from '@alluxio-ts/common/page';
import { blockCountOf, checksumOf } from './page-checksums.ts';

/** Grows with every change of any part of the on-disk format; segments of another one are removed at start. */
export const formatVersion = 2;

/** Where records begin, so that data can be sent and mapped in whole memory pages. */
export const recordAlignmentBytes = 4096;

/** An S3 key has at most 1,024 bytes and a local path 4,096; what is longer is not kept. */
export const pathMaxBytes = 4096;
export const versionMaxBytes = 1024;

export const endMarkBytes = 32;

const magic = Buffer.from('AXPAGE\r\n', 'latin1');
const endMagic = Buffer.from('AXPEND\r\n', 'latin1');
const fixedBytes = 136;

/** What makes a segment this one and no other. */
export interface SegmentIdentity {
  readonly id: number;
  readonly nonce: Buffer;
  readonly pageSizeBytes: number;
}

/** The sizes of a record, known before its bytes are. */
export interface RecordLayout {
  readonly headerBytes: number;
  /** From the record's begin to its data. */
  readonly dataOffsetBytes: number;
  readonly lengthBytes: number;
  /** All that the record takes, a multiple of the alignment. */
  readonly recordBytes: number;
}

export interface RecordHeader {
  readonly origin: PageOrigin;
  readonly index: number;
  readonly layout: RecordLayout;
  readonly checksums: Uint32Array;
}

export function alignUp(value: number, alignment: number): number {
  return Math.ceil(value / alignment) * alignment;
}

/** The longest header that a record with pages of this size can have. */
export function headerMaxBytesOf(pageSizeBytes: number): number {
  return headerBytesOf(pathMaxBytes, versionMaxBytes, pageSizeBytes);
}

/** Undefined when the page cannot be recorded: it has no byte or too many, or its names are too long. */
export function recordLayoutOf(origin: PageOrigin, lengthBytes: number): RecordLayout | undefined {
  const pathBytes = Buffer.byteLength(origin.ufsPath);
  const versionBytes = Buffer.byteLength(origin.version);
  if (pathBytes > pathMaxBytes || versionBytes > versionMaxBytes) return undefined;
  if (!Number.isInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > origin.pageSizeBytes) {
    return undefined;
  }
  return layoutOf(headerBytesOf(pathBytes, versionBytes, lengthBytes), lengthBytes);
}

/** Small pages follow their header at once, so that they share its 4 KiB; others begin at a memory page. */
function layoutOf(headerBytes: number, lengthBytes: number): RecordLayout {
  const alignment = lengthBytes >= blockSizeBytes ? recordAlignmentBytes : 8;
  const dataOffsetBytes = alignUp(headerBytes, alignment);
  const recordBytes = alignUp(dataOffsetBytes + lengthBytes + endMarkBytes, recordAlignmentBytes);
  return { headerBytes, dataOffsetBytes, lengthBytes, recordBytes };
}

function headerBytesOf(pathBytes: number, versionBytes: number, lengthBytes: number): number {
  return fixedBytes + alignUp(pathBytes + versionBytes, 4) + 4 * blockCountOf(lengthBytes) + 4;
}

/** What stands before the data, for `offsetBytes` of the segment and nowhere else: the header, and zeros up to where the data begins. */
export function encodeRecordHeader(
  header: RecordHeader,
  segment: SegmentIdentity,
  offsetBytes: number,
): Buffer {
  const { origin, layout, checksums } = header;
  const path = Buffer.from(origin.ufsPath);
  const version = Buffer.from(origin.version);
  const bytes = zeroBytes(layout.dataOffsetBytes);
  magic.copy(bytes, 0);
  bytes.writeUInt32LE(formatVersion, 8);
  bytes.writeUInt32LE(layout.headerBytes, 12);
  segment.nonce.copy(bytes, 16);
  bytes.writeBigUInt64LE(BigInt(segment.id), 32);
  bytes.writeBigUInt64LE(BigInt(offsetBytes), 40);
  sha256(path).copy(bytes, 48);
  sha256(version).copy(bytes, 80);
  bytes.writeUInt32LE(origin.pageSizeBytes, 112);
  bytes.writeUInt32LE(header.index, 116);
  bytes.writeUInt32LE(layout.lengthBytes, 120);
  bytes.writeUInt32LE(layout.dataOffsetBytes, 124);
  bytes.writeUInt16LE(path.length, 128);
  bytes.writeUInt16LE(version.length, 130);
  path.copy(bytes, fixedBytes);
  version.copy(bytes, fixedBytes + path.length);
  let at = fixedBytes + alignUp(path.length + version.length, 4);
  for (const checksum of checksums) at = bytes.writeUInt32LE(checksum, at);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(0, at)), at);
  return bytes;
}

/** What stands behind the data: zeros, and the end mark. */
export function encodeRecordEnd(layout: RecordLayout, segment: SegmentIdentity, offsetBytes: number): Buffer {
  const bytes = zeroBytes(layout.recordBytes - layout.dataOffsetBytes - layout.lengthBytes);
  const at = bytes.length - endMarkBytes;
  endMagic.copy(bytes, at);
  segment.nonce.copy(bytes, at + 8);
  bytes.writeBigUInt64LE(BigInt(offsetBytes), at + 24);
  return bytes;
}

/** A piece of memory that several records share: the engine takes longer to make and to collect memory of its own than to fill this much. */
const sharedBytes = 64 * 1024;
let shared = Buffer.allocUnsafeSlow(sharedBytes);
let sharedFrom = 0;

function zeroBytes(lengthBytes: number): Buffer {
  if (lengthBytes > sharedBytes / 4) return Buffer.alloc(lengthBytes);
  if (sharedFrom + lengthBytes > sharedBytes) {
    shared = Buffer.allocUnsafeSlow(sharedBytes);
    sharedFrom = 0;
  }
  const bytes = shared.subarray(sharedFrom, sharedFrom + lengthBytes).fill(0);
  sharedFrom += lengthBytes;
  return bytes;
}

/** Whether `bytes` begin with the end mark of the record that begins at `offsetBytes`. Never throws. */
export function isRecordEnd(bytes: Buffer, segment: SegmentIdentity, offsetBytes: number): boolean {
  return (
    bytes.length >= endMarkBytes &&
    bytes.subarray(0, 8).equals(endMagic) &&
    bytes.subarray(8, 24).equals(segment.nonce) &&
    bytes.readBigUInt64LE(24) === BigInt(offsetBytes)
  );
}

/** The header at the begin of `bytes`, or undefined when there is none that was written for this place. Never throws. */
export function decodeRecordHeader(
  bytes: Buffer,
  segment: SegmentIdentity,
  offsetBytes: number,
): RecordHeader | undefined {
  if (bytes.length < fixedBytes + 4 || !bytes.subarray(0, 8).equals(magic)) return undefined;
  const headerBytes = bytes.readUInt32LE(12);
  if (bytes.readUInt32LE(8) !== formatVersion || headerBytes < fixedBytes + 4) return undefined;
  if (headerBytes > bytes.length) return undefined;
  const checksumAt = headerBytes - 4;
  if (bytes.readUInt32LE(checksumAt) !== checksumOf(bytes.subarray(0, checksumAt))) return undefined;
  if (!bytes.subarray(16, 32).equals(segment.nonce)) return undefined;
  if (bytes.readBigUInt64LE(32) !== BigInt(segment.id)) return undefined;
  if (bytes.readBigUInt64LE(40) !== BigInt(offsetBytes)) return undefined;
  return readFields(bytes, segment, headerBytes);
}

function readFields(bytes: Buffer, segment: SegmentIdentity, headerBytes: number): RecordHeader | undefined {
  const pageSizeBytes = bytes.readUInt32LE(112);
  const lengthBytes = bytes.readUInt32LE(120);
  const pathBytes = bytes.readUInt16LE(128);
  const versionBytes = bytes.readUInt16LE(130);
  if (pageSizeBytes !== segment.pageSizeBytes) return undefined;
  if (lengthBytes < 1 || lengthBytes > pageSizeBytes) return undefined;
  if (headerBytes !== headerBytesOf(pathBytes, versionBytes, lengthBytes)) return undefined;
  const layout = layoutOf(headerBytes, lengthBytes);
  if (bytes.readUInt32LE(124) !== layout.dataOffsetBytes) return undefined;
  const path = bytes.subarray(fixedBytes, fixedBytes + pathBytes);
  const version = bytes.subarray(fixedBytes + pathBytes, fixedBytes + pathBytes + versionBytes);
  if (!sha256(path).equals(bytes.subarray(48, 80)) || !sha256(version).equals(bytes.subarray(80, 112))) {
    return undefined;
  }
  const origin = { ufsPath: path.toString(), version: version.toString(), pageSizeBytes };
  const first = fixedBytes + alignUp(pathBytes + versionBytes, 4);
  return {
    origin,
    index: bytes.readUInt32LE(116),
    layout,
    checksums: readChecksums(bytes, first, blockCountOf(lengthBytes)),
  };
}

export function readChecksums(bytes: Buffer, offset: number, count: number): Uint32Array {
  const checksums = new Uint32Array(count);
  for (let block = 0; block < count; block++) checksums[block] = bytes.readUInt32LE(offset + 4 * block);
  return checksums;
}

function sha256(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer');
}
