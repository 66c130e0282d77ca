/**
 * What caches of other sizes and policies would hit: small models of them see a sample of all pages, chosen by hash, and are smaller by the same factor (SHARDS; Waldspurger
 * et al., FAST 2015). They keep no bytes. A page in 2^k is sampled, such that the model of today's size has 4,096 to 8,192 pages of full length; where pages are small, and so more, k grows.
 *
 * Ratios are of page reads, the latest counting most: all counts are halved from time to time. A sample may have more or fewer of the hottest pages than its share. Their reads hit in any cache, so
 * the reads that the sample has too few are taken as hits, and those that it has too many are taken off (SHARDS-adj).
 */

import type { PageId } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import { createEvictionPolicy, type EvictorType, evictorTypes } from './eviction-policies.ts';
import { isSampled } from './page-sample.ts';
import { SegmentModel } from './segment-model.ts';

export interface ShadowCachesOptions {
  /** Of the cache that is in use, all of its directories together. */
  readonly capacityBytes: number;
  readonly pageSizeBytes: number;
  /** That is in use. */
  readonly policy: EvictorType;
  /** Sampled reads after which counts are halved; some epochs of what fits the cache unless given. */
  readonly windowReads?: number;
}

export interface ShadowPoint {
  readonly policy: EvictorType;
  /** Of today's capacity. */
  readonly sizeFactor: number;
  readonly hitRatio: number;
}

export interface ShadowCurve {
  /** One page in so many is sampled. */
  readonly pagesPerSample: number;
  /** Reads that the ratios stand on, fewer with their age. */
  readonly readCount: number;
  /** What the cache itself hit of all reads. */
  readonly hitRatio: number;
  readonly points: readonly ShadowPoint[];
}

interface Shadow {
  readonly policy: EvictorType;
  readonly sizeFactor: number;
  readonly model: SegmentModel;
  hitCount: number;
}

export const shadowSizeFactors = [0.5, 1, 2, 4] as const;
const sampledPagesMin = 4096;
const segmentCount = 64;
/** As the store has it: one is written and two are ready. */
const aheadCount = 2;
/** Beyond so many pages in a model of today's size, and accordingly in the others, fewer are sampled. */
const pagesMax = 4 * sampledPagesMin;
const windowCapacities = 8;
const readsMin = 100;
/** The sketch of a policy has a counter for each 64 KiB of what it is told, so a page of this size has as many as it needs. */
const sketchPageMaxBytes = 4 * MIB;

/** Not that of `policy-duel.ts`, which takes a share of this sample too. */
const sampleFactor = 0x85eb_ca77;

/** What all models and their policies take at most; `shadow-caches.bench.ts` measures it. */
export const shadowCachesMaxBytes = 32 * MIB;

export class ShadowCaches {
  readonly #shadows: readonly Shadow[];
  readonly #windowReads: number;
  #pagesPerSample: number;
  /** All reads, and what the cache itself hit of them. */
  #readCount = 0;
  #hitCount = 0;
  /** What the sample should have of them, up to the last change of its share, and what it has. */
  #expectedBefore = 0;
  #readsSince = 0;
  #sampledCount = 0;
  #sampledTotal = 0;

