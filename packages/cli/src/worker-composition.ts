/** A worker and its under storages from the options of a process: the same in standalone and in a worker of a cluster. */

import { readdir, stat, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type DirectoryLock, lockDirectory } from '@alluxio-ts/common/directory-lock';
import { AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger, ProcessLogger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import type { Options } from '@alluxio-ts/common/options';
import type { OptionName } from '@alluxio-ts/common/options-table';
import { unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import { decodeMount } from '@alluxio-ts/common/protocol/mounts';
import type { SecretBox } from '@alluxio-ts/common/secret-box';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { formatSize } from '@alluxio-ts/common/units';
import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import type { JobParts } from '@alluxio-ts/coordinator/coordinator';
import type { LoadWorkers } from '@alluxio-ts/coordinator/control/jobs/load-workers';
import type { MountProbe } from '@alluxio-ts/coordinator/control/mount-control';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import { createUfsRegistry, type UfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { fillThreadCountOf } from '@alluxio-ts/worker/cache/thread-fill-runner';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import type { EvictionPolicy } from '@alluxio-ts/worker/page-store/eviction-policy';
import { fifoPolicy } from '@alluxio-ts/worker/page-store/fifo-policy';
import { FrequencyPolicy } from '@alluxio-ts/worker/page-store/frequency-policy';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';
import { PageEvents } from '@alluxio-ts/worker/page-store/page-events';
import type { CacheDir } from '@alluxio-ts/worker/page-store/cache-dir';
import { SpreadPageStore } from '@alluxio-ts/worker/page-store/spread-page-store';
import { type ClusterParts, startWorker, type Worker } from '@alluxio-ts/worker/worker';
import { advertisedHost } from './advertised-host.ts';
import { version } from './version.ts';

/** What every process is made from. */
export interface ProcessParts {
  readonly options: Options;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: ProcessLogger;
}

/** How to open under storages: here, and again in the threads that fetch pages. */
export interface Storages {
  readonly registry: UfsRegistry;
  readonly localAllowedRoots: readonly string[];
  readonly metricsOf: (scheme: string) => UfsMetrics;
}

export function openStorages(
  parts: ProcessParts,
  metrics: Metrics,
  localAllowedRoots: readonly string[],
): Storages {
  const { clock, random, environment } = parts;
  const metricsOf = (scheme: string): UfsMetrics => ufsMetrics(metrics, scheme);
  const registry = createUfsRegistry({ clock, random, environment, metrics: metricsOf, localAllowedRoots });
  return { registry, localAllowedRoots, metricsOf };
}

export interface WorkerSurroundings {
  readonly metrics: Metrics;
  readonly store: KvStore;
  readonly box: SecretBox | undefined;
  readonly storages: Storages;
  readonly cluster?: ClusterParts;
  readonly coordinator: () => CoordinatorClient | undefined;
  /** Where what was opened on the way puts how it is closed, also when the start fails. The worker itself is the caller's to close, before these. */
  readonly closers: (() => Promise<void> | void)[];
}

export async function startWorkerFromOptions(
  parts: ProcessParts,
  surroundings: WorkerSurroundings,
): Promise<Worker> {
  const { options, clock, random, logger, environment } = parts;
  const { metrics, store, box, storages, cluster } = surroundings;
  const { registry, localAllowedRoots, metricsOf } = storages;
  const pageEvents = new PageEvents();
  const cacheDirs = await openCacheDirs(parts, pageEvents, surroundings.closers);
  return startWorker(
    {
      clusterName: options.get('alluxio.cluster.name'),
      transport: options.get('alluxio.worker.transport'),
      bindHost: options.get('alluxio.bind.host'),
      hostname: await advertisedHost(options),
      s3Port: options.get('alluxio.worker.rest.port'),
      restPort: options.get('alluxio.worker.http.server.port'),
      webPort: options.get('alluxio.worker.web.port'),
      metastoreDir: options.get('alluxio.dora.worker.metastore.rocksdb.dir'),
      pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
      directMemoryBytes: options.get('alluxio.worker.direct.memory.size'),
      fillThreadCount: fillThreadCountOf(options.get('alluxio.worker.fill.threads'), availableParallelism()),
      loadConcurrencyMax: options.get('alluxio.worker.load.concurrency'),
      maxAgeMs: options.get('alluxio.worker.metadata.default.max.age'),
      staleIfErrorMaxMs: options.get('alluxio.worker.metadata.stale.if.error.max'),
      exposesCredentials: options.get('alluxio.worker.ufs.info.credentials.enabled'),
      logsAccess: options.get('alluxio.worker.access.log.enabled'),
      facts: {
        version,
        notices: options.notices,
        configuration: Object.fromEntries(
          sharedOptions.map((name) => [name, options.entryOf(name).maskedText]),
        ),
      },
      ...(options.get('alluxio.ttl.policy.enabled')
        ? { ttlCheckIntervalMs: options.get('alluxio.ttl.eviction.check.interval') }
        : {}),
      ...rulesFileOf(options),
    },
    {
      clock,
      random,
      logger,
      metrics,
      store,
      pageStore: new SpreadPageStore(cacheDirs.flatMap(({ use }) => ('store' in use ? [use.store] : []))),
      cacheDirs,
      pageEvents,
      decodeMount: (entry) => unsealMount(decodeMount(entry.key, entry.value), box),
      openUfs: (uri, mountOptions) => registry.open(uri, mountOptions, { check: false }),
      ufsOfThreads: { schemes: registry.schemes, localAllowedRoots, environment, metricsOf },
      coordinator: surroundings.coordinator,
      ...(cluster ? { cluster } : {}),
    },
  );
}

/** The options that must be the same on all workers: with another ring or page size they would not find each other's pages. */
const sharedOptions = [
  'alluxio.worker.page.store.page.size',
  'alluxio.user.worker.selection.policy.consistent.hash.virtual.node.count.per.worker',
  'alluxio.user.worker.selection.policy.consistent.hash.provider.impl',
  'alluxio.user.dynamic.consistent.hash.ring.enabled',
] as const satisfies readonly OptionName[];

/** One store a directory, each under its lock. A directory that cannot be used is left out: reads then go to the under storage. */
async function openCacheDirs(
  parts: ProcessParts,
  events: PageEvents,
  closers: (() => Promise<void> | void)[],
): Promise<readonly CacheDir[]> {
  const { options, logger } = parts;
  const sizes = options.get('alluxio.worker.page.store.sizes');
  const dirs: CacheDir[] = [];
  for (const [index, dir] of options.get('alluxio.worker.page.store.dirs').entries()) {
    const sizeBytes = sizes[index] ?? 0;
    try {
      const store = await openPageDir(parts, { dir, sizeBytes, events, closers });
      dirs.push({ dir, capacityBytes: sizeBytes, use: { store } });
    } catch (thrown) {
      if (!hasErrorCode(thrown, 'PageStoreUnavailable')) throw thrown;
      logger.error({ dir, error: thrown, option: 'alluxio.worker.page.store.dirs' }, 'cache-dir-not-used');
      dirs.push({ dir, capacityBytes: sizeBytes, use: { reason: thrown.message } });
    }
  }
  return dirs;
}

interface PageDir {
  readonly dir: string;
  readonly sizeBytes: number;
  readonly events: PageEvents;
  readonly closers: (() => Promise<void> | void)[];
}

/** Fails with DirectoryLocked when another process has it, with PageStoreUnavailable when it cannot be used. */
async function openPageDir(parts: ProcessParts, pageDir: PageDir): Promise<DiskPageStore> {
  const { options, clock, random, logger } = parts;
  const { dir, sizeBytes, events } = pageDir;
  const lock = lockPageDir(dir);
  pageDir.closers.push(() => lock.release());
  await warnOfFullDisk(dir, sizeBytes, logger);
  return DiskPageStore.open({
    dir,
    sizeBytes,
    pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
    clock,
    random,
    logger,
    policy: policyOf(options.get('alluxio.worker.page.store.evictor.type'), sizeBytes),
    onPageRemoved: (page) => events.pageRemoved(page),
    onSegmentRetired: (_, path) => events.segmentRetired(path),
    onSegmentRead: (read) => events.segmentRead(read),
  });
}

/** Each directory has its own, since it knows only of the pages that belong there. */
function policyOf(type: string, capacityBytes: number): EvictionPolicy {
  if (type === 'LRU') return lruPolicy;
  return type === 'FIFO' ? fifoPolicy : new FrequencyPolicy({ capacityBytes });
}

function lockPageDir(dir: string): DirectoryLock {
  try {
    return lockDirectory(dir);
  } catch (thrown) {
    if (hasErrorCode(thrown, 'DirectoryLocked')) throw thrown;
    const { message } = toAlluxioError(thrown);
    throw new AlluxioError('PageStoreUnavailable', message, { cause: thrown });
  }
}

/** A cache that cannot grow to its size still works, but not as its owner expects. */
async function warnOfFullDisk(dir: string, sizeBytes: number, logger: Logger): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const freeBytes = bavail * bsize;
  const usedBytes = await sizeOfFiles(join(dir, 'segments'));
  if (freeBytes + usedBytes >= sizeBytes) return;
  logger.warn(
    {
      dir,
      size: formatSize(sizeBytes),
      free: formatSize(freeBytes),
      option: 'alluxio.worker.page.store.sizes',
    },
    'cache-larger-than-disk',
  );
}

/** 0 for a directory that is not there. */
export async function sizeOfFiles(dir: string): Promise<number> {
  const names = await readdir(dir).catch(() => []);
  const files = await Promise.all(names.map((name) => stat(join(dir, name))));
  return files.reduce((sum, { size }) => sum + size, 0);
}

function rulesFileOf(options: Options): { readonly rulesFile?: { path: string; checkIntervalMs: number } } {
  if (!options.get('alluxio.user.client.cache.filter.enabled')) return {};
  return {
    rulesFile: {
      path: options.get('alluxio.user.client.cache.filter.config.file'),
      checkIntervalMs: options.get('alluxio.user.client.cache.filter.config.check.interval'),
    },
  };
}

/** What the coordinator runs jobs with. */
export function jobPartsOf(
  { options }: ProcessParts,
  { registry }: Storages,
  box: SecretBox | undefined,
  workers: LoadWorkers,
): JobParts {
  return {
    workers,
    unseal: (mount) => unsealMount(mount, box),
    openUfs: (uri, mountOptions) => registry.open(uri, mountOptions, { check: false }),
    failuresDir: join(options.get('alluxio.work.dir'), 'jobs'),
  };
}

/** Asks an under storage before it is mounted. */
export function probeOf(registry: UfsRegistry, clock: Clock): MountProbe {
  return {
    check: async (uri, options, { signal }) => {
      const ufs = registry.open(parseMountUri(uri), options);
      try {
        await probeUfs(ufs, { clock, ...(signal ? { signal } : {}) });
      } finally {
        await ufs.close();
      }
    },
    isSecretOption: (scheme, name) => registry.isSecretOption(scheme, name),
  };
}

/** The directories of mounts of local ones. */
export function localRootsOf(uris: readonly string[]): readonly string[] {
  return uris
    .map(parseMountUri)
    .filter((uri) => uri.scheme === 'file')
    .map((uri) => `/${uri.prefix}`);
}

function ufsMetrics(metrics: Metrics, scheme: string): UfsMetrics {
  return {
    calls: (operation, outcome) => {
      metrics.add('alluxio_ufs_total', { method: operation, ufs_type: scheme }, 1);
      if (outcome === 'ok' || outcome === 'aborted') return;
      metrics.add('alluxio_ufs_error_total', { ufs_type: scheme, error_code: outcome }, 1);
    },
    bytes: (count) => metrics.add('alluxio_ufs_data_access_bytes_total', { method: 'read' }, count),
    latencyMs: (operation, ms) =>
      metrics.observe('alluxio_ufs_latency_ms', { method: operation, ufs_type: scheme }, ms),
  };
}
