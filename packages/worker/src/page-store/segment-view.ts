/** Segments and pages as eviction policies see them, from a page table. */

import type { PageView, SegmentView } from './eviction-policy.ts';
import { type PageList, type PageTable, noEntry } from './page-table.ts';

/** What a policy judges by: a segment of the log, or of a model of it. */
export interface ViewedSegment {
  readonly id: number;
  readonly usedBytes: number;
  readonly pages: PageList;
}

export function segmentViewOf({ id, pages, usedBytes }: ViewedSegment): SegmentView {
  return {
    id,
    sizeBytes: usedBytes,
    pageCount: pages.count,
    pageBytes: pages.bytes,
    tickMean: pages.count === 0 ? 0 : pages.tickSum / pages.count,
    tickLast: pages.tickLast,
  };
}

/**
 * At most so many of a segment's pages, each made when it is asked for: a segment of small ones has 65,000, which the garbage collector would carry about if they were there at once.
 * The list must not change meanwhile.
 */
export function* pageViewsOf(table: PageTable, list: PageList, pagesMax: number): Generator<PageView> {
  let count = 0;
  for (let entry = list.first; entry !== noEntry && count < pagesMax; entry = table.nextOf(entry)) {
    count++;
    yield { page: table.pageOf(entry), lengthBytes: table.lengthOf(entry), tick: table.tickOf(entry) };
  }
}
