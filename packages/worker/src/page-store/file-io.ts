/** The few file operations of the page store, from the callback API: it costs less than FileHandle and takes shared memory. */

import fs from 'node:fs';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { findNativePages } from '@alluxio-ts/transport/hotpath-native';

const native = findNativePages();

/** Reads until `bytes` is full or the file ends; gives the count. */
export async function readAt(fd: number, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const count = await readOnce(fd, bytes, done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

/** Writes all of the pieces, one behind the other; one call no more than `callMaxBytes`, and up to a multiple of them. What fails has written some of them. */
export async function writeAt(
  fd: number,
  pieces: readonly Uint8Array[],
  position: number,
  callMaxBytes: number,
): Promise<void> {
  let rest = pieces;
  let at = position;
  while (rest.length > 0) {
    const [now] = splitAt(rest, callMaxBytes - (at % callMaxBytes));
    const count = await writeOnce(fd, now, at);
    at += count;
    [, rest] = splitAt(rest, count);
  }
}

/** The first `count` bytes of the pieces, and what is behind them. */
function splitAt(
  pieces: readonly Uint8Array[],
  count: number,
): readonly [before: readonly Uint8Array[], behind: readonly Uint8Array[]] {
  let left = count;
  for (const [index, piece] of pieces.entries()) {
    if (left < piece.length) {
      return [
        [...pieces.slice(0, index), piece.subarray(0, left)],
        [piece.subarray(left), ...pieces.slice(index + 1)],
      ];
    }
    left -= piece.length;
  }
  return [pieces, []];
}

export function openFile(path: string, flags: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, 0o600, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

/** A file of which pages are read. */
export async function openSegmentFile(path: string, flags: string): Promise<number> {
  const fd = await openFile(path, flags);
  readNoFurther(fd);
  return fd;
}

/** Of a descriptor by which pages are read: what the kernel would read ahead nobody has asked for, and whoever looks at what lies in memory would not know of it. */
export function readNoFurther(fd: number): void {
  native?.readNoFurther(fd);
}

export function closeFile(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.close(fd, (error) => (error ? reject(error) : resolve()));
  });
}

function readOnce(fd: number, bytes: Uint8Array, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, bytes, offset, bytes.length - offset, position, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
}

function writeOnce(fd: number, pieces: readonly Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(fd, pieces, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** An error as Node makes it of what a call of the kernel failed with. */
export function errorOfErrno(errno: number, syscall: string): Error {
  const code = getSystemErrorName(-errno);
  const error = new Error(`${code}: ${getSystemErrorMessage(-errno)}, ${syscall}`);
  return Object.assign(error, { code, errno: -errno, syscall });
}
