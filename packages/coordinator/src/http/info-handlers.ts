import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import type { ClusterInfo, WorkerTransport, WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { coordinatorOperations, coordinatorTags } from '@alluxio-ts/common/protocol/coordinator-operations';
import type { MountControl } from '../control/mount-control.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';
import { openApiDocument } from './openapi-document.ts';
import type { WorkerDirectory } from './worker-directory.ts';

export interface InfoHandlersOptions {
  readonly mounts: MountControl;
  readonly workers: WorkerDirectory;
  readonly metrics: Metrics;
  readonly version: string;
  /** Resolves when changing calls can work; its failure is the answer of /ready. */
  checkReady(): Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** `webPort` is asked when the server listens. */
export function infoHandlers(
  options: InfoHandlersOptions,
  webPort: () => number,
): Pick<
  CoordinatorHandlers,
  'listWorkers' | 'removeWorker' | 'getInfo' | 'getOpenApi' | 'getMetrics' | 'getHealth' | 'getReady'
> {
  const { clock, workers, mounts, metrics, logger } = options;
  const startedAt = { nowMs: clock.now(), monotonicMs: clock.monotonic() };
  const document = openApiDocument(coordinatorOperations, {
    version: options.version,
    tags: coordinatorTags,
  });
  return {
    listWorkers: async ({ signal }) => ({ workers: await workers.list({ signal }) }),
    removeWorker: async ({ query: { id } }) => {
      await workers.forget(id);
      logger.info({ workerId: id }, 'worker-removed');
      return { id };
    },
    getInfo: async ({ signal }) => {
      const views = await workers.list({ signal });
      const { length: mountCount } = await mounts.list({ signal });
      const sum = (name: 'capacityBytes' | 'usedBytes' | 'pageCount' | 'hitBytes' | 'missBytes'): number =>
        views.reduce((total, { stats }) => total + (stats?.[name] ?? 0), 0);
      return {
        version: options.version,
        startMs: startedAt.nowMs,
        uptimeMs: Math.round(clock.monotonic() - startedAt.monotonicMs),
        webPort: webPort(),
        liveWorkerCount: views.filter(({ status }) => status === 'ONLINE').length,
        lostWorkerCount: views.filter(({ status }) => status === 'OFFLINE').length,
        capacityBytes: sum('capacityBytes'),
        usedBytes: sum('usedBytes'),
        pageCount: sum('pageCount'),
        mountCount,
        hitBytes: sum('hitBytes'),
        missBytes: sum('missBytes'),
        transports: transportCounts(views),
      };
    },
    getOpenApi: async () => document,
    getMetrics: async () => (await metrics.scrape()).text,
    getHealth: async () => ({ status: 'ok' }),
    getReady: async () => {
      await options.checkReady();
      return { status: 'ok' };
    },
  };
}

function transportCounts(views: readonly WorkerView[]): NonNullable<ClusterInfo['transports']> {
  const transports = views.flatMap(({ stats }) => stats?.transport ?? []);
  const countOf = (wanted: (transport: WorkerTransport) => boolean): number =>
    transports.filter(wanted).length;
  return {
    plain: countOf(({ kind }) => kind === 'plain'),
    hotpath: countOf(({ kind }) => kind === 'hotpath'),
    missing: countOf(({ reason }) => reason !== undefined),
  };
}
