/**
 * The checksums of a page: one CRC-32 (IEEE) for each block of 64 KiB, the last block shorter. CRC-32 finds every
 * single flip and every burst up to 32 bits in a block; it is no defence against somebody who writes to the disk on purpose.
 */

import { crc32 } from '@node-rs/crc32';
import { blockSizeBytes } from '@alluxio-ts/common/page';
import { giveBuffer, takeBuffer } from '@alluxio-ts/common/read-buffers';
import {
  type NativeFileRange,
  type NativePages,
  findNativePages,
} from '@alluxio-ts/transport/hotpath-native';
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
  /** Puts one checksum a block into `checksums`, from its begin on. */
  readonly sumBlocks: (bytes: Uint8Array, checksums: Uint32Array) => void;
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

/** So many bytes of pages are checked by one task, and the rest of the last page. */
const checkBatchBytes = 1024 * 1024;

/** Takes three times as long as the native one, which knows the newer instructions. */
export const portableBlockChecksums: BlockChecksums = {
  sumBlocks(bytes, checksums) {
    const count = blockCountOf(bytes.length);
    for (let block = 0; block < count; block++) checksums[block] = crc32(blockAt(bytes, block));
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
  const checks = new CheckBatches(native);
  return {
    sumBlocks: (bytes, checksums) => native.checksumBlocks(bytes, checksums),
    blocksMatch: (bytes, checksums, first) => native.blocksMatch(bytes, checksums, first),
    async fileMatches(fd, position, lengthBytes, checksums) {
      const result = await checks.add({ fd, position, lengthBytes, checksums });
      if (result > 0) throw errorOfErrno(result, 'read');
      return result === 0;
    },
  };
}

const native = findNativePages();

interface CheckBatch {
  readonly ranges: NativeFileRange[];
  readonly results: Promise<readonly number[]>;
  lengthBytes: number;
}

/**
 * Puts checks of one file that are asked for in one turn into one task of the pool, up to a MiB: to begin one costs several times what checking a small page does. Of one file, since
 * another may lie on a disk that hangs.
 */
class CheckBatches {
  readonly #native: NativePages;
  /** By their descriptors. */
  readonly #open = new Map<number, CheckBatch>();

  constructor(native: NativePages) {
    this.#native = native;
  }

  async add(range: NativeFileRange): Promise<number> {
    const batch = this.#open.get(range.fd) ?? this.#begin(range.fd);
    const index = batch.ranges.push(range) - 1;
    batch.lengthBytes += range.lengthBytes;
    if (batch.lengthBytes >= checkBatchBytes) this.#open.delete(range.fd);
    const results = await batch.results;
    return results[index] ?? -1;
  }

  #begin(fd: number): CheckBatch {
    const ranges: NativeFileRange[] = [];
    const turn = Promise.withResolvers<void>();
    // After all that is ready to run now.
    process.nextTick(turn.resolve);
    const results = turn.promise.then(() => {
      if (this.#open.get(fd)?.ranges === ranges) this.#open.delete(fd);
      return this.#native.checkFiles(ranges);
    });
    const batch = { ranges, results, lengthBytes: 0 };
    this.#open.set(fd, batch);
    return batch;
  }
}

const blockChecksums = native ? nativeBlockChecksums(native) : portableBlockChecksums;

export const { blocksMatch, fileMatches } = blockChecksums;

/** One checksum a block. */
export function checksumBlocks(bytes: Uint8Array): Uint32Array {
  const checksums = new Uint32Array(blockCountOf(bytes.length));
  blockChecksums.sumBlocks(bytes, checksums);
  return checksums;
}

/**
 * The checksums of a page that is being received: of each block as soon as it is whole, while the processor still has its bytes at hand.
 */
export class ReceivedChecksums {
  /** One a block, once all of the page has come. */
  readonly values: Uint32Array;
  readonly #bytes: Uint8Array;
  #summedEnd = 0;

  /** `bytes` is where the page is received; it may lie in shared memory. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.values = new Uint32Array(blockCountOf(bytes.length));
  }

  /** What comes next begins here, at a block. */
  begin(offset: number): void {
    this.#summedEnd = offset;
  }

  /** All is there from where it began up to here, and does not change any more. */
  reach(end: number): void {
    const from = this.#summedEnd;
    const wholeEnd = end === this.#bytes.length ? end : end - (end % blockSizeBytes);
    if (wholeEnd <= from) return;
    this.#summedEnd = wholeEnd;
    const first = from / blockSizeBytes;
    blockChecksums.sumBlocks(this.#bytes.subarray(from, wholeEnd), this.values.subarray(first));
  }
}

function blockAt(bytes: Uint8Array, block: number): Uint8Array {
  return bytes.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes);
}
