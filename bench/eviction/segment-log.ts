/** The page store's log of segments without a disk: the same rules for what is written, chosen and copied, pages of one size. */

import type {
  EvictionPolicy,
  PageView,
  SegmentView,
  StoreView,
} from '@alluxio-ts/worker/page-store/eviction-policy';
import type { PageId } from '@alluxio-ts/common/page';
import { visitUsesOf } from '@alluxio-ts/worker/page-store/page-table';
import type { PageCache } from './reference-caches.ts';

const pageBytes = 1;

interface Segment {
  readonly id: number;
  /** Tick of last use by page. */
  readonly ticks: Map<number, number>;
  writtenCount: number;
  tickLast: number;
}

export class SegmentLogCache implements PageCache {
  copiedCount = 0;
  filledCount = 0;
  readonly #policy: EvictionPolicy;
  readonly #segmentPages: number;
  readonly #segmentsMax: number;
  readonly #segments = new Map<number, Segment>();
  readonly #segmentOf = new Map<number, Segment>();
  #open: Segment;
  #nextId = 0;
  #tick = 0;
  #tickSum = 0;

  constructor(policy: EvictionPolicy, pagesMax: number, segmentCount = 64) {
    this.#policy = policy;
    this.#segmentPages = Math.max(1, Math.floor(pagesMax / segmentCount));
    this.#segmentsMax = Math.floor(pagesMax / this.#segmentPages);
    this.#open = this.#newSegment();
  }

  use(page: number): boolean {
    const segment = this.#segmentOf.get(page);
    const before = segment?.ticks.get(page) ?? 0;
    if (segment && this.#tick - before <= visitUsesOf(this.#segmentOf.size)) return true;
    const tick = ++this.#tick;
    if (segment) {
      this.#policy.used(idOf(page), segment.id);
      segment.ticks.set(page, tick);
      segment.tickLast = tick;
      this.#tickSum += tick - before;
      return true;
    }
    this.#policy.used(idOf(page), undefined);
    this.#put(page, tick);
    this.filledCount++;
    // One segment is kept ready, as the store does, so that a fill never waits.
    while (this.#segments.size >= this.#segmentsMax) this.#reclaim();
    return false;
  }

  #put(page: number, tick: number): void {
    if (this.#open.writtenCount >= this.#segmentPages) this.#open = this.#newSegment();
    this.#open.ticks.set(page, tick);
    this.#open.tickLast = Math.max(this.#open.tickLast, tick);
    this.#open.writtenCount++;
    this.#segmentOf.set(page, this.#open);
    this.#tickSum += tick;
  }

  #newSegment(): Segment {
    const segment = { id: this.#nextId++, ticks: new Map<number, number>(), writtenCount: 0, tickLast: 0 };
    this.#segments.set(segment.id, segment);
    return segment;
  }

  #reclaim(): void {
    const sealed = [...this.#segments.values()].filter((segment) => segment !== this.#open).map(viewOf);
    const store = this.#view();
    const victim = this.#segments.get(this.#policy.chooseSegment(sealed, store).id) as Segment;
    const budgetBytes = Math.floor((victim.writtenCount * pageBytes) / 2);
    const kept = this.#policy.choosePages(pagesOf(victim), { budgetBytes, store });
    this.#segments.delete(victim.id);
    for (const [page, tick] of victim.ticks) {
      this.#segmentOf.delete(page);
      this.#tickSum -= tick;
    }
    for (const { page, tick } of kept) {
      this.copiedCount++;
      this.#put(page.file.c, tick);
    }
  }

  #view(): StoreView {
    const pageCount = this.#segmentOf.size;
    return {
      tick: this.#tick,
      tickMean: pageCount === 0 ? 0 : this.#tickSum / pageCount,
      pageCount,
      sample: ({ id }, pagesMax) => pagesOf(this.#segments.get(id) as Segment).slice(0, pagesMax),
    };
  }
}

function idOf(page: number): PageId {
  return { file: { a: Math.imul(page + 1, 0x85eb_ca6b) >>> 0, b: 0, c: page }, index: 0 };
}

function pagesOf(segment: Segment): PageView[] {
  return [...segment.ticks].map(([page, tick]) => ({ page: idOf(page), lengthBytes: pageBytes, tick }));
}

function viewOf({ id, tickLast, ticks, writtenCount }: Segment): SegmentView {
  let sum = 0;
  for (const tick of ticks.values()) sum += tick;
  const pageCount = ticks.size;
  return {
    id,
    sizeBytes: writtenCount,
    pageCount,
    pageBytes: pageCount,
    tickMean: sum / pageCount,
    tickLast,
  };
}
