/**
 * Keeps what is used often, for training jobs first of all, which read each sample once an epoch, each time in another order: no policy can then have more hits
 * an epoch than there are pages in the cache, and one that swaps pages for others of the same worth has far fewer.
 *
 * So the newest segment, into which everything that was missed is written, has to earn its place (W-TinyLFU with a margin, over segments): it stays when more than half of it was used
 * more often, by more than one use, than the middle page of the least used other segment, which then goes instead; otherwise it goes itself. Of the one that goes such pages
 * are copied forward. A missed sample has just been counted once more than one here that this epoch has not come to yet: the margin is for that.
 *
 * A segment holds what came in together, mostly pages of one job. When the job is over none of them is used any more, and when its interest has
 * moved on, few: then the segment goes first, whatever its counts.
 */

import type { PageId } from '@alluxio-ts/common/page';
import { hashOfWords } from '@alluxio-ts/common/row-table';
import {
  type EvictionPolicy,
  type PageView,
  type SegmentView,
  type StoreView,
  withinBudget,
} from './eviction-policy.ts';
import { countMax, FrequencySketch } from './frequency-sketch.ts';
import { ReuseDistance } from './reuse-distance.ts';
import { SegmentUses } from './segment-uses.ts';

/** So many uses more a page must have to take another's place. */
const margin = 1;
/** At each choice so many segments are looked at, by so many pages of each; what was seen of the others before is remembered. */
const segmentsLooked = 4;
/** And at so many that were never looked at: all there are only after a start. */
const firstLooksMax = 64;
const pagesSampled = 32;
/** What is remembered of the least used segment may be out of date: so often at most the next one is tried. */
const looksAgainMax = 8;
/** All counts are halved after so many uses for each page that is kept, or epochs if they are longer. */
const agePeriods = 4;
const agePeriodMin = 1000;
/** A segment that is read in any order has a use this often in the time in which it can be expected, but once in e^12. */
const idlePauses = 12;
/** One that is read in order has all of its uses at once, an epoch apart. */
const idleEpochs = 1.5;
/** Used less than this share of what segments are used on average, it goes before its time. */
const lukewarmShare = 0.25;
/** Weight of the latest fill in the share of those whose page was never seen. */
const newWeight = 1 / 256;

const bytesPerCounter = 64 * 1024;
const countersMax = 2 ** 24;

export class FrequencyPolicy implements EvictionPolicy {
  readonly #sketch: FrequencySketch;
  readonly #distance = new ReuseDistance();
  readonly #segmentUses = new SegmentUses();
  /** Of the pages that come in, so many were never seen: near 1 when a new job has begun. */
  #newShare = 1;
  #usesUntilAging: number;
  #pageCount = agePeriodMin;
  /** What a page of the segment chosen last must be used more often than. */
  #threshold = Number.POSITIVE_INFINITY;
  /** How often the middle page of each segment was used, when it was looked at last. */
  readonly #middleCounts = new Map<number, number>();
  /** Where the next looks begin. */
  #next = 0;

  constructor(options: { readonly capacityBytes: number }) {
    const countersPerRow = Math.min(countersMax, options.capacityBytes / bytesPerCounter);
    this.#sketch = new FrequencySketch({ countersPerRow });
    // Until it is known how many pages there are.
    this.#usesUntilAging = agePeriods * countersPerRow;
  }

