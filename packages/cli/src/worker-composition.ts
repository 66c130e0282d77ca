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
import { formatSize, MIB } from '@alluxio-ts/common/units';
import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import type { JobParts } from '@alluxio-ts/coordinator/coordinator';
import type { LoadWorkers } from '@alluxio-ts/coordinator/control/jobs/load-workers';
import type { MountProbe } from '@alluxio-ts/coordinator/control/mount-control';
import type { CircuitChange } from '@alluxio-ts/ufs-adapters/circuit-keeper';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import { createUfsRegistry, type UfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { fillThreadCountOf } from '@alluxio-ts/worker/cache/thread-fill-runner';
import { chooseTransport } from '@alluxio-ts/worker/create-parts';
import { answersMaxOf } from '@alluxio-ts/worker/memory-sum';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { createEvictionPolicy } from '@alluxio-ts/worker/page-store/eviction-policies';
import { PageEvents } from '@alluxio-ts/worker/page-store/page-events';
import type { CacheDir } from '@alluxio-ts/worker/page-store/cache-dir';
import type { ScrubOptions } from '@alluxio-ts/worker/page-store/scrubber';
import { SpreadPageStore } from '@alluxio-ts/worker/page-store/spread-page-store';
import { startWorker, type Worker } from '@alluxio-ts/worker/worker';
import type { ClusterParts } from '@alluxio-ts/worker/worker-options';
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
  readonly readRate: ReadRate | undefined;
  readonly hedgesReads: boolean;
}

export function openStorages(
  parts: ProcessParts,
  metrics: Metrics,
  localAllowedRoots: readonly string[],
): Storages {
  const { clock, logger, options, random, environment } = parts;
  const hedgesReads = options.get('alluxio.worker.ufs.hedged.read.enabled');
  const readRate = readRateOf(options, clock);
  const metricsOf = (scheme: string): UfsMetrics => ufsMetrics(metrics, scheme);
  const registry = createUfsRegistry({
    clock,
    random,
    environment,
    metrics: metricsOf,
    localAllowedRoots,
    readRate,
    hedgesReads,
    onCircuitChange: circuitObserver(metrics, logger),
  });
  return { registry, localAllowedRoots, metricsOf, readRate, hedgesReads };
}

function readRateOf(options: Options, clock: Clock): ReadRate | undefined {
  const bytesPerSecond = options.get('alluxio.worker.data.ufs.read.rate.limit.mb') * MIB;
  return bytesPerSecond > 0
    ? new ReadRate({ bytesPerSecond, clock, memory: ReadRate.newMemory() })
    : undefined;
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
  const { registry, ...ufsOfThreads } = storages;
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
      evictorType: options.get('alluxio.worker.page.store.evictor.type'),
      directMemoryBytes: options.get('alluxio.worker.direct.memory.size'),
      answersMax: answersMaxOf(
        options.get('alluxio.worker.answers.max'),
        chooseTransport(options.get('alluxio.worker.transport')).kind,
      ),
      readAheadMaxBytes: options.get('alluxio.worker.read.ahead.size.max'),
      fillThreadCount: fillThreadCountOf(options.get('alluxio.worker.fill.threads'), availableParallelism()),
      loadConcurrencyMax: options.get('alluxio.worker.load.concurrency'),
      loadsReadersFirst: options.get('alluxio.worker.load.readers.first'),
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
      openUfs: (uri, mountOptions, how) => registry.open(uri, mountOptions, { check: false, ...how }),
      ufsOfThreads: { ...ufsOfThreads, schemes: registry.schemes, environment },
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
    policy: createEvictionPolicy(options.get('alluxio.worker.page.store.evictor.type'), sizeBytes),
    watermarks: {
      high: options.get('alluxio.worker.page.store.async.eviction.high.watermark'),
      low: options.get('alluxio.worker.page.store.async.eviction.low.watermark'),
    },
    ...scrubOf(options.get('alluxio.worker.page.store.scrub.bandwidth')),
    onPageRemoved: (page) => events.pageRemoved(page),
    onSegmentRetired: (_, path) => events.segmentRetired(path),
    onOut: () => events.dirOut(),
    onSegmentRead: (read) => events.segmentRead(read),
  });
}

function scrubOf(bytesPerSecond: number): { readonly scrub?: ScrubOptions } {
  return bytesPerSecond === 0 ? {} : { scrub: { bytesPerSecond } };
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

/** Two mounts of one storage have a circuit each, and so have the reads and the load jobs of a process. */
function circuitObserver(metrics: Metrics, logger: Logger): (scheme: string, change: CircuitChange) => void {
  const openCounts = new Map<string, number>();
  return (scheme, { failingMs, failureCount, name, state }) => {
    const openCount = (openCounts.get(scheme) ?? 0) + (state === 'open' ? 1 : -1);
    openCounts.set(scheme, openCount);
    metrics.set('alluxio_ufs_circuits_open', { ufs_type: scheme }, openCount);
    const fields = { ufsUri: name, failingMs: Math.round(failingMs), failureCount };
    if (state === 'closed') logger.info(fields, 'ufs-circuit-closed');
    if (state !== 'open') return;
    metrics.add('alluxio_ufs_circuit_openings_total', { ufs_type: scheme }, 1);
    logger.warn(
      { ...fields, meaning: 'calls to it fail at once until it answers again; cached files are served' },
      'ufs-circuit-opened',
    );
  };
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
    retry: (outcome) => metrics.add('alluxio_ufs_retries_total', { ufs_type: scheme, outcome }, 1),
    hedge: (outcome) => metrics.add('alluxio_ufs_hedged_reads_total', { ufs_type: scheme, outcome }, 1),
    pausedMs: (ms) => metrics.add('alluxio_ufs_read_rate_limit_wait_ms_total', { ufs_type: scheme }, ms),
  };
}
