/**
 * Files changed behind the back of the kernel's cache: written to the device with O_DIRECT, which also drops what the cache had of them. Dropping
 * caches alone leaves folios that somebody uses; this way, and asked with `fincore` afterwards, a later read is known to come from the device.
 */

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { alignedBytes, directAlignmentBytes } from '../../packages/worker/src/page-store/direct-file.ts';

export interface BitFlip {
  readonly offset: number;
  /** 0 to 7. */
  readonly bit: number;
}

/** Where direct writes end: the unaligned rest of a file stays as it is. */
export function directEndOf(sizeBytes: number): number {
  return Math.floor(sizeBytes / directAlignmentBytes) * directAlignmentBytes;
}

/** Flips bits of a file on the device and writes all of its aligned part anew. Throws when the cache still holds any of it. */
export function flipOnDevice(path: string, flips: readonly BitFlip[]): void {
  const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_DIRECT);
  try {
    const endBytes = directEndOf(fs.fstatSync(fd).size);
    const bytes = alignedBytes(endBytes);
    transfer(endBytes, (done) => fs.readSync(fd, bytes, done, endBytes - done, done));
    for (const { bit, offset } of flips) {
      if (offset >= endBytes) throw new Error(`${path}: byte ${offset} cannot be written directly`);
      bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
    }
    transfer(endBytes, (done) => fs.writeSync(fd, bytes, done, endBytes - done, done));
  } finally {
    fs.closeSync(fd);
  }
  const residentBytes = residentBytesOf(path);
  if (residentBytes > directAlignmentBytes) {
    throw new Error(
      `${path}: ${residentBytes} bytes are still in memory; a read would not come from the device`,
    );
  }
}

function transfer(count: number, step: (done: number) => number): void {
  for (let done = 0; done < count; ) {
    const moved = step(done);
    if (moved === 0) throw new Error('the file ended early');
    done += moved;
  }
}

/** How much of a file is in the memory of the kernel. */
export function residentBytesOf(path: string): number {
  const text = execFileSync('fincore', ['--bytes', '--noheadings', '--output', 'RES', path], {
    encoding: 'utf8',
  });
  return Number(text.trim());
}
