/** The page store's log of segments without a disk, over page numbers: pages of one size. */

import type { PageId } from '@alluxio-ts/common/page';
import type { EvictionPolicy } from '@alluxio-ts/worker/page-store/eviction-policy';
import { SegmentModel } from '@alluxio-ts/worker/page-store/segment-model';
import type { PageCache } from './reference-caches.ts';

export class SegmentLogCache implements PageCache {
  readonly #model: SegmentModel;

  constructor(policy: EvictionPolicy, pagesMax: number, segmentCount = 64) {
    const segmentBytes = Math.max(1, Math.floor(pagesMax / segmentCount));
    this.#model = new SegmentModel({
      policy,
      capacityBytes: pagesMax,
      segmentBytes,
      aheadCount: 1,
      pagesPerSample: 1,
    });
  }

  get copiedCount(): number {
    return this.#model.copiedCount;
  }

  get filledCount(): number {
    return this.#model.filledCount;
  }

  use(page: number): boolean {
    return this.#model.use(pageIdOf(page), 1);
  }
}

export function pageIdOf(page: number): PageId {
  return { file: { a: Math.imul(page + 1, 0x85eb_ca6b) >>> 0, b: 0, c: page }, index: 0 };
}
