/** The processes of a cluster: a coordinator, and a worker that shares its files with the others by the ring. Both keep their state in etcd. */

import { join } from 'node:path';
import { loadOrCreateToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import { Metrics } from '@alluxio-ts/common/metrics';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { mountsGuardKeyOf } from '@alluxio-ts/common/protocol/mounts';
import {
  decodeWorkerEntity,
  livePrefixOf,
  registeredPrefixOf,
} from '@alluxio-ts/common/protocol/worker-entity';
import { loadKeyFile } from '@alluxio-ts/common/secret-box';
import { EtcdKvStore, type EtcdKvStoreOptions } from '@alluxio-ts/common/state/etcd-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { type FleetCall, type FleetMember, WorkerFleet } from '@alluxio-ts/coordinator/control/worker-fleet';
import { type Coordinator, startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import { Membership } from '@alluxio-ts/worker/cluster/membership';
import { RingPlacement } from '@alluxio-ts/worker/cluster/ring-placement';
import { readOrCreateWorkerIdentity } from '@alluxio-ts/worker/cluster/worker-identity';
import type { Worker } from '@alluxio-ts/worker/worker';
import { ClusterLoadWorkers } from './cluster-load-workers.ts';
import { etcdTlsOf } from './etcd-tls.ts';
import { etcdDiagnosis } from './state-store-diagnosis.ts';
import { version } from './version.ts';
import {
  jobPartsOf,
  openStorages,
  type ProcessParts,
  probeOf,
  startWorkerFromOptions,
} from './worker-composition.ts';

export interface CoordinatorProcess {
  readonly coordinator: Coordinator;
  close(): Promise<void>;
}

export async function startCoordinatorProcess(parts: ProcessParts): Promise<CoordinatorProcess> {
  const { options, clock, random, logger } = parts;
  const clusterName = options.get('alluxio.cluster.name');
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const etcd = await etcdOptionsOf(parts);
    const store = new EtcdKvStore(etcd);
    closers.push(() => store.close());
    await tryStore(store, parts);
    const metrics = newMetrics();
    const storages = openStorages(parts, metrics, options.get('alluxio.ufs.local.allowed.roots'));
    const tokenFile = options.get('alluxio.security.admin.token.file');
    const token = await loadOrCreateToken(tokenFile, random);
    const secret = await clusterSecretOf(parts);
    const box = await loadKeyFile(options.get('alluxio.security.key.file'), random);
    const fleet = new WorkerFleet({
      members: (call) => membersOf(store, clusterName, call),
      secret,
      clock,
    });
    const membership = new Membership({
      store,
      clusterName,
      failureDetectionTimeoutMs: options.get('alluxio.worker.failure.detection.timeout'),
      clock,
      logger,
    });
    closers.push(() => membership.close());
    await membership.follow();
    const ring = new RingPlacement(membership, {
      ...ringOptionsOf(options),
      self: () => {
        throw new Error('a coordinator owns no files');
      },
      logger,
    });
    closers.push(() => ring.close());
    const loadWorkers = new ClusterLoadWorkers({
      membership,
      ring,
      secret,
      clock,
      free: (path, call) => fleet.free(path, call),
    });
    closers.push(() => loadWorkers.close());
    const coordinator = await startCoordinator({
      store,
      clusterName,
      host: options.get('alluxio.bind.host'),
      port: options.get('alluxio.coordinator.web.port'),
      probe: probeOf(storages.registry, clock),
      box,
      admin: options.get('alluxio.security.admin.open')
        ? { kind: 'open' }
        : { kind: 'token', token, tokenFile },
      auditFile: {
        path: options.get('alluxio.audit.log.file'),
        sizeMaxBytes: options.get('alluxio.audit.log.size.max'),
      },
      peerSecret: secret,
      cache: fleet,
      workers: {
        list: (call) => fleet.list(call),
        forget: (id) => forgetWorker(store, clusterName, id),
      },
      jobs: jobPartsOf(parts, storages, box, loadWorkers),
      workerLogs: fleet,
      inspection: {
        facts: () => processFacts({ version, notices: options.notices, clock }),
        stateStore: () => etcdDiagnosis(store, etcd, clusterName),
        workers: (call) => fleet.diagnose(call),
      },
      metrics,
      version,
      clock,
      random,
      logger,
    });
    closers.push(() => coordinator.close());
    return { coordinator, close: closeAll };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

/** The same for all who build the ring. */
function ringOptionsOf(options: ProcessParts['options']) {
  return {
    provider: options.get('alluxio.user.worker.selection.policy.consistent.hash.provider.impl'),
    virtualNodeCount: options.get(
      'alluxio.user.worker.selection.policy.consistent.hash.virtual.node.count.per.worker',
    ),
    isDynamic: options.get('alluxio.user.dynamic.consistent.hash.ring.enabled'),
    ownerCount: 1,
  };
}

export interface WorkerProcess {
  readonly worker: Worker;
  readonly membership: Membership;
  /** Leaves the cluster first, then lets answers in flight finish for at most `deadlineMs`. */
  close(options: { readonly deadlineMs: number }): Promise<void>;
}

export async function startWorkerProcess(
  parts: ProcessParts,
  onConflict: (error: AlluxioError) => void,
): Promise<WorkerProcess> {
  const { options, clock, random, logger } = parts;
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const store = new EtcdKvStore(await etcdOptionsOf(parts));
    closers.push(() => store.close());
    const identityFile = options.get('alluxio.worker.identity.uuid.file.path');
    const membership = new Membership({
      store,
      clusterName: options.get('alluxio.cluster.name'),
      identity: await readOrCreateWorkerIdentity(identityFile, random),
      failureDetectionTimeoutMs: options.get('alluxio.worker.failure.detection.timeout'),
      snapshotFile: join(options.get('alluxio.dora.worker.metastore.rocksdb.dir'), 'members.json'),
      clock,
      logger,
      onConflict,
    });
    await membership.recall();
    let worker: Worker | undefined;
    const placement = new RingPlacement(membership, {
      ...ringOptionsOf(options),
      self: () => {
        if (!worker) throw new Error('the ring is asked before the worker is there');
        return worker.address;
      },
      logger,
    });
    closers.push(() => placement.close());
    const metrics = newMetrics();
    const secret = await clusterSecretOf(parts);
    const coordinator = new CoordinatorClient({
      host: options.get('alluxio.coordinator.hostname'),
      port: options.get('alluxio.coordinator.web.port'),
      peer: { secret, clock },
    });
    closers.push(() => coordinator.close());
    const allowedRoots = options.get('alluxio.ufs.local.allowed.roots');
    worker = await startWorkerFromOptions(parts, {
      metrics,
      store,
      box: await loadKeyFile(options.get('alluxio.security.key.file'), random),
      storages: openStorages(parts, metrics, allowedRoots),
      cluster: {
        placement,
        secret,
        departureHoldMs: options.get('alluxio.worker.failure.detection.timeout'),
        memberCount: () => membership.members.filter(({ isLive }) => isLive).length,
        onRingChange: (listener) => placement.onChange(listener),
        redirectsS3: options.get('alluxio.worker.s3.redirect.enabled'),
      },
      coordinator: () => coordinator,
      closers,
    });
    const running = worker;
    let deadlineMs = 0;
    closers.push(() => running.close({ deadlineMs }));
    await membership.start(running.address);
    closers.push(() => membership.close());
    return {
      worker: running,
      membership,
      close: async (closeOptions) => {
        deadlineMs = closeOptions.deadlineMs;
        // First no new requests by way of a balancer, then none by the ring, then those under way finish.
        running.announceClose();
        await closeAll();
      },
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

function newMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.set('alluxio_version_info', { version }, 1);
  return metrics;
}

/** A file that must be the same on every host of the cluster; made where there is none, which is enough for one host. */
function clusterSecretOf({ options, random }: ProcessParts): Promise<string> {
  return loadOrCreateToken(options.get('alluxio.cluster.secret.file'), random);
}

/** Throws InvalidOptions when there is none, or a file of its certificates is wrong. */
export async function etcdOptionsOf(parts: ProcessParts): Promise<EtcdKvStoreOptions> {
  const { options, clock, random, logger } = parts;
  const endpoints = options.get('alluxio.etcd.endpoints');
  if (endpoints.length === 0) {
    throw new AlluxioError(
      'InvalidOptions',
      'alluxio.etcd.endpoints is not set; name the etcd of the cluster, such as http://etcd-1:2379,http://etcd-2:2379, or run "alluxio standalone", which needs none',
    );
  }
  const username = options.get('alluxio.etcd.username');
  const tls = await etcdTlsOf(options);
  return {
    endpoints,
    ...(username === '' ? {} : { auth: { username, password: options.get('alluxio.etcd.password') } }),
    ...(tls ? { tls } : {}),
    clock,
    random,
    logger,
  };
}

/** A coordinator starts without etcd and waits for it, but not with an etcd that will never let it in. */
async function tryStore(store: KvStore, { options, logger }: ProcessParts): Promise<void> {
  try {
    await store.get(mountsGuardKeyOf(options.get('alluxio.cluster.name')));
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'StateStoreUnavailable') || thrown.retry === 'never') throw thrown;
    logger.warn({ error: thrown }, 'state-store-not-there');
  }
}

/** Every registered worker; online are those that hold their lease. */
async function membersOf(
  store: KvStore,
  clusterName: string,
  call: FleetCall,
): Promise<readonly FleetMember[]> {
  const [live, registered] = await Promise.all(
    [livePrefixOf(clusterName), registeredPrefixOf(clusterName)].map((prefix) => store.list(prefix, call)),
  );
  const members = new Map<string, FleetMember>();
  for (const [list, isOnline] of [
    [registered, false],
    [live, true],
  ] as const) {
    for (const { key, value } of list?.entries ?? []) {
      const { name, address } = decodeWorkerEntity(key, value);
      members.set(name, { id: name, isOnline, address });
    }
  }
  return [...members.values()];
}

/** Takes a lost worker off the list of members for good; its place in a static ring goes to others. */
async function forgetWorker(store: KvStore, clusterName: string, id: string): Promise<void> {
  const key = `${registeredPrefixOf(clusterName)}${id}`;
  const liveKey = `${livePrefixOf(clusterName)}${id}`;
  const entry = await store.get(key);
  if (!entry)
    throw new AlluxioError(
      'InvalidArgument',
      `no worker ${id} is registered; "alluxio info nodes" lists them`,
    );
  const { succeeded } = await store.txn({
    compare: [
      { key, modRevision: entry.modRevision },
      { key: liveKey, modRevision: 0 },
    ],
    delete: [key],
  });
  if (!succeeded) {
    throw new AlluxioError(
      'StateConflict',
      `${id} is online: stop it first, then remove it once "alluxio info nodes" shows it OFFLINE`,
    );
  }
}