  used(page: PageId, segmentId: number | undefined): void {
    const hash = hashOf(page);
    const countBefore = this.#sketch.add(hash);
    if (segmentId === undefined) this.#newShare += ((countBefore === 0 ? 1 : 0) - this.#newShare) * newWeight;
    this.#distance.add(hash);
    this.#segmentUses.add(segmentId, this.#pageCount);
    if (--this.#usesUntilAging > 0) return;
    this.#usesUntilAging = agePeriods * Math.max(this.#pageCount, this.#distance.mean);
    this.#sketch.halve();
    for (const [id, count] of this.#middleCounts) this.#middleCounts.set(id, count >>> 1);
  }

  /** Takes note of how many pages there are, where it is not asked to choose. */
  notice(store: StoreView): void {
    this.#pageCount = Math.max(agePeriodMin, store.pageCount);
  }

  chooseSegment(segments: readonly SegmentView[], store: StoreView): SegmentView {
    this.notice(store);
    this.#threshold = Number.POSITIVE_INFINITY;
    const empty = segments.find((segment) => segment.pageCount === 0);
    const useless = empty ?? this.#idlest(segments, store) ?? this.#lukewarm(segments);
    if (useless) return useless;
    const newest = segments.at(-1) as SegmentView;
    const least = this.#leastUsed(segments.slice(0, -1), store);
    if (!least) return newest;
    this.#threshold = least.count + margin;
    let winningBytes = 0;
    for (const view of store.sample(newest, newest.pageCount)) {
      if (this.#isWinning(view)) winningBytes += view.lengthBytes;
    }
    return 2 * winningBytes > newest.pageBytes ? least.segment : newest;
  }

  choosePages(pages: Iterable<PageView>, options: { readonly budgetBytes: number }): readonly PageView[] {
    // A segment of small pages has 65,000 of them: each is counted once.
    const byCount: PageView[][] = Array.from({ length: countMax + 1 }, () => []);
    for (const view of pages) {
      const count = this.#countOf(view);
      if (count > this.#threshold) byCount[count]?.push(view);
    }
    return withinBudget(byCount.toReversed().flat(), options.budgetBytes);
  }

  /** Of the segments that no job seems to use any more, the one that was used last before all others. */
  #idlest(segments: readonly SegmentView[], store: StoreView): SegmentView | undefined {
    let idlest: SegmentView | undefined;
    for (const segment of segments) {
      const isIdle = store.tick - segment.tickLast > this.#pauseOf(segment, store);
      if (isIdle && segment.tickLast < (idlest?.tickLast ?? Number.POSITIVE_INFINITY)) idlest = segment;
    }
    return idlest;
  }

  /** How long a segment that is in use may be unused. */
  #pauseOf(segment: SegmentView, store: StoreView): number {
    // What comes in was never seen, so a new job has begun: how long the epochs of those before were tells nothing of its own.
    if (this.#newShare > 0.5) return store.pageCount;
    const distance = this.#distance.mean;
    return Math.max(store.pageCount, idleEpochs * distance, (idlePauses * distance) / segment.pageCount);
  }

  /** The segment that is used least, if that is little. */
  #lukewarm(segments: readonly SegmentView[]): SegmentView | undefined {
    const ids = new Set(segments.map(({ id }) => id));
    const newestId = segments.at(-1)?.id ?? 0;
    this.#segmentUses.retain((id) => ids.has(id) || id > newestId);
    // Segments that are read in order have no uses for most of an epoch, and one of few pages may have none by chance.
    const expectedPause = this.#distance.mean / Math.max(1, segments[0]?.pageCount ?? 1);
    if (Math.max(this.#distance.mean, idlePauses * expectedPause) > this.#pageCount) return undefined;
    let sum = 0;
    let least: { readonly segment: SegmentView; readonly count: number } | undefined;
    for (const segment of segments) {
      const count = this.#segmentUses.countOf(segment.id);
      sum += count ?? 0;
      if (count !== undefined && count < (least?.count ?? Number.POSITIVE_INFINITY))
        least = { segment, count };
    }
    return least && least.count < (lukewarmShare * sum) / segments.length ? least.segment : undefined;
  }

  /** The segment that still is the least used one when it is looked at again. */
  #leastUsed(
    segments: readonly SegmentView[],
    store: StoreView,
  ): { readonly segment: SegmentView; readonly count: number } | undefined {
    this.#lookAround(segments, store);
    for (let tries = 0; ; tries++) {
      let least: { readonly segment: SegmentView; readonly count: number } | undefined;
      for (const segment of segments) {
        const count = this.#middleCounts.get(segment.id) ?? countMax;
        if (!least || count < least.count) least = { segment, count };
      }
      if (!least) return undefined;
      const count = this.#look(least.segment, store);
      if (count <= least.count || tries === looksAgainMax) return { ...least, count };
    }
  }

  /** At a few in turn, and at some that were never looked at. */
  #lookAround(segments: readonly SegmentView[], store: StoreView): void {
    if (this.#middleCounts.size > 2 * segments.length) {
      const ids = new Set(segments.map(({ id }) => id));
      for (const id of this.#middleCounts.keys()) if (!ids.has(id)) this.#middleCounts.delete(id);
    }
    for (let looked = 0; looked < Math.min(segmentsLooked, segments.length); looked++) {
      this.#look(segments[this.#next++ % segments.length] as SegmentView, store);
    }
    let looksLeft = firstLooksMax;
    for (const segment of segments) {
      if (looksLeft === 0) return;
      if (this.#middleCounts.has(segment.id)) continue;
      this.#look(segment, store);
      looksLeft--;
    }
  }

  #look(segment: SegmentView, store: StoreView): number {
    const counts = new Uint8Array(countMax + 1);
    let pageCount = 0;
    for (const view of store.sample(segment, pagesSampled)) {
      const count = this.#countOf(view);
      counts[count] = (counts[count] ?? 0) + 1;
      pageCount++;
    }
    let below = 0;
    let middle = 0;
    while (middle < countMax && (below += counts[middle] ?? 0) <= pageCount >> 1) middle++;
    this.#middleCounts.set(segment.id, middle);
    return middle;
  }

  #isWinning(view: PageView): boolean {
    return this.#countOf(view) > this.#threshold;
  }

  #countOf({ page }: PageView): number {
    return this.#sketch.estimate(hashOf(page));
  }
}

function hashOf({ file, index }: PageId): number {
  return hashOfWords(file.a, index);
}
