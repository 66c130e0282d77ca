/**
 * Several directories as one page store. A page has a preferred directory, drawn by its name in proportion to the directories' sizes, so that a
 * restart with the same directories finds everything where it looks first; a directory that cannot take a page leaves it to the next.
 */

import type { PageHandle } from '@alluxio-ts/common/body';
import type { PageId, PageOrigin } from '@alluxio-ts/common/page';
import type {
  PageStore,
  PageStoreStats,
  PageWriter,
  RemovedPages,
  RemoveReason,
  ScanEntry,
} from './page-store.ts';

interface Dir {
  readonly store: PageStore;
  readonly weight: number;
  readonly seed: number;
}

export class SpreadPageStore implements PageStore {
  readonly #dirs: readonly Dir[];

  /** The stores are this one's from now on. */
  constructor(stores: readonly PageStore[]) {
    this.#dirs = stores.map((store, index) => ({
      store,
      weight: store.stats().capacityBytes,
      seed: Math.imul(index + 1, 0x9e37_79b1) >>> 0,
    }));
  }

  get(page: PageId): PageHandle | undefined {
    for (const { store } of this.#inOrder(page)) {
      const handle = store.get(page);
      if (handle) return handle;
    }
    return undefined;
  }

  has(page: PageId): boolean {
    return this.#dirs.some(({ store }) => store.has(page));
  }

  async verify(pages: readonly PageId[]): Promise<readonly boolean[]> {
    const isGood = pages.map(() => false);
    const orders = pages.map((page) => this.#inOrder(page));
    // Each directory is asked once for the pages that it comes next for.
    for (let turn = 0; turn < this.#dirs.length; turn++) {
      await Promise.all(
        this.#dirs.map(async (dir) => {
          const asked = [...pages.keys()].filter((at) => !isGood[at] && orders[at]?.[turn] === dir);
          const found = await dir.store.verify(asked.map((at) => pages[at] as PageId));
          for (const [index, at] of asked.entries()) isGood[at] = found[index] === true;
        }),
      );
    }
    return isGood;
  }

  openWriter(page: PageId, origin: PageOrigin, lengthBytes: number): PageWriter | undefined {
    for (const { store } of this.#inOrder(page)) {
      const writer = store.openWriter(page, origin, lengthBytes);
      if (writer) return writer;
    }
    return undefined;
  }

  remove(page: PageId, reason: RemoveReason): void {
    for (const { store } of this.#dirs) store.remove(page, reason);
  }

  async removeAll(reason: RemoveReason): Promise<RemovedPages> {
    const removed = await Promise.all(this.#dirs.map(({ store }) => store.removeAll(reason)));
    return {
      pageCount: removed.reduce((total, { pageCount }) => total + pageCount, 0),
      pageBytes: removed.reduce((total, { pageBytes }) => total + pageBytes, 0),
    };
  }

  async *scan(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<ScanEntry> {
    for (const { store } of this.#dirs) yield* store.scan(options);
  }

  stats(): PageStoreStats {
    const all = this.#dirs.map(({ store }) => store.stats());
    const sum = (pick: (stats: PageStoreStats) => number): number =>
      all.reduce((total, stats) => total + pick(stats), 0);
    return {
      pageCount: sum((stats) => stats.pageCount),
      pageBytes: sum((stats) => stats.pageBytes),
      usedBytes: sum((stats) => stats.usedBytes),
      capacityBytes: sum((stats) => stats.capacityBytes),
      corruptCount: sum((stats) => stats.corruptCount),
      evictedCount: sum((stats) => stats.evictedCount),
      evictedBytes: sum((stats) => stats.evictedBytes),
      noRoomCount: sum((stats) => stats.noRoomCount),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#dirs.map(({ store }) => store.close()));
  }

  /** Weighted rendezvous: each directory draws a number from the page's name, the best in proportion to its weight goes first. */
  #inOrder(page: PageId): readonly Dir[] {
    if (this.#dirs.length === 1) return this.#dirs;
    return this.#dirs
      .map((dir) => ({ dir, score: -Math.log(drawOf(page, dir.seed)) / dir.weight }))
      .toSorted((one, other) => one.score - other.score)
      .map(({ dir }) => dir);
  }
}

/** A number in (0, 1) that only the page's name and the seed decide (the finalizer of MurmurHash3). */
function drawOf(page: PageId, seed: number): number {
  let hash = (page.file.a ^ seed ^ Math.imul(page.index, 0x85eb_ca6b)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}
