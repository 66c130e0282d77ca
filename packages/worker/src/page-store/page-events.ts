/** What page stores tell whoever keeps copies of where pages lie: of those that go, before the bytes are unlinked, and of reads, before they come from the disk. */

import type { SegmentRead } from '@alluxio-ts/common/body';
import type { PageId } from '@alluxio-ts/common/page';

export interface PageEventListener {
  pageRemoved(page: PageId): void;
  /** With all of its pages. */
  segmentRetired(path: string): void;
  /** A whole directory is not to be asked for anything, until a page of it is found again. */
  dirOut(): void;
  segmentRead(read: SegmentRead): void;
}

/** Connects stores, which are made first, with the one who listens. */
export class PageEvents implements PageEventListener {
  #listener: PageEventListener | undefined;

  /** Replaces who listened before. */
  listen(listener: PageEventListener): void {
    this.#listener = listener;
  }

  pageRemoved(page: PageId): void {
    this.#listener?.pageRemoved(page);
  }

  segmentRetired(path: string): void {
    this.#listener?.segmentRetired(path);
  }

  dirOut(): void {
    this.#listener?.dirOut();
  }

  segmentRead(read: SegmentRead): void {
    this.#listener?.segmentRead(read);
  }
}
