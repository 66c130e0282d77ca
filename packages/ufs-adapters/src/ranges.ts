/** Checks that every adapter makes before it asks its storage for bytes. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FileStatus, ReadOptions, UfsRead } from './ufs.ts';

/** Throws InvalidArgument unless the range can be meant. */
export function checkRange(key: string, options: Pick<ReadOptions, 'offset' | 'lengthBytes'>): void {
  const { offset, lengthBytes } = options;
  if (
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(lengthBytes) &&
    Number.isSafeInteger(offset + lengthBytes) &&
    offset >= 0 &&
    lengthBytes >= 0
  ) {
    return;
  }
  throw new AlluxioError(
    'InvalidArgument',
    `bytes ${offset}+${lengthBytes} of "${key}" are no range; give two whole numbers from 0 on`,
  );
}

/** Throws VersionChanged unless the file is what the caller pinned. */
export function checkVersion(name: string, file: FileStatus, version: string | undefined): void {
  if (version === undefined || version === file.version) return;
  throw versionChanged(name);
}

export function versionChanged(name: string, cause?: unknown): AlluxioError {
  return new AlluxioError('VersionChanged', `"${name}" changed while it was read; ask again`, { cause });
}

export function fileNotFound(name: string): AlluxioError {
  return new AlluxioError('FileNotFound', `the under storage has no file "${name}"`);
}

/** A read that asks for nothing, or for what lies behind the end. */
export function emptyRead(file: FileStatus): UfsRead {
  return { file, body: emptyBody };
}

const emptyBody: AsyncIterable<Uint8Array> = {
  [Symbol.asyncIterator]: () => ({ next: () => Promise.resolve({ done: true, value: undefined }) }),
};
