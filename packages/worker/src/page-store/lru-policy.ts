/**
 * Least recently used, as far as a log of segments allows: the segment whose pages are oldest and fewest goes, and of
 * its pages those used later than the store's mean are kept. What nobody came back to is never copied, so a single pass over
 * a large data set costs no extra writes.
 */

import { type EvictionPolicy, type PageView, type SegmentView, withinBudget } from './eviction-policy.ts';

export const lruPolicy: EvictionPolicy = {
  used() {
    // The ticks say it all.
  },

  chooseSegment(segments) {
    const tickMin = segments.reduce((least, segment) => Math.min(least, segment.tickMean), Infinity);
    let [chosen] = segments as readonly [SegmentView];
    for (const segment of segments) {
      if (lossOf(segment, tickMin) < lossOf(chosen, tickMin)) chosen = segment;
    }
    return chosen;
  },

  choosePages(pages, { budgetBytes, store }) {
    const recent: PageView[] = [];
    for (const page of pages) if (page.tick > store.tickMean) recent.push(page);
    return withinBudget(
      recent.sort((one, other) => other.tick - one.tick),
      budgetBytes,
    );
  },
};

/** What giving up a segment loses: the younger its pages and the fuller it is, the more. An empty one loses nothing. */
function lossOf(segment: SegmentView, tickMin: number): number {
  if (segment.pageCount === 0) return 0;
  return (segment.tickMean - tickMin + 1) * (segment.pageBytes / segment.sizeBytes);
}
