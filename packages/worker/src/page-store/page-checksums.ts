/**
 * The checksums of a page: one CRC-32 (IEEE) for each block of 64 KiB, the last block shorter. CRC-32 finds every
 * single flip and every burst up to 32 bits in a block; it is no defence against somebody who writes to the disk on purpose.
 */

import { crc32 } from '@node-rs/crc32';
import { blockSizeBytes } from '@alluxio-ts/common/page';
import { giveBuffer, takeBuffer } from '@alluxio-ts/common/read-buffers';
import { type NativePages, findNativePages } from '@alluxio-ts/transport/hotpath-native';
import { errorOfErrno, readAt } from './file-io.ts';

/** The checksum of the bytes as one piece: for headers and footers. */
export function checksumOf(bytes: Uint8Array): number {
  return crc32(bytes);
}

export function blockCountOf(lengthBytes: number): number {
  return Math.ceil(lengthBytes / blockSizeBytes);
}

/** What is done with the blocks of a page. `bytes` may lie in shared memory, and begins at a block. */
export interface BlockChecksums {
  /** One checksum a block. */
  readonly checksumBlocks: (bytes: Uint8Array) => Uint32Array;
  /** Whether every block has the checksum that `checksums` gives from `first` on. */
  readonly blocksMatch: (bytes: Uint8Array, checksums: Uint32Array, first: number) => boolean;
  /** Whether the blocks of a file have these checksums; false when it ends before. Fails as reading does. The descriptor must stay open until then. */
  readonly fileMatches: (
    fd: number,
    position: number,
    lengthBytes: number,
    checksums: Uint32Array,
  ) => Promise<boolean>;
}

/** As much as the buffers hold that are used again, in whole blocks. */
const pieceBytes = 4 * blockSizeBytes;

/** Takes three times as long as the native one, which knows the newer instructions. */
export const portableBlockChecksums: BlockChecksums = {
  checksumBlocks(bytes) {
    return Uint32Array.from({ length: blockCountOf(bytes.length) }, (_, block) =>
      crc32(blockAt(bytes, block)),
    );
  },
  blocksMatch(bytes, checksums, first) {
    const count = blockCountOf(bytes.length);
    for (let block = 0; block < count; block++) {
      if (crc32(blockAt(bytes, block)) !== checksums[first + block]) return false;
    }
    return true;
  },
  async fileMatches(fd, position, lengthBytes, checksums) {
    for (let from = 0; from < lengthBytes; from += pieceBytes) {
      const bytes = takeBuffer(Math.min(pieceBytes, lengthBytes - from));
      const count = await readAt(fd, bytes, position + from);
      const isGood =
        count === bytes.length && portableBlockChecksums.blocksMatch(bytes, checksums, from / blockSizeBytes);
      giveBuffer(bytes);
      if (!isGood) return false;
    }
    return true;
  },
};

export function nativeBlockChecksums(native: NativePages): BlockChecksums {
  return {
    checksumBlocks(bytes) {
      const checksums = new Uint32Array(blockCountOf(bytes.length));
      native.checksumBlocks(bytes, checksums);
      return checksums;
    },
    blocksMatch: (bytes, checksums, first) => native.blocksMatch(bytes, checksums, first),
    async fileMatches(fd, position, lengthBytes, checksums) {
      const result = await native.checkFile(fd, position, lengthBytes, checksums);
      if (result > 0) throw errorOfErrno(result, 'read');
      return result === 0;
    },
  };
}

const native = findNativePages();

export const { checksumBlocks, blocksMatch, fileMatches } = native
  ? nativeBlockChecksums(native)
  : portableBlockChecksums;

function blockAt(bytes: Uint8Array, block: number): Uint8Array {
  return bytes.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes);
}