  constructor(options: ShadowCachesOptions) {
    const { capacityBytes, pageSizeBytes, policy } = options;
    const pages = capacityBytes / pageSizeBytes;
    const pagesPerSample = 2 ** Math.max(0, Math.floor(Math.log2(pages / sampledPagesMin)));
    this.#pagesPerSample = pagesPerSample;
    this.#windowReads = options.windowReads ?? Math.max(10_000, (windowCapacities * pages) / pagesPerSample);
    const others = evictorTypes.filter((type) => type !== policy);
    this.#shadows = [
      ...shadowSizeFactors.map((sizeFactor) => ({ policy, sizeFactor })),
      ...others.map((type) => ({ policy: type, sizeFactor: 1 })),
    ].map((shadow) => ({
      ...shadow,
      model: modelOf(shadow, { capacityBytes, pageSizeBytes, pagesPerSample }),
      hitCount: 0,
    }));
  }

  /** A page of this length was read, so many times one after the other; whether the cache had it at the first. On the path of every read. */
  onAccess(page: PageId, lengthBytes: number, isHit: boolean, count = 1): void {
    this.#readCount += count;
    this.#readsSince += count;
    this.#hitCount += isHit ? count : count - 1;
    if (!this.#isSampled(page)) return;
    this.#sampledCount += count;
    this.#sampledTotal += count;
    for (const shadow of this.#shadows) {
      shadow.hitCount += shadow.model.use(page, lengthBytes) ? count : count - 1;
    }
    if (this.#sampledCount >= this.#windowReads) this.#halveCounts();
    const isTooMany = this.#shadows.some(({ model, sizeFactor }) => model.pageCount > sizeFactor * pagesMax);
    if (isTooMany) this.#sampleLess();
  }

  /** A page came in that nobody read: a load job's. */
  onLoaded(page: PageId, lengthBytes: number): void {
    if (!this.#isSampled(page)) return;
    for (const { model } of this.#shadows) model.add(page, lengthBytes);
  }

  /** Sampled reads since the start. */
  get sampledCount(): number {
    return this.#sampledTotal;
  }

  /** Of the tables; policies have their share of the rest of `shadowCachesMaxBytes`. */
  get memoryBytes(): number {
    return this.#shadows.reduce((sum, { model }) => sum + model.memoryBytes, 0);
  }

  /** Undefined while too little was read. */
  curve(): ShadowCurve | undefined {
    if (this.#sampledCount < readsMin) return undefined;
    const expectedCount = this.#expectedBefore + this.#readsSince / this.#pagesPerSample;
    const ratioOf = (hitCount: number): number =>
      Math.max(0, Math.min(1, (hitCount + expectedCount - this.#sampledCount) / expectedCount));
    return {
      pagesPerSample: this.#pagesPerSample,
      readCount: Math.round(this.#readCount),
      hitRatio: this.#hitCount / this.#readCount,
      points: this.#shadows.map(({ hitCount, policy, sizeFactor }) => ({
        policy,
        sizeFactor,
        hitRatio: ratioOf(hitCount),
      })),
    };
  }

  #isSampled(page: PageId): boolean {
    return isSampled(page, sampleFactor, this.#pagesPerSample);
  }

  #halveCounts(): void {
    this.#readCount /= 2;
    this.#hitCount /= 2;
    this.#expectedBefore /= 2;
    this.#readsSince /= 2;
    this.#sampledCount /= 2;
    for (const shadow of this.#shadows) shadow.hitCount /= 2;
  }

  #sampleLess(): void {
    this.#expectedBefore += this.#readsSince / this.#pagesPerSample;
    this.#readsSince = 0;
    this.#pagesPerSample *= 2;
    for (const { model } of this.#shadows) model.halve((page) => this.#isSampled(page));
  }
}

function modelOf(
  { policy, sizeFactor }: Pick<ShadowPoint, 'policy' | 'sizeFactor'>,
  cache: { readonly capacityBytes: number; readonly pageSizeBytes: number; readonly pagesPerSample: number },
): SegmentModel {
  const { pageSizeBytes, pagesPerSample } = cache;
  const sketchPageBytes = Math.min(pageSizeBytes, sketchPageMaxBytes);
  const capacityBytes = (sizeFactor * cache.capacityBytes) / pagesPerSample;
  return new SegmentModel({
    policy: createEvictionPolicy(policy, (capacityBytes / pageSizeBytes) * sketchPageBytes),
    capacityBytes,
    segmentBytes: Math.max(capacityBytes / segmentCount, pageSizeBytes),
    aheadCount,
    pagesPerSample,
  });
}
