/**
 * The log of segments without a disk: the same table of pages, the same policies, the same rules for what is written, given up and copied. What it keeps is what a store of that
 * size would keep. For shadow caches, and for comparing policies.
 */

import type { PageId } from '@alluxio-ts/common/page';
import type { EvictionPolicy, StoreView } from './eviction-policy.ts';
import { PageList, PageTable, noEntry } from './page-table.ts';
import { pageViewsOf, segmentViewOf, type ViewedSegment } from './segment-view.ts';

export interface SegmentModelOptions {
  readonly policy: EvictionPolicy;
  readonly capacityBytes: number;
  readonly segmentBytes: number;
  /** Segments that are kept ready, so that nobody waits. */
  readonly aheadCount: number;
  /** For how many pages of a whole cache each one stands. */
  readonly pagesPerSample: number;
}

interface ModelSegment extends ViewedSegment {
  /** Once written, whether or not it is still there. */
  usedBytes: number;
}

export class SegmentModel {
  copiedCount = 0;
  filledCount = 0;
  readonly #options: SegmentModelOptions;
  readonly #table: PageTable;
  readonly #segments = new Map<number, ModelSegment>();
  #capacityBytes: number;
  #segmentBytes: number;
  #sealedBytes = 0;
  #open: ModelSegment;
  #nextId = 1;

  constructor(options: SegmentModelOptions) {
    this.#options = options;
    this.#table = new PageTable({ pagesPerEntry: options.pagesPerSample });
    this.#capacityBytes = options.capacityBytes;
    this.#segmentBytes = options.segmentBytes;
    this.#open = this.#newSegment();
  }

  get pageCount(): number {
    return this.#table.count;
  }

  get memoryBytes(): number {
    return this.#table.memoryBytes;
  }

  /** Whether the page was there; it is from now on. */
  use(page: PageId, lengthBytes: number): boolean {
    const entry = this.#table.find(page);
    if (entry === noEntry) {
      this.#fill(page, lengthBytes);
      return false;
    }
    const segment = this.#segments.get(this.#table.segmentIdOf(entry));
    if (!segment) throw new Error('a page of the model is in no segment');
    if (this.#table.isTickSpent) this.#table.halveTicks(this.#pageLists());
    if (this.#table.touch(entry, segment.pages)) this.#options.policy.used(page, segment.id);
    return true;
  }

  /** Takes a page that comes in without being read. */
  add(page: PageId, lengthBytes: number): void {
    if (this.#table.find(page) === noEntry) this.#fill(page, lengthBytes);
  }

  /** Makes the model half as large, with those of its pages that are kept. */
  halve(isKept: (page: PageId) => boolean): void {
    this.#capacityBytes /= 2;
    this.#segmentBytes /= 2;
    this.#sealedBytes /= 2;
    this.#table.sampleLess();
    for (const segment of this.#segments.values()) {
      segment.usedBytes /= 2;
      const pages = Array.from(pageViewsOf(this.#table, segment.pages, segment.pages.count));
      for (const { page } of pages) {
        if (!isKept(page)) this.#table.remove(this.#table.find(page), segment.pages);
      }
    }
  }

  #fill(page: PageId, lengthBytes: number): void {
    this.filledCount++;
    this.#options.policy.used(page, undefined);
    this.#put(page, lengthBytes);
    // The segment that is being written counts as all that it may grow to.
    const keptFree = (1 + this.#options.aheadCount) * this.#segmentBytes;
    while (this.#segments.size > 1 && this.#sealedBytes + keptFree > this.#capacityBytes) this.#reclaim();
  }

  #put(page: PageId, lengthBytes: number, tick?: number): void {
    if (this.#open.usedBytes > 0 && this.#open.usedBytes + lengthBytes > this.#segmentBytes) {
      this.#sealedBytes += this.#open.usedBytes;
      this.#open = this.#newSegment();
    }
    const { id, pages } = this.#open;
    const place = { segmentId: id, recordOffsetBytes: 0, dataStartBytes: 0, lengthBytes, checksumIndex: 0 };
    if (tick === undefined) this.#table.insert(page, place, pages);
    else this.#table.insert(page, place, pages, tick);
    this.#open.usedBytes += lengthBytes;
  }

  #newSegment(): ModelSegment {
    const segment = { id: this.#nextId++, usedBytes: 0, pages: new PageList() };
    this.#segments.set(segment.id, segment);
    return segment;
  }

  #reclaim(): void {
    const { policy } = this.#options;
    const sealed = [...this.#segments.values()].filter((segment) => segment !== this.#open);
    const store = this.#view();
    const victim = this.#segments.get(policy.chooseSegment(sealed.map(segmentViewOf), store).id);
    if (!victim) throw new Error('the policy chose no segment of the model');
    const pages = pageViewsOf(this.#table, victim.pages, victim.pages.count);
    const kept = policy.choosePages(pages, { budgetBytes: Math.floor(victim.usedBytes / 2), store });
    while (victim.pages.first !== noEntry) this.#table.remove(victim.pages.first, victim.pages);
    this.#segments.delete(victim.id);
    this.#sealedBytes -= victim.usedBytes;
    for (const { lengthBytes, page, tick } of kept) {
      this.copiedCount++;
      this.#put(page, lengthBytes, tick);
    }
  }

  #view(): StoreView {
    return {
      tick: this.#table.tick,
      tickMean: this.#table.tickMean,
      pageCount: this.#table.count,
      sample: ({ id }, pagesMax) => {
        const segment = this.#segments.get(id);
        return segment ? pageViewsOf(this.#table, segment.pages, pagesMax) : [];
      },
    };
  }

  *#pageLists(): Iterable<PageList> {
    for (const { pages } of this.#segments.values()) yield pages;
  }
}
