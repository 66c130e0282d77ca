/** `alluxio info cache`: what each worker has of cache, and how full and well its directories are. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import {
  type CacheDirStats,
  isWorkerNamed,
  type WorkerView,
} from '@alluxio-ts/common/protocol/coordinator-api';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import { formatCount, formatSize } from '@alluxio-ts/common/units';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import type { ProgramOptions } from './context.ts';
import type { Structured } from './structured-text.ts';
import { whatIfData, whatIfLines } from './what-if.ts';

interface CacheFlags extends JsonFlag {
  readonly live?: true;
  readonly lost?: true;
  readonly worker?: string;
}

export function addInfoCacheCommand(info: Command, context: ProgramOptions): void {
  info
    .command('cache')
    .description('Shows the cache of each worker: how much of it is used, and how its directories are.')
    .option('--live', 'only workers that are there')
    .option('--lost', 'only workers that are not')
    .option('--worker <worker>', 'only this one: its id, its host, or host:port')
    .addOption(jsonOption())
    .addHelpText('after', cacheHelp)
    .action((flags: CacheFlags) => showCache(context, flags));
}

async function showCache(context: ProgramOptions, flags: CacheFlags): Promise<void> {
  if ([flags.live, flags.lost, flags.worker].filter((flag) => flag !== undefined).length > 1) {
    throw new AlluxioError('InvalidArgument', 'give at most one of --live, --lost and --worker');
  }
  const all = await withCoordinator(context, (client) => client.listWorkers());
  const chosen = all.filter((view) => isChosen(view, flags));
  if (flags.worker !== undefined && chosen.length === 0) {
    throw new AlluxioError(
      'InvalidArgument',
      `no worker is called "${flags.worker}"; "alluxio info nodes" shows them`,
    );
  }
  const lines = [...cacheLines(chosen), ...whatIfLines(chosen)];
  await print(context, flags, { data: cacheData(chosen), text: `${lines.join('\n')}\n` });
}

function isChosen({ id, address, status }: WorkerView, { live, lost, worker }: CacheFlags): boolean {
  if (worker !== undefined) return isWorkerNamed(worker, { id, address });
  if (live) return status === 'ONLINE';
  return lost ? status === 'OFFLINE' : true;
}

interface CacheSum {
  readonly workerCount: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly pageCount: number;
  readonly hitRatio: number | undefined;
}

function sumOf(workers: readonly WorkerView[]): CacheSum {
  const sum = (name: 'capacityBytes' | 'usedBytes' | 'pageCount' | 'hitBytes' | 'missBytes'): number =>
    workers.reduce((total, { stats }) => total + (stats?.[name] ?? 0), 0);
  const readBytes = sum('hitBytes') + sum('missBytes');
  return {
    workerCount: workers.length,
    capacityBytes: sum('capacityBytes'),
    usedBytes: sum('usedBytes'),
    pageCount: sum('pageCount'),
    hitRatio: readBytes === 0 ? undefined : sum('hitBytes') / readBytes,
  };
}

function cacheData(workers: readonly WorkerView[]): Structured {
  const { hitRatio, ...sums } = sumOf(workers);
  return {
    ...sums,
    hitRatio: ratioData(hitRatio),
    ...whatIfData(workers),
    workers: workers.map((view) => ({
      id: view.id,
      address: hostAndPortOf(view.address),
      status: view.status,
      ...(view.stats
        ? {
            capacityBytes: view.stats.capacityBytes,
            usedBytes: view.stats.usedBytes,
            pageCount: view.stats.pageCount,
            hitRatio: ratioData(sumOf([view]).hitRatio),
            dirs: view.stats.dirs.map(dirData),
            ...whatIfData([view]),
          }
        : {}),
    })),
  };
}

function ratioData(ratio: number | undefined): Structured {
  return ratio === undefined ? null : Math.round(10_000 * ratio) / 10_000;
}

function dirData({ reason, scrubbedMs, ...dir }: CacheDirStats): Structured {
  return {
    ...dir,
    ...(scrubbedMs === undefined ? {} : { scrubbedMs }),
    ...(reason === undefined ? {} : { reason }),
  };
}

function cacheLines(workers: readonly WorkerView[]): readonly string[] {
  const sums = sumOf(workers);
  const total = `${formatCount(sums.workerCount, 'worker')}: ${usageText(sums)}`;
  return [...workers.flatMap(workerLines), total];
}

function workerLines(view: WorkerView): readonly string[] {
  const head = `${view.id} ${hostAndPortOf(view.address)} ${view.status}`;
  if (!view.stats) return [view.status === 'ONLINE' ? `${head}: it does not tell` : head];
  const dirs = view.stats.dirs.map((dir) => {
    const { capacityBytes, dir: path, pageCount, reason, segmentCount, state, usedBytes } = dir;
    const health = reason === undefined ? state : `${state}: ${reason}`;
    const scrub =
      dir.scrubbedMs === undefined ? '' : `, all checked by ${new Date(dir.scrubbedMs).toISOString()}`;
    return `    ${path}: ${ofText(usedBytes, capacityBytes)}, ${formatCount(pageCount, 'page')} in ${formatCount(segmentCount, 'segment')}, ${health}${scrub}`;
  });
  return [`${head}: ${usageText(sumOf([view]))}`, ...dirs];
}

function usageText({ capacityBytes, hitRatio, pageCount, usedBytes }: CacheSum): string {
  const hits = hitRatio === undefined ? 'nothing read yet' : `hits ${(100 * hitRatio).toFixed(2)}% of bytes`;
  return `${ofText(usedBytes, capacityBytes)}, ${formatCount(pageCount, 'page')}, ${hits}`;
}

function ofText(usedBytes: number, capacityBytes: number): string {
  const share = capacityBytes === 0 ? 0 : Math.floor((100 * usedBytes) / capacityBytes);
  return `${formatSize(usedBytes)} of ${formatSize(capacityBytes)} (${share}%)`;
}

const cacheHelp = `
Capacity and pages of a worker that is not there are not known. What another size or policy would hit is estimated from a sample of the pages that were read lately.

Examples:
  alluxio info cache
  alluxio info cache --live --json
  alluxio info cache --worker cache-1
`;
