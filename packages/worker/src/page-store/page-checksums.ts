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
  /** Puts one checksum a block into `checksums`, from its begin on. */
  readonly sumBlocks: (bytes: Uint8Array, checksums: Uint32Array) => void;
  /** Whether every block has the checksum that `checksums` gives from `first` on. */
  readonly blocksMatch: (bytes: Uint8Array, checksums: Uint32Array, first: number) => boolean;
  /** Reads ranges of a file and compares them with their checksums. Resolves with one answer for each. The descriptor must stay open until then. */
  readonly checkFile: (fd: number, ranges: readonly FileRange[]) => Promise<readonly RangeCheck[]>;
}

/** Bytes of a file, and the checksums that they should have: one a block. */
export interface FileRange {
  readonly position: number;
  readonly lengthBytes: number;
  readonly checksums: Uint32Array;
}

/** Whether the blocks of a range have their checksums: not, too, where the file ends before or one has none. Or what reading failed with. */
export type RangeCheck = boolean | Error;

/** As much as the buffers hold that are used again, in whole blocks. */
const pieceBytes = 4 * blockSizeBytes;

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
  async checkFile(fd, ranges) {
    const checks: RangeCheck[] = [];
    for (const range of ranges) checks.push(await checkRange(fd, range));
    return checks;
  },
};

async function checkRange(fd: number, { checksums, lengthBytes, position }: FileRange): Promise<RangeCheck> {
  for (let from = 0; from < lengthBytes; from += pieceBytes) {
    const bytes = takeBuffer(Math.min(pieceBytes, lengthBytes - from));
    try {
      const count = await readAt(fd, bytes, position + from);
      const first = from / blockSizeBytes;
      if (count < bytes.length || !portableBlockChecksums.blocksMatch(bytes, checksums, first)) return false;
    } catch (thrown) {
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    } finally {
      giveBuffer(bytes);
    }
  }
  return true;
}

export function nativeBlockChecksums(native: NativePages): BlockChecksums {
  return {
    sumBlocks: (bytes, checksums) => native.checksumBlocks(bytes, checksums),
    blocksMatch: (bytes, checksums, first) => native.blocksMatch(bytes, checksums, first),
    async checkFile(fd, ranges) {
      const places = new Float64Array(3 * ranges.length);
      const all = new Uint32Array(ranges.reduce((sum, { checksums }) => sum + checksums.length, 0));
      let first = 0;
      for (const [index, { checksums, lengthBytes, position }] of ranges.entries()) {
        places.set([position, lengthBytes, checksums.length], 3 * index);
        all.set(checksums, first);
        first += checksums.length;
      }
      const results = await native.checkFile(fd, places, all);
      return results.map((result) => (result > 0 ? errorOfErrno(result, 'read') : result === 0));
    },
  };
}

const native = findNativePages();

const blockChecksums = native ? nativeBlockChecksums(native) : portableBlockChecksums;

export const { blocksMatch, checkFile } = blockChecksums;

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
