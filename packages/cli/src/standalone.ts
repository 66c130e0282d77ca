/**
 * Everything in one process: the state store on disk, the coordinator's API and one worker. The composition of `alluxio standalone`, and so of
 * `npm start`.
 */

import { mkdir, readdir, stat, statfs } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { loadOrCreateToken } from '@alluxio-ts/common/admin-token';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type DirectoryLock, lockDirectory } from '@alluxio-ts/common/directory-lock';
import type { Logger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import type { Options } from '@alluxio-ts/common/options';
import { unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import { decodeMount, type Mount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { loadOrCreateKeyFile, type SecretBox } from '@alluxio-ts/common/secret-box';
import { readOrCreateSecretFile } from '@alluxio-ts/common/secret-file';
import { openEmbeddedKvStore } from '@alluxio-ts/common/state/embedded-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { formatSize } from '@alluxio-ts/common/units';
import type { MountControl, MountProbe } from '@alluxio-ts/coordinator/control/mount-control';
import { type Coordinator, startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import { createUfsRegistry, type UfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { fillThreadCountOf } from '@alluxio-ts/worker/cache/thread-fill-runner';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';
import { PageEvents } from '@alluxio-ts/worker/page-store/page-events';
import type { PageStore } from '@alluxio-ts/worker/page-store/page-store';
import { SpreadPageStore } from '@alluxio-ts/worker/page-store/spread-page-store';
import { startWorker, type Worker } from '@alluxio-ts/worker/worker';
import { makeSampleDataset } from './sample-dataset.ts';
import type { StandaloneMount } from './standalone-arguments.ts';
import { version } from './version.ts';

export interface StandaloneParts {
  readonly options: Options;
  /** To mount in addition to what is mounted already. */
  readonly mounts: readonly StandaloneMount[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface Standalone {
  readonly worker: Worker;
  readonly coordinator: Coordinator;
  readonly tokenFile: string;
  /** Paths that were mounted anew by this start. */
  readonly addedMounts: readonly string[];
  /** Answers in flight get `deadlineMs` to finish. */
  close(options: { readonly deadlineMs: number }): Promise<void>;
}

export const samplePath = '/sample';

/** The worker sees a new mount at once; one that it does not serve by then has failed, and the log says why. */
const servedDeadlineMs = 5000;

export async function startStandalone(parts: StandaloneParts): Promise<Standalone> {
  const { options, clock, random, logger } = parts;
  const workDir = options.get('alluxio.work.dir');
  const sampleDir = join(workDir, 'sample');
  const clusterName = options.get('alluxio.cluster.name');
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const store = await openEmbeddedKvStore({ directory: join(workDir, 'state'), clock, random, logger });
    closers.push(() => store.close());
    await makeSampleDataset(sampleDir);
    const box = await loadOrCreateKeyFile(options.get('alluxio.security.key.file'), random);
    const tokenFile = options.get('alluxio.security.admin.token.file');
    const stored = await storedMounts(store, clusterName, box);
    const token = await loadOrCreateToken(tokenFile, random);
    const workerId = await loadOrCreateWorkerId(join(workDir, 'worker.id'), random);
    const metrics = new Metrics();
    metrics.set('alluxio_version_info', { version }, 1);
    const { environment } = parts;
    const metricsOf = (scheme: string): UfsMetrics => ufsMetrics(metrics, scheme);
    const localAllowedRoots = [
      sampleDir,
      ...options.get('alluxio.ufs.local.allowed.roots'),
      ...localRootsOf(parts.mounts.map((mount) => mount.ufsUri)),
      ...localRootsOf(stored.map((mount) => mount.ufsUri)),
    ];
    const registry = createUfsRegistry({ clock, random, environment, metrics: metricsOf, localAllowedRoots });
    const pageEvents = new PageEvents();
    const pageStore = await openPageStore(parts, pageEvents, closers);
    const worker = await startWorker(
      {
        clusterName,
        transport: options.get('alluxio.worker.transport'),
        bindHost: options.get('alluxio.bind.host'),
        s3Port: options.get('alluxio.worker.rest.port'),
        restPort: options.get('alluxio.worker.http.server.port'),
        webPort: options.get('alluxio.worker.web.port'),
        metastoreDir: options.get('alluxio.dora.worker.metastore.rocksdb.dir'),
        pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
        directMemoryBytes: options.get('alluxio.worker.direct.memory.size'),
        fillThreadCount: fillThreadCountOf(
          options.get('alluxio.worker.fill.threads'),
          availableParallelism(),
        ),
        maxAgeMs: options.get('alluxio.worker.metadata.default.max.age'),
        staleIfErrorMaxMs: options.get('alluxio.worker.metadata.stale.if.error.max'),
        exposesCredentials: options.get('alluxio.worker.ufs.info.credentials.enabled'),
        logsAccess: options.get('alluxio.worker.access.log.enabled'),
        ...rulesFileOf(options),
      },
      {
        clock,
        random,
        logger,
        metrics,
        store,
        pageStore,
        pageEvents,
        decodeMount: (entry) => unsealMount(decodeMount(entry.key, entry.value), box),
        openUfs: (uri, mountOptions) => registry.open(uri, mountOptions, { check: false }),
        ufsOfThreads: { schemes: registry.schemes, localAllowedRoots, environment, metricsOf },
      },
    );
    let deadlineMs = 0;
    closers.push(() => worker.close({ deadlineMs }));
    const probe = probeOf(registry, clock);
    const coordinator = await startCoordinator({
      store,
      clusterName,
      host: options.get('alluxio.bind.host'),
      port: options.get('alluxio.coordinator.web.port'),
      probe,
      box,
      admin: options.get('alluxio.security.admin.open')
        ? { kind: 'open' }
        : { kind: 'token', token, tokenFile },
      cache: worker.cacheControl,
      workers: {
        list: async () => [
          { id: workerId, status: 'ONLINE', address: worker.address, stats: worker.stats() },
        ],
      },
      metrics,
      version,
      clock,
      random,
      logger,
    });
    closers.push(() => coordinator.close());
    const addedMounts = await addMounts(coordinator.mounts, probe, stored, [
      { path: samplePath, ufsUri: `file://${sampleDir}`, options: {} },
      ...parts.mounts,
    ]);
    const served = AbortSignal.timeout(servedDeadlineMs);
    await Promise.all(addedMounts.map((path) => worker.mounts.whenServed(path, { signal: served })));
    return {
      worker,
      coordinator,
      tokenFile,
      addedMounts,
      close: async (closeOptions) => {
        deadlineMs = closeOptions.deadlineMs;
        await closeAll();
      },
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

/** `worker-<uuid>`, drawn once: whoever knows the worker by it knows it after a restart too. */
async function loadOrCreateWorkerId(file: string, random: Random): Promise<string> {
  const fresh = Buffer.from(`worker-${random.uuid()}\n`);
  return (await readOrCreateSecretFile(file, fresh, random)).toString().trim();
}

/** One store a directory, each under its lock. */
async function openPageStore(
  parts: StandaloneParts,
  events: PageEvents,
  closers: (() => Promise<void> | void)[],
): Promise<PageStore> {
  const { options, clock, random, logger } = parts;
  const dirs = options.get('alluxio.worker.page.store.dirs');
  const sizes = options.get('alluxio.worker.page.store.sizes');
  const stores: DiskPageStore[] = [];
  for (const [index, dir] of dirs.entries()) {
    await mkdir(dir, { recursive: true });
    const lock: DirectoryLock = lockDirectory(dir);
    closers.push(() => lock.release());
    await warnOfFullDisk(dir, sizes[index] ?? 0, logger);
    stores.push(
      await DiskPageStore.open({
        dir,
        sizeBytes: sizes[index] ?? 0,
        pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
        clock,
        random,
        logger,
        policy: lruPolicy,
        onPageRemoved: (page) => events.pageRemoved(page),
        onSegmentRetired: (_, path) => events.segmentRetired(path),
      }),
    );
  }
  return new SpreadPageStore(stores);
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

async function sizeOfFiles(dir: string): Promise<number> {
  const names = await readdir(dir).catch(() => []);
  const files = await Promise.all(names.map((name) => stat(join(dir, name))));
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** Adds those that are not there yet, and replaces those whose options changed. A path that is mounted on something else is an error that says so. */
async function addMounts(
  control: MountControl,
  probe: MountProbe,
  present: readonly Mount[],
  wanted: readonly StandaloneMount[],
): Promise<string[]> {
  const added: string[] = [];
  for (const mount of wanted) {
    const path = mount.path.replace(/\/+$/, '');
    const there = present.find((each) => each.path === path);
    if (there && parseMountUri(there.ufsUri).text === parseMountUri(mount.ufsUri).text) {
      // A mount that is as it was is not asked for again: the start must not need the under storage.
      if (isDeepStrictEqual(there.options, mount.options)) continue;
      // Asked before the old one goes, so that a wrong option loses nothing.
      await probe.check(mount.ufsUri, mount.options, {});
      await control.remove(path);
    }
    await control.add({ ...mount, path, check: path !== samplePath && !there });
    added.push(path);
  }
  return added;
}

function probeOf(registry: UfsRegistry, clock: Clock): MountProbe {
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

/** What is mounted was allowed when it was mounted. Secrets are opened. */
async function storedMounts(store: KvStore, clusterName: string, box: SecretBox): Promise<readonly Mount[]> {
  const { entries } = await store.list(mountsPrefixOf(clusterName));
  return entries.map((entry) => unsealMount(decodeMount(entry.key, entry.value), box));
}

function localRootsOf(uris: readonly string[]): readonly string[] {
  return uris
    .map(parseMountUri)
    .filter((uri) => uri.scheme === 'file')
    .map((uri) => `/${uri.prefix}`);
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
