import type { ReadOptions } from './ufs.ts';

/** The same read without memory of the caller's: its body comes in chunks, as fast as they are taken. */
export function inChunks(options: ReadOptions): ReadOptions {
  const { fileSizeBytes, lengthBytes, offset, signal, version } = options;
  return {
    offset,
    lengthBytes,
    ...(fileSizeBytes === undefined ? {} : { fileSizeBytes }),
    ...(signal === undefined ? {} : { signal }),
    ...(version === undefined ? {} : { version }),
  };
}
