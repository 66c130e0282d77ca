/** A coordinator with a state store in memory and real local directories behind its mounts. */

import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { createLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { type WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { workerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import type { Test } from 'tap';
import { startCoordinator } from '../../src/coordinator.ts';
import type { CacheControl } from '../../src/http/cache-handlers.ts';
import type { AdminAccess } from '../../src/http/caller-check.ts';
import type { WorkerLogs } from '../../src/http/log-handlers.ts';
import { localProbe } from './local-probe.ts';

export const token = 'a-token-of-sufficient-length';

export interface Given {
  readonly admin?: AdminAccess;
  readonly cache?: CacheControl;
  /** None unless given. */
  readonly workers?: readonly WorkerView[];
  readonly workerLogs?: WorkerLogs;
  readonly port?: number;
  readonly auditFile?: string;
  readonly auditSizeMaxBytes?: number;
}

/** A cache of which a test says only what it needs. */
export function cacheWith(some: Partial<CacheControl>): CacheControl {
  const refuse = () => Promise.reject(new Error('not expected'));
  return { free: refuse, freeAll: refuse, ...some };
}

export async function startCoordinatorForTest(t: Test, given: Given = {}) {
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  const lines: string[] = [];
  const metrics = new Metrics();
  const coordinator = await startCoordinator({
    store,
    clusterName: 'c',
    host: '127.0.0.1',
    port: given.port ?? 0,
    probe: localProbe,
    box: undefined,
    admin: given.admin ?? { kind: 'token', token, tokenFile: '/dir/admin.token' },
    auditFile: { path: given.auditFile ?? '', sizeMaxBytes: given.auditSizeMaxBytes ?? 1024 * 1024 },
    cache: given.cache,
    workers: {
      // As in a cluster, the state store says who they are.
      list: async (call) => {
        await store.list('/', call);
        return given.workers ?? [];
      },
      forget: async (id) => {
        const worker = (given.workers ?? []).find((each) => each.id === id);
        if (!worker) throw new AlluxioError('InvalidArgument', `no worker ${id} is registered`);
        if (worker.status === 'ONLINE') throw new AlluxioError('StateConflict', `${id} is online`);
      },
    },
    inspection: {
      facts: () => processFacts({ version: '1.2.3', notices: [], clock: systemClock }),
      stateStore: async () => ({ kind: 'embedded', latencyMs: 1, members: [], alarms: [] }),
      workers: async () => [],
    },
    jobs: {
      // No worker is there: what is submitted stays as it is.
      workers: {
        online: () => [],
        ownerOf: () => undefined,
        onChange: () => () => undefined,
        load: () => Promise.reject(new Error('not expected')),
        roomOf: async () => undefined,
        free: () => Promise.reject(new Error('not expected')),
      },
      failuresDir: t.testdirName,
      unseal: (mount) => mount,
      openUfs: (uri, options) =>
        createUfsRegistry({
          clock: systemClock,
          random: systemRandom,
          environment: {},
          localAllowedRoots: ['/'],
        }).open(uri, options, { check: false }),
    },
    ...(given.workerLogs ? { workerLogs: given.workerLogs } : {}),
    metrics,
    version: '1.2.3',
    clock: systemClock,
    random: systemRandom,
    logger: createLogger({
      process: 'coordinator',
      level: 'debug',
      destination: { write: (line) => lines.push(line) },
    }),
  });
  t.teardown(async () => {
    await coordinator.close();
    await store.close();
  });
  const url = `http://127.0.0.1:${coordinator.port}`;
  const clientWith = (given: { readonly token?: string }) => {
    const client = new CoordinatorClient({ host: '127.0.0.1', port: coordinator.port, ...given });
    t.teardown(() => client.close());
    return client;
  };
  return { coordinator, store, lines, metrics, url, client: clientWith({ token }), clientWith };
}

export function workerAt(id: string, host: string, stats?: Partial<WorkerView['stats']>): WorkerView {
  const none = {
    pageSizeBytes: 1,
    capacityBytes: 0,
    usedBytes: 0,
    pageCount: 0,
    hitBytes: 0,
    missBytes: 0,
    dirs: [],
  };
  return {
    id,
    status: stats ? 'ONLINE' : 'OFFLINE',
    address: workerNetAddress({ host, httpServerPort: 28080, webPort: 1, s3Port: 2 }),
    ...(stats ? { stats: { ...none, ...stats } } : {}),
  };
}
