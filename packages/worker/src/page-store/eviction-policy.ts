/**
 * The seam to what is kept when room is needed. A policy is pure: it looks at what it is given and answers; the store
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
}

export interface PageView {
  readonly page: PageId;
  readonly lengthBytes: number;
  readonly tick: number;
}

export interface EvictionPolicy {
  /** The segment to give up. `segments` is not empty, its order that of the ids (oldest first). */
  chooseSegment(segments: readonly SegmentView[]): SegmentView;
  /**
   * Which pages of that segment to copy forward, the most wanted first. The store stops at `budgetBytes`, which is at most half
   * of the segment: so each round frees something whatever the policy wants. `tickMean` is that of the whole store.
   */
  choosePages(
    pages: readonly PageView[],
    options: { readonly budgetBytes: number; readonly tickMean: number },
  ): readonly PageView[];
}
