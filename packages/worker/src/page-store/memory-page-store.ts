/** Pages in memory, the least recently used going first: for the tests of whoever uses a page store. */

import type { PageHandle } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { type PageId, type PageOrigin, fileKeyOf } from '@alluxio-ts/common/page';
import type {
  PageStore,
  PageStoreStats,
  PageWriter,
  RemovedPages,
  RemoveReason,
  ScanEntry,
} from './page-store.ts';

export interface MemoryPageStoreOptions {
  readonly capacityBytes: number;
  readonly pageSizeBytes: number;
}

interface Page {
  readonly id: PageId;
  readonly origin: PageOrigin;
  readonly bytes: Uint8Array;
}

export class MemoryPageStore implements PageStore {
  readonly #options: MemoryPageStoreOptions;
  /** The least recently used first. */
  readonly #pages = new Map<string, Page>();
  #pageBytes = 0;
  #corruptCount = 0;
  #evictedCount = 0;
  #evictedBytes = 0;
  #isClosed = false;

  constructor(options: MemoryPageStoreOptions) {
    this.#options = options;
  }

  get(id: PageId): PageHandle | undefined {
    const name = nameOf(id);
    const page = this.#isClosed ? undefined : this.#pages.get(name);
    if (!page) return undefined;
    this.#pages.delete(name);
    this.#pages.set(name, page);
    return new MemoryPageHandle(page.bytes);
  }

  has(id: PageId): boolean {
    return !this.#isClosed && this.#pages.has(nameOf(id));
  }

  /** Memory is trusted. */
  async verify(ids: readonly PageId[]): Promise<readonly boolean[]> {
    return ids.map((id) => this.get(id) !== undefined);
  }

  openWriter(id: PageId, origin: PageOrigin, lengthBytes: number): PageWriter | undefined {
    const { capacityBytes, pageSizeBytes } = this.#options;
    if (this.#isClosed || origin.pageSizeBytes !== pageSizeBytes) return undefined;
    if (lengthBytes < 1 || lengthBytes > Math.min(pageSizeBytes, capacityBytes)) return undefined;
    if (nameOf({ file: fileKeyOf(origin), index: id.index }) !== nameOf(id)) {
      throw new AlluxioError('Internal', 'the name of a page does not follow from its origin', {
        context: { ufsPath: origin.ufsPath },
      });
    }
    return new MemoryPageWriter(lengthBytes, (bytes) => this.#put({ id, origin, bytes }));
  }

  remove(id: PageId, reason: RemoveReason): void {
    const page = this.#pages.get(nameOf(id));
    if (!page) return;
    this.#pages.delete(nameOf(id));
    this.#pageBytes -= page.bytes.length;
    if (reason === 'corrupt') this.#corruptCount++;
    if (reason !== 'evicted') return;
    this.#evictedCount++;
    this.#evictedBytes += page.bytes.length;
  }

  async removeAll(reason: RemoveReason): Promise<RemovedPages> {
    const removed = { pageCount: this.#pages.size, pageBytes: this.#pageBytes };
    for (const { id } of this.#pages.values()) this.remove(id, reason);
    return removed;
  }

  async *scan(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<ScanEntry> {
    const pages = [...this.#pages.values()];
    for (const { bytes, id, origin } of pages) {
      options.signal?.throwIfAborted();
      yield { origin, index: id.index, lengthBytes: bytes.length };
    }
  }

  stats(): PageStoreStats {
    return {
      pageCount: this.#pages.size,
      pageBytes: this.#pageBytes,
      usedBytes: this.#pageBytes,
      capacityBytes: this.#options.capacityBytes,
      corruptCount: this.#corruptCount,
      evictedCount: this.#evictedCount,
      evictedBytes: this.#evictedBytes,
      noRoomCount: 0,
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  #put(page: Page): void {
    if (this.#isClosed) return;
    this.remove(page.id, 'stale');
    while (this.#pageBytes + page.bytes.length > this.#options.capacityBytes) {
      const [oldest] = this.#pages.values();
      if (!oldest) break;
      this.remove(oldest.id, 'evicted');
    }
    this.#pages.set(nameOf(page.id), page);
    this.#pageBytes += page.bytes.length;
  }
}

/** Bytes never change once they are stored, so the handle holds them and nothing needs a pin. */
class MemoryPageHandle implements PageHandle {
  readonly #bytes: Uint8Array;
  #isReleased = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get lengthBytes(): number {
    return this.#bytes.length;
  }

  async read(from: number, to: number): Promise<Uint8Array> {
    if (this.#isReleased) throw new AlluxioError('Internal', 'a page handle was read after its release');
    if (!(from >= 0 && from <= to && to <= this.lengthBytes)) {
      throw new AlluxioError('Internal', `bytes ${from} to ${to} of a page of ${this.lengthBytes}`);
    }
    return this.#bytes.slice(from, to);
  }

  release(): void {
    this.#isReleased = true;
  }
}

class MemoryPageWriter implements PageWriter {
  readonly #lengthBytes: number;
  readonly #put: (bytes: Uint8Array) => void;
  #bytes: Uint8Array | undefined;
  #isEnded = false;

  constructor(lengthBytes: number, put: (bytes: Uint8Array) => void) {
    this.#lengthBytes = lengthBytes;
    this.#put = put;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isEnded || this.#bytes || bytes.length !== this.#lengthBytes) {
      throw new AlluxioError('Internal', `write of ${bytes.length} bytes to a page writer`, {
        context: { lengthBytes: this.#lengthBytes },
      });
    }
    this.#bytes = new Uint8Array(bytes);
  }

  finish(): void {
    if (this.#isEnded || !this.#bytes) throw new AlluxioError('Internal', 'finish of a page writer');
    this.#isEnded = true;
    this.#put(this.#bytes);
  }

  abort(): void {
    this.#isEnded = true;
  }
}

function nameOf({ file, index }: PageId): string {
  return `${file.a}-${file.b}-${file.c}-${index}`;
}
