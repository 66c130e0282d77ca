/**
 * Everything in one process: the state store on disk, the coordinator's API and one worker. The composition of `alluxio standalone`, and so of
 * `npm start`.
 */

import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { loadOrCreateToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { changeLogLevel } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { unsealMount } from '@alluxio-ts/common/protocol/mount-secrets';
import { decodeMount, type Mount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { loadOrCreateKeyFile, type SecretBox } from '@alluxio-ts/common/secret-box';
import { readOrCreateSecretFile } from '@alluxio-ts/common/secret-file';
import { openEmbeddedKvStore } from '@alluxio-ts/common/state/embedded-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { MountControl, MountProbe } from '@alluxio-ts/coordinator/control/mount-control';
import { type Coordinator, startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import type { Worker } from '@alluxio-ts/worker/worker';
import { makeSampleDataset } from './sample-dataset.ts';
import { embeddedStoreDiagnosis } from './state-store-diagnosis.ts';
import type { StandaloneMount } from './standalone-arguments.ts';
import { version } from './version.ts';
import {
  jobPartsOf,
  localRootsOf,
  openStorages,
  type ProcessParts,
  probeOf,
  startWorkerFromOptions,
} from './worker-composition.ts';

export interface StandaloneParts extends ProcessParts {
  /** To mount in addition to what is mounted already. */
  readonly mounts: readonly StandaloneMount[];
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
  const stateDir = join(workDir, 'state');
  const clusterName = options.get('alluxio.cluster.name');
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const store = await openEmbeddedKvStore({ directory: stateDir, clock, random, logger });
    closers.push(() => store.close());
    await makeSampleDataset(sampleDir);
    const box = await loadOrCreateKeyFile(options.get('alluxio.security.key.file'), random);
    const tokenFile = options.get('alluxio.security.admin.token.file');
    const stored = await storedMounts(store, clusterName, box);
    const token = await loadOrCreateToken(tokenFile, random);
    const workerId = await loadOrCreateWorkerId(join(workDir, 'worker.id'), random);
    const metrics = new Metrics();
    metrics.set('alluxio_version_info', { version }, 1);
    const storages = openStorages(parts, metrics, [
      sampleDir,
      ...options.get('alluxio.ufs.local.allowed.roots'),
      ...localRootsOf(parts.mounts.map((mount) => mount.ufsUri)),
      ...localRootsOf(stored.map((mount) => mount.ufsUri)),
    ]);
    let coordinatorClient: CoordinatorClient | undefined;
    closers.push(() => coordinatorClient?.close());
    const worker = await startWorkerFromOptions(parts, {
      metrics,
      store,
      box,
      storages,
      coordinator: () => coordinatorClient,
      closers,
    });
    let deadlineMs = 0;
    closers.push(() => worker.close({ deadlineMs }));
    const probe = probeOf(storages.registry, clock);
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
      auditFile: {
        path: options.get('alluxio.audit.log.file'),
        sizeMaxBytes: options.get('alluxio.audit.log.size.max'),
      },
      cache: worker.cacheControl,
      jobs: jobPartsOf(parts, storages, box, {
        online: () => [workerId],
        ownerOf: () => workerId,
        onChange: () => () => undefined,
        load: (_, batch, call) => worker.loader.load(batch, call),
        roomOf: async () => {
          const { capacityBytes, usedBytes } = worker.stats();
          return { capacityBytes, freeBytes: Math.max(0, capacityBytes - usedBytes) };
        },
        free: (path) => worker.cacheControl.free(path),
      }),
      workers: {
        list: async () => [
          { id: workerId, status: 'ONLINE', address: worker.address, stats: worker.stats() },
        ],
        forget: async (id) => {
          throw new AlluxioError(
            'StateConflict',
            `${id} is not a lost worker: standalone has one, and it runs`,
          );
        },
      },
      // One process, one log.
      workerLogs: {
        logLevel: async () => logger.level,
        setLogLevel: async (_, level) => {
          changeLogLevel(logger, level);
          return level;
        },
      },
      inspection: {
        facts: () => processFacts({ version, notices: options.notices, clock }),
        stateStore: () => embeddedStoreDiagnosis(store, { directory: stateDir, clusterName, clock }),
        workers: async (call) => [
          {
            id: workerId,
            status: 'ONLINE',
            address: worker.address,
            clockAheadMs: 0,
            diagnosis: await worker.diagnose(call),
          },
        ],
      },
      metrics,
      version,
      clock,
      random,
      logger,
    });
    closers.push(() => coordinator.close());
    coordinatorClient = new CoordinatorClient({
      host: localHostOf(coordinator.host),
      port: coordinator.port,
      token,
    });
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

/** Where this process reaches what it has bound. */
function localHostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** `worker-<uuid>`, drawn once: whoever knows the worker by it knows it after a restart too. */
async function loadOrCreateWorkerId(file: string, random: ProcessParts['random']): Promise<string> {
  const fresh = Buffer.from(`worker-${random.uuid()}\n`);
  return (await readOrCreateSecretFile(file, fresh, random)).toString().trim();
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

/** What is mounted was allowed when it was mounted. Secrets are opened. */
async function storedMounts(store: KvStore, clusterName: string, box: SecretBox): Promise<readonly Mount[]> {
  const { entries } = await store.list(mountsPrefixOf(clusterName));
  return entries.map((entry) => unsealMount(decodeMount(entry.key, entry.value), box));
}
