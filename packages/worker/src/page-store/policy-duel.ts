/**
 * Which of two policies would hit more: a small model of each sees the same sample of the pages that are used, chosen by hash (SHARDS), and counts its hits (set dueling; Qureshi et al., ISCA
 * 2007). All pages count as equally large.
 */

import type { PageId } from '@alluxio-ts/common/page';
import type { EvictionPolicy } from './eviction-policy.ts';
import { isSampled } from './page-sample.ts';
import { SegmentModel } from './segment-model.ts';

/** Of a model, at least, unless the cache itself has fewer; twice as many at most. */
const pagesMin = 512;
const segmentCount = 64;
const aheadCount = 1;
/** Counts are halved after so many sampled uses for each page of a model. */
const usesPerPage = 4;
/** Of the sampled uses so many more must be hits before the other policy leads: less is noise. */
const leadMin = 0.02;
const sampleFactor = 0x9e37_79b1;

export interface PolicyDuelOptions {
  /** Of the cache. */
  readonly pageCount: number;
  /** The one that leads at first. */
  readonly first: (modelPages: number) => EvictionPolicy;
  readonly second: (modelPages: number) => EvictionPolicy;
}

export class PolicyDuel {
  /** Of the cache that the models are made for. */
  readonly pageCount: number;
  readonly #first: SegmentModel;
  readonly #second: SegmentModel;
  readonly #pagesPerSample: number;
  readonly #windowUses: number;
  #useCount = 0;
  /** Hits of the second that the first has not. */
  #lead = 0;
  #isSecondAhead = false;

  constructor({ first, pageCount, second }: PolicyDuelOptions) {
    this.pageCount = pageCount;
    const pagesPerSample = 2 ** Math.max(0, Math.floor(Math.log2(pageCount / pagesMin)));
    this.#pagesPerSample = pagesPerSample;
    const capacityBytes = pageCount / pagesPerSample;
    this.#windowUses = usesPerPage * capacityBytes;
    const modelOf = (policy: EvictionPolicy): SegmentModel =>
      new SegmentModel({
        policy,
        capacityBytes,
        segmentBytes: Math.max(1, Math.floor(capacityBytes / segmentCount)),
        aheadCount,
        pagesPerSample,
      });
    this.#first = modelOf(first(capacityBytes));
    this.#second = modelOf(second(capacityBytes));
  }

  used(page: PageId): void {
    if (!isSampled(page, sampleFactor, this.#pagesPerSample)) return;
    const isFirstHit = this.#first.use(page, 1);
    const isSecondHit = this.#second.use(page, 1);
    if (isFirstHit !== isSecondHit) this.#lead += isSecondHit ? 1 : -1;
    if (++this.#useCount < this.#windowUses) return;
    this.#useCount /= 2;
    this.#lead /= 2;
  }

  /** Stays as it is while neither leads clearly. */
  get isSecondAhead(): boolean {
    if (Math.abs(this.#lead) > leadMin * this.#windowUses) this.#isSecondAhead = this.#lead > 0;
    return this.#isSecondAhead;
  }
}
