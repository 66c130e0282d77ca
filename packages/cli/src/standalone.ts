/**
 * Everything in one process: the state store on disk, the coordinator's API and one worker. The composition of `alluxio standalone`, and so of
 * `npm start`.
 */

import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { loadOrCreateToken } from '@alluxio-ts/common/admin-token';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type DirectoryLock, lockDirectory } from '@alluxio-ts/common/directory-lock';
import type { Logger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import type { Options } from '@alluxio-ts/common/options';
import { unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import { decodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { loadOrCreateKeyFile } from '@alluxio-ts/common/secret-box';
import { openEmbeddedKvStore } from '@alluxio-ts/common/state/embedded-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { MountControl, MountProbe } from '@alluxio-ts/coordinator/control/mount-control';
import { type Coordinator, startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import { createUfsRegistry, type UfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { fillThreadCountOf } from '@alluxio-ts/worker/cache/thread-fill-runner';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';
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
    const token = await loadOrCreateToken(tokenFile, random);
    const metrics = new Metrics();
    metrics.set('alluxio_version_info', { version }, 1);
    const { environment } = parts;
    const metricsOf = (scheme: string): UfsMetrics => ufsMetrics(metrics, scheme);
    const localAllowedRoots = [
      sampleDir,
      ...options.get('alluxio.ufs.local.allowed.roots'),
      ...localRootsOf(parts.mounts.map((mount) => mount.ufsUri)),
      ...localRootsOf(await storedUris(store, clusterName)),
    ];
    const registry = createUfsRegistry({ clock, random, environment, metrics: metricsOf, localAllowedRoots });
    const pageStore = await openPageStore(parts, closers);
    const worker = await startWorker(
      {
        clusterName,
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
        ...rulesFileOf(options),
      },
      {
        clock,
        random,
        logger,
        metrics,
        store,
        pageStore,
        decodeMount: (entry) => unsealMount(decodeMount(entry.key, entry.value), box),
        openUfs: (uri, mountOptions) => registry.open(uri, mountOptions, { check: false }),
        ufsOfThreads: { schemes: registry.schemes, localAllowedRoots, environment, metricsOf },
      },
    );
    let deadlineMs = 0;
    closers.push(() => worker.close({ deadlineMs }));
    const coordinator = await startCoordinator({
      store,
      clusterName,
      host: options.get('alluxio.bind.host'),
      port: options.get('alluxio.coordinator.web.port'),
      probe: probeOf(registry, clock),
      box,
      admin: options.get('alluxio.security.admin.open')
        ? { kind: 'open' }
        : { kind: 'token', token, tokenFile },
      cache: worker.cacheControl,
      clock,
      random,
      logger,
    });
    closers.push(() => coordinator.close());
    const addedMounts = await addMounts(coordinator.mounts, [
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

/** One store a directory, each under its lock. */
async function openPageStore(
  parts: StandaloneParts,
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
    stores.push(
      await DiskPageStore.open({
        dir,
        sizeBytes: sizes[index] ?? 0,
        pageSizeBytes: options.get('alluxio.worker.page.store.page.size'),
        clock,
        random,
        logger,
        policy: lruPolicy,
      }),
    );
  }
  return new SpreadPageStore(stores);
}

/** Adds those that are not there yet. A path that is mounted on something else is an error that says so. */
async function addMounts(control: MountControl, wanted: readonly StandaloneMount[]): Promise<string[]> {
  const added: string[] = [];
  const present = new Map((await control.list()).map((mount) => [mount.path, mount]));
  for (const mount of wanted) {
    const path = mount.path.replace(/\/+$/, '');
    const there = present.get(path);
    const isSame = there && parseMountUri(there.ufsUri).text === parseMountUri(mount.ufsUri).text;
    if (isSame && Object.keys(mount.options).length === 0) continue;
    if (isSame) await control.remove(path);
    await control.add({ ...mount, path, check: path !== samplePath });
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

/** What is mounted was allowed when it was mounted. */
async function storedUris(store: KvStore, clusterName: string): Promise<readonly string[]> {
  const { entries } = await store.list(mountsPrefixOf(clusterName));
  return entries.map((entry) => decodeMount(entry.key, entry.value).ufsUri);
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
