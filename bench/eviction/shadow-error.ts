/** How far the sampled shadow caches are from whole ones, on one trace. */

import { MIB } from '@alluxio-ts/common/units';
import { createEvictionPolicy, type EvictorType } from '@alluxio-ts/worker/page-store/eviction-policies';
import { SegmentModel } from '@alluxio-ts/worker/page-store/segment-model';
import { ShadowCaches, type ShadowPoint } from '@alluxio-ts/worker/page-store/shadow-caches';
import { pageIdOf } from './segment-log.ts';
import type { Trace } from './traces.ts';

export interface ShadowError extends ShadowPoint {
  /** Of a model that sees every page. */
  readonly wholeRatio: number;
  readonly pagesPerSample: number;
}

const pageBytes = 4 * MIB;

export function shadowErrorsOf(
  { pages }: Trace,
  pagesMax: number,
  policy: EvictorType = 'ADAPTIVE',
): readonly ShadowError[] {
  const capacityBytes = pagesMax * pageBytes;
  const shadows = new ShadowCaches({
    capacityBytes,
    pageSizeBytes: pageBytes,
    policy,
    windowReads: Number.POSITIVE_INFINITY,
  });
  for (const page of pages) shadows.onAccess(pageIdOf(page), pageBytes, false);
  const curve = shadows.curve();
  if (!curve) throw new Error('the trace is too short');
  return curve.points.map((point) => ({
    ...point,
    pagesPerSample: curve.pagesPerSample,
    wholeRatio: wholeRatioOf(pages, point, capacityBytes),
  }));
}

function wholeRatioOf(
  pages: Uint32Array,
  { policy, sizeFactor }: ShadowPoint,
  capacityBytes: number,
): number {
  const sizeBytes = sizeFactor * capacityBytes;
  const model = new SegmentModel({
    policy: createEvictionPolicy(policy, sizeBytes),
    capacityBytes: sizeBytes,
    segmentBytes: Math.floor(sizeBytes / 64),
    aheadCount: 2,
    pagesPerSample: 1,
  });
  let hits = 0;
  for (const page of pages) if (model.use(pageIdOf(page), pageBytes)) hits++;
  return hits / pages.length;
}
