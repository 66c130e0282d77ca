/** First in, first out: the oldest segment goes with all of its pages, used or not. Nothing is written twice. */

import type { EvictionPolicy, SegmentView } from './eviction-policy.ts';

export const fifoPolicy: EvictionPolicy = {
  used() {
    // Uses do not count.
  },

  chooseSegment(segments) {
    const [oldest] = segments as readonly [SegmentView];
    return segments.find((segment) => segment.pageCount === 0) ?? oldest;
  },

  choosePages: () => [],
};
