/**
 * The seam to what is kept when room is needed. A policy does nothing itself: it hears of uses, looks at what it is given and answers; the store
 * does the work. Room is made a segment at a time: its kept pages are copied to the newest segment, the rest is dropped with the file.
 *
 * Ticks count uses: each use of any page takes the next tick, so a greater tick means a later use.
 */

import type { PageId } from '@alluxio-ts/common/page';

/** A segment that could be given up. */
export interface SegmentView {
  readonly id: number;
  readonly sizeBytes: number;
  /** Pages in it that can still be read. */
  readonly pageCount: number;
  readonly pageBytes: number;
  /** Mean tick of last use of its pages; 0 when it has none. */
  readonly tickMean: number;
  /** Of the latest use of any page that was ever in it; 0 when there was none. */
  readonly tickLast: number;
}

export interface PageView {
  readonly page: PageId;
  readonly lengthBytes: number;
  readonly tick: number;
}

/** All that the store has. */
export interface StoreView {
  /** Of the latest use. */
  readonly tick: number;
  readonly tickMean: number;
  readonly pageCount: number;
  /** At most so many pages of a segment, in no order; to be gone through at once. */
  sample(segment: SegmentView, pagesMax: number): Iterable<PageView>;
}

export interface EvictionPolicy {
  /** A page was used that lies in this segment, or one that was missed and comes in. On the path of every read. */
  used(page: PageId, segmentId: number | undefined): void;
  /** The segment to give up. `segments` is not empty, its order that of the ids (oldest first). */
  chooseSegment(segments: readonly SegmentView[], store: StoreView): SegmentView;
  /**
   * Which pages of the segment that was just chosen to copy forward, the most wanted first. The store stops at `budgetBytes`, which is at most half
   * of the segment: so each round frees something whatever the policy wants. To be gone through at once.
   */
  choosePages(
    pages: Iterable<PageView>,
    options: { readonly budgetBytes: number; readonly store: StoreView },
  ): readonly PageView[];
}

/** The pages that fit the budget, from the first on. */
export function withinBudget(pages: readonly PageView[], budgetBytes: number): readonly PageView[] {
  let bytes = 0;
  const end = pages.findIndex(({ lengthBytes }) => (bytes += lengthBytes) > budgetBytes);
  return end < 0 ? pages : pages.slice(0, end);
}
