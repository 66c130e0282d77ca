/** What another size of cache, or another policy, would hit: the estimates of workers taken together, as data and as a table. */

import type { WorkerStats, WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { formatSize } from '@alluxio-ts/common/units';
import type { Structured } from './structured-text.ts';

interface Point {
  readonly policy: string;
  readonly sizeFactor: number;
  readonly capacityBytes: number;
  readonly hitRatio: number;
}

interface Estimate {
  readonly readCount: number;
  readonly hitRatio: number;
  readonly points: readonly Point[];
}

/** Weighted by the reads that each worker has seen. Undefined when none has seen enough. */
function estimateOf(workers: readonly WorkerView[]): Estimate | undefined {
  const told = workers.flatMap(({ stats }) => (stats?.whatIf ? [{ ...stats, whatIf: stats.whatIf }] : []));
  if (told.length === 0) return undefined;
  const readCount = told.reduce((sum, { whatIf }) => sum + whatIf.readCount, 0);
  const hitCount = told.reduce((sum, { whatIf }) => sum + whatIf.readCount * whatIf.hitRatio, 0);
  return { readCount, hitRatio: hitCount / readCount, points: pointsOf(told) };
}

type Told = WorkerStats & { readonly whatIf: NonNullable<WorkerStats['whatIf']> };

function pointsOf(told: readonly Told[]): readonly Point[] {
  const all = told.flatMap(({ capacityBytes, whatIf }) =>
    whatIf.points.map((point) => ({ ...point, capacityBytes, readCount: whatIf.readCount })),
  );
  const groups = Map.groupBy(all, ({ policy, sizeFactor }) => `${sizeFactor} ${policy}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const { policy, sizeFactor } = first;
    const readCount = group.reduce((sum, point) => sum + point.readCount, 0);
    const hitCount = group.reduce((sum, point) => sum + point.readCount * point.hitRatio, 0);
    const capacityBytes = sizeFactor * group.reduce((sum, point) => sum + point.capacityBytes, 0);
    return [{ policy, sizeFactor, capacityBytes, hitRatio: hitCount / readCount }];
  });
}

export function whatIfData(workers: readonly WorkerView[]): { readonly whatIf?: Structured } {
  const estimate = estimateOf(workers);
  if (!estimate) return {};
  const { hitRatio, points, readCount } = estimate;
  return {
    whatIf: {
      readCount,
      hitRatio: rounded(hitRatio),
      points: points.map((point) => ({ ...point, hitRatio: rounded(point.hitRatio) })),
    },
  };
}

export function whatIfLines(workers: readonly WorkerView[]): readonly string[] {
  const estimate = estimateOf(workers);
  if (!estimate) return [];
  const { hitRatio, points, readCount } = estimate;
  const policyLength = Math.max(4, ...points.map(({ policy }) => policy.length));
  const rows = points.map((point) => {
    const size = `${point.sizeFactor}x (${formatSize(point.capacityBytes)})`;
    const policy = point.policy.padEnd(policyLength);
    return `    ${policy}  ${size.padEnd(18)}  ${percent(point.hitRatio).padStart(6)}${difference(point, points)}`;
  });
  return [
    `what another cache would hit (of ${readCount} page reads; measured now ${percent(hitRatio)}):`,
    ...rows,
  ];
}

/** Beside the model of today's size and policy, which comes with the other sizes; so that both are estimates. */
function difference({ hitRatio, policy, sizeFactor }: Point, points: readonly Point[]): string {
  const [inUse] = points;
  const today = points.find((point) => point.sizeFactor === 1 && point.policy === inUse?.policy);
  if (!today) return '';
  if (sizeFactor === 1 && policy === today.policy) return '  as it is now';
  const points100 = 100 * (hitRatio - today.hitRatio);
  return `  ${points100 < 0 ? '-' : '+'}${Math.abs(points100).toFixed(1)} points`;
}

function percent(ratio: number): string {
  return `${(100 * ratio).toFixed(1)}%`;
}

function rounded(ratio: number): number {
  return Math.round(10_000 * ratio) / 10_000;
}
