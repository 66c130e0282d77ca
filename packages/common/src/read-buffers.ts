/**
 * Buffers into which pages are read, and slots are copied, used again once their bytes are sent: memory that is new for each read costs more than the read, by page faults and by the
 * collections that it brings about.
 *
 * A buffer comes back only after a read that has ended, and only from whoever knows that nobody looks at it any more: a read that is given up at its deadline may still
 * write into it. One that does not come back is the garbage collector's.
 */

import { Buffer } from 'node:buffer';
import { KIB } from './units.ts';

/** What is sent at once, 256 KiB, and the blocks at both ends of it that are read in full. */
export const readBufferSizeBytes = 384 * KIB;
const buffersMax = 64;

/** What all of them together take. */
export const readBuffersMaxBytes = buffersMax * readBufferSizeBytes;

const free: ArrayBuffer[] = [];

/** A buffer of this length. Its contents are whatever. */
export function takeBuffer(lengthBytes: number): Buffer {
  if (lengthBytes > readBufferSizeBytes) return Buffer.allocUnsafeSlow(lengthBytes);
  const memory = free.pop() ?? Buffer.allocUnsafeSlow(readBufferSizeBytes).buffer;
  return Buffer.from(memory, 0, lengthBytes);
}

/** Takes a buffer back of which these bytes are a part; anything else is left alone. */
export function giveBuffer({ buffer }: Uint8Array): void {
  if (
    buffer instanceof ArrayBuffer &&
    buffer.byteLength === readBufferSizeBytes &&
    free.length < buffersMax
  ) {
    free.push(buffer);
  }
}
