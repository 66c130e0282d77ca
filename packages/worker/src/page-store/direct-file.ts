/** Files past the memory of the kernel, where the file system can: what is read comes from the device, and what others read stays in that memory. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { readNoFurther } from './file-io.ts';

/** Addresses, offsets and lengths of direct I/O are multiples of it. */
export const directAlignmentBytes = 4096;

/** The library of the types for `esnext` leaves it out. */
declare const WebAssembly: {
  readonly Memory: new (size: {
    readonly initial: number;
    readonly maximum: number;
  }) => { readonly buffer: ArrayBuffer };
};

const wasmPageBytes = 65_536;

/** Zeros at the begin of a memory page: the one memory of that kind that JavaScript can have. */
export function alignedBytes(count: number): Uint8Array {
  const pages = Math.max(1, Math.ceil(count / wasmPageBytes));
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return new Uint8Array(memory.buffer, 0, count);
}

/** Opens for direct I/O, or in the ordinary way where the file system has none, without readahead. Some take the flag and read in the ordinary way all the same. */
export async function openDirect(path: string, flags: number): Promise<FileHandle> {
  const file = await open(path, flags | constants.O_DIRECT, 0o600).catch(() => open(path, flags, 0o600));
  readNoFurther(file.fd);
  return file;
}
