/**
 * The checksums of a page: one CRC-32 (IEEE) for each block of 64 KiB, the last block shorter. CRC-32 finds every
 * single flip and every burst up to 32 bits in a block; it is no defence against somebody who writes to the disk on purpose.
 */

import { crc32 } from '@node-rs/crc32';
import { blockSizeBytes } from '@alluxio-ts/common/page';

/** The checksum of the bytes as one piece: for headers and footers. */
export function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes);
}

export function blockCountOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / blockSizeBytes);
}

/** One checksum a block. `bytes` may lie in shared memory. */
export function checksumBlocks(bytes: Uint8Array): Uint32Array {
  const checksums = new Uint32Array(blockCountOf(bytes.length));
  for (let block = 0; block < checksums.length; block++) {
    checksums[block] = crc32(blockAt(bytes, block));
  }
  return checksums;
}

/** Whether every block of `bytes` (which begins at a block) has the checksum that `checksums` gives from `first` on. */
export function blocksMatch(bytes: Uint8Array, checksums: Uint32Array, first: number): boolean {
  const count = blockCountOf(bytes.length);
  for (let block = 0; block < count; block++) {
    if (crc32(blockAt(bytes, block)) !== checksums[first + block]) return false;
  }
  return true;
}

function blockAt(bytes: Uint8Array, block: number): Uint8Array {
  return bytes.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes);
}
