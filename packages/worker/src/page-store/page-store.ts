/**
 * The seam to where pages lie. A store may lose a page at any time and never gives a wrong one: every byte that comes
 * from a disk is checked before it is handed out, and a page that fails is taken out, counted, and a miss from then on.
 * The store's own failures never fail a read that the under storage can serve.
 */

import type { PageHandle } from '@alluxio-ts/common/body';
import type { FileKey, PageId, PageOrigin } from '@alluxio-ts/common/page';

/** Why a page goes; the label of the eviction metric. */
export const removeReasons = ['evicted', 'corrupt', 'freed', 'expired', 'stale', 'dir-failed'] as const;
export type RemoveReason = (typeof removeReasons)[number];

export interface PageStoreStats {
  readonly pageCount: number;
  /** Bytes of the pages that can be read. */
  readonly pageBytes: number;
  /** Bytes that the segments occupy, dead and held ones included. */
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly corruptCount: number;
  readonly evictedCount: number;
  readonly evictedBytes: number;
  /** Pages that were not taken because room was not made yet. */
  readonly noRoomCount: number;
}

/**
 * One page on its way in. After `openWriter` exactly one of `finish` and `abort` is called; a writer that is dropped without
 * `finish` leaves nothing that could be read.
 */
export interface PageWriter {
  /**
   * Writes the whole page; called once. Fails with PageStoreUnavailable when the disk does not take it (full, broken): the caller
   * aborts and goes on without the cache. `bytes` must not change until it settles; it may lie in shared memory. `checksums`, one a block, where they were made of these very bytes already.
   */
  write(bytes: Uint8Array, checksums?: Uint32Array): Promise<void>;
  /** Makes the page readable. */
  finish(): void;
  abort(): void;
}

export interface ScanEntry {
  readonly origin: PageOrigin;
  readonly index: number;
  readonly lengthBytes: number;
}

export interface RemovedPages {
  readonly pageCount: number;
  readonly pageBytes: number;
}

export interface PageStore {
  /** The page's handle, which pins its segment and is the caller's to release; undefined is a miss. Never waits. */
  get(page: PageId): PageHandle | undefined;
  /** Whether the page is here, without touching its order of eviction. */
  has(page: PageId): boolean;
  /**
   * Reads all of these pages, as a rule of few bytes together, and compares their checksums; a use, as `get` is. Resolves with one answer for each: false when it is
   * not here, or was not good: then it has been taken out.
   */
  verify(pages: readonly PageId[]): Promise<readonly boolean[]>;
  /** Undefined when the store cannot take the page now (no directory in order, everything pinned): the caller goes on without. */
  openWriter(page: PageId, origin: PageOrigin, lengthBytes: number): PageWriter | undefined;
  remove(page: PageId, reason: RemoveReason): void;
  /**
   * Drops every page that can be read now, for this run and for every later one, and gives back the disk that they took as soon as no reader
   * holds it. Pages that are being written meanwhile may stay. What the disk refuses is logged; the pages are gone from this run all the same.
   */
  removeAll(reason: RemoveReason): Promise<RemovedPages>;
  /** Every page that can be read, with its full origin as the disk has it. Reads the disk. */
  scan(options?: { readonly signal?: AbortSignal }): AsyncIterable<ScanEntry>;
  stats(): PageStoreStats;
  /** Seals what is open, so that the next start reads footers only; no call may follow. */
  close(): Promise<void>;
}

/** Whether any of the pages of a version is here, of so many that it has. */
export function hasAnyPage(store: PageStore, file: FileKey, pageCount: number): boolean {
  for (let index = 0; index < pageCount; index++) if (store.has({ file, index })) return true;
  return false;
}
