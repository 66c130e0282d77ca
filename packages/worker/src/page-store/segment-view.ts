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

/** At most so many of a segment's pages. */
export function pageViewsOf(table: PageTable, list: PageList, pagesMax: number): PageView[] {
  const pages: PageView[] = [];
  let entry = list.first;
  for (; entry !== noEntry && pages.length < pagesMax; entry = table.nextOf(entry)) {
    pages.push({
      page: table.pageOf(entry),
      lengthBytes: table.lengthOf(entry),
      tick: table.tickOf(entry),
    });
  }
  return pages;
}
