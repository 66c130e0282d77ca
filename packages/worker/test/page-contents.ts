/** Pages with known contents: whoever knows a page's name knows what its bytes must be. */

import type { PageHandle } from '@alluxio-ts/common/body';
import { type PageId, type PageOrigin, fileKeyOf } from '@alluxio-ts/common/page';
import type { PageStore } from '../src/page-store/page-store.ts';

export interface KnownPage {
  readonly id: PageId;
  readonly origin: PageOrigin;
  readonly lengthBytes: number;
}

/** Page 0 of file number `fileNumber`, or another one of it. */
export function knownPage(
  fileNumber: number,
  lengthBytes: number,
  options: { readonly index?: number; readonly pageSizeBytes: number; readonly version?: string },
): KnownPage {
  const { index = 0, pageSizeBytes, version = `"etag-${fileNumber}"` } = options;
  const origin = { ufsPath: `s3://bucket/folder/file-${fileNumber}`, version, pageSizeBytes };
  return { id: { file: fileKeyOf(origin), index }, origin, lengthBytes };
}

/** The bytes of a page: a stream of pseudo-random words that its name begins. */
export function contentsOf({ id, lengthBytes }: KnownPage): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  let state = (id.file.a ^ Math.imul(id.index + 1, 0x9e37_79b1)) >>> 0 || 1;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}

/** Stores a page; false when the store does not take it now. */
export async function putPage(store: PageStore, page: KnownPage, bytes = contentsOf(page)): Promise<boolean> {
  const writer = store.openWriter(page.id, page.origin, page.lengthBytes);
  if (!writer) return false;
  try {
    await writer.write(bytes);
  } catch (thrown) {
    writer.abort();
    throw thrown;
  }
  writer.finish();
  return true;
}

/** All bytes of a page, or undefined for a miss. */
export async function getPage(store: PageStore, page: KnownPage): Promise<Uint8Array | undefined> {
  const handle = store.get(page.id);
  return handle && readAndRelease(handle);
}

/** The handle of a page that must be there. */
export function pinned(store: PageStore, page: KnownPage): PageHandle {
  const handle = store.get(page.id);
  if (!handle) throw new Error(`page ${page.origin.ufsPath} is missing`);
  return handle;
}

export async function readAndRelease(handle: PageHandle): Promise<Uint8Array> {
  try {
    return await handle.read(0, handle.lengthBytes);
  } finally {
    handle.release();
  }
}

export function areEqual(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
