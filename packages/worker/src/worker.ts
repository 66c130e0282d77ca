/** The composition of a worker: everything that one is made of is built here, and closed here in the order of who needs whom. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ProcessLogger } from '@alluxio-ts/common/logger';
import { pageLengthOf } from '@alluxio-ts/common/page';
import type { WorkerStats, WorkerTransport } from '@alluxio-ts/common/protocol/coordinator-api';
import type { WorkerDiagnosis, MemorySum } from '@alluxio-ts/common/protocol/diagnosis';
import {
  type WorkerNetAddress,
  hostAndPortOf,
  workerNetAddress,
} from '@alluxio-ts/common/protocol/worker-address';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { formatSize } from '@alluxio-ts/common/units';
import { HotpathTransport } from '@alluxio-ts/transport/hotpath-transport';
import { plainTransportDefaults } from '@alluxio-ts/transport/plain-transport';
import { Circuit } from '@alluxio-ts/ufs-adapters/circuit';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { CacheControl } from './cache/cache-control.ts';
import { CacheRulesFile } from './cache/cache-rules-file.ts';
import { defaultRules } from './cache/cache-rules.ts';
import { FileCache } from './cache/file-cache.ts';
import { FileTable, fileTableDefaults } from './cache/file-table.ts';
import type { ServedMount } from './cache/mount-table.ts';
import { MountTable } from './cache/mount-table.ts';
import { PageFiller } from './cache/page-filler.ts';
import { SelfPlacement } from './cache/placement.ts';
import { ReadAhead } from './cache/read-ahead.ts';
import { StoredRules } from './cache/stored-rules.ts';
import { ownCachedBytes, ownersCachedBytes } from './cluster/cached-bytes.ts';
import type { KvMirrorOptions } from './cluster/kv-mirror.ts';
import { MountWatcher } from './cluster/mount-watcher.ts';
import { PeerRelay, ownEverything } from './cluster/peer-relay.ts';
import { RuleWatcher } from './cluster/rule-watcher.ts';
import {
  chooseTransport,
  createFillRunner,
  createRelay,
  createTransport,
  workerConnectionsMax,
} from './create-parts.ts';
import { withPeerEntry } from './http/peer-entry.ts';
import { FileLoader } from './load/file-loader.ts';
import { SeenReads } from './load/seen-reads.ts';
import { loadConcurrencyOf, memorySumOf } from './memory-sum.ts';
import { openRecords } from './open-records.ts';
import { ShadowCaches } from './page-store/shadow-caches.ts';
import { createRestSurface } from './rest/rest-surface.ts';
import { createS3Surface } from './s3/s3-surface.ts';
import { startTtl } from './start-ttl.ts';
import { startWorkerWeb } from './web/worker-web.ts';
import { WorkerDoctor } from './worker-diagnosis.ts';
import {
  cacheEvents,
  readAheadEvents,
  recordTableReport,
  readGauges,
  statsOf,
} from './worker-observation.ts';
import type { WorkerOptions, WorkerParts } from './worker-options.ts';

export interface Worker {
  readonly s3Port: number;
  readonly restPort: number;
  readonly webPort: number;
  readonly cache: FileCache;
  readonly cacheControl: CacheControl;
  readonly loader: FileLoader;
  readonly mounts: MountTable;
  readonly address: WorkerNetAddress;
  stats(): WorkerStats;
  /** How it is: asks its disks and the storages of its mounts. Measuring the disks writes to them. */
  diagnose(options: { readonly measuresDisks: boolean }): Promise<WorkerDiagnosis>;
  /** Makes `/ready` say no, before anything else of the shutdown happens. */
  announceClose(): void;
  /** Lets answers in flight finish for at most `deadlineMs`, then closes everything. */
  close(options: { readonly deadlineMs: number }): Promise<void>;
}

export async function startWorker(options: WorkerOptions, parts: WorkerParts): Promise<Worker> {
  const { clock, logger, metrics, pageStore } = parts;
  const closers: (() => Promise<void>)[] = [() => pageStore.close()];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).toReversed()) await close();
  };
  try {
    const { answersMax = plainTransportDefaults.answersMax } = options;
    const chosen = chooseTransport(options.transport ?? 'plain');
    logTransport(chosen, logger);
    const memory = memorySumOf({
      ...options,
      transport: chosen.kind,
      answersMax,
      capacityBytes: pageStore.stats().capacityBytes,
    });
    logMemorySum(memory, logger);
    await mkdir(options.metastoreDir, { recursive: true });
    const { records, ...opened } = await openRecords(options, parts);
    closers.push(() => opened.close());

    const slots = new SlotPool({
      slotCount: Math.floor(options.directMemoryBytes / options.pageSizeBytes),
      slotSizeBytes: options.pageSizeBytes,
    });
    const shadows = new ShadowCaches({
      capacityBytes: pageStore.stats().capacityBytes,
      pageSizeBytes: options.pageSizeBytes,
      policy: options.evictorType,
    });
    const reads = new SeenReads(() => clock.monotonic());
    const transport = createTransport(chosen.kind, {
      ...parts,
      slots,
      answersMax,
      logsAccess: options.logsAccess,
      onAnswered: (answered) => reads.answered(answered),
      onTableReport: (report) => {
        reads.reported(report);
        recordTableReport(report, { metrics, logger, store: pageStore, shadows });
      },
    });
    parts.pageEvents?.listen({
      pageRemoved: ({ file }) => transport.drop({ kind: 'file', fileKey: file }),
      segmentRetired: (path) => transport.drop({ kind: 'segment', path }),
      dirOut: () => transport.drop({ kind: 'all' }),
      segmentRead: (read) => transport.beforeRead(read),
    });
    const ownRules = options.rulesFile
      ? await CacheRulesFile.open({
          ...options.rulesFile,
          clock,
          logger,
          onChange: () => transport.drop({ kind: 'all' }),
        })
      : defaultRules(options.maxAgeMs);
    if (ownRules instanceof CacheRulesFile) closers.push(() => ownRules.close());
    const rules = new StoredRules(ownRules);
    const ruleWatcher = new RuleWatcher({
      clusterName: options.clusterName,
      mirror: mirrorOptionsOf('rules', options, parts),
      rules,
      logger,
      onChange: () => transport.drop({ kind: 'all' }),
    });
    await ruleWatcher.start();
    closers.push(() => ruleWatcher.close());

    const files = new FileTable({
      ...fileTableDefaults,
      clock,
      pageSizeBytes: options.pageSizeBytes,
      rules,
      staleIfErrorMaxMs: options.staleIfErrorMaxMs,
      records,
      onForgotten: (version) =>
        transport.drop(version === 'all' ? { kind: 'all' } : { kind: 'file', fileKey: version }),
    });
    const mountOptions = new WeakMap<ServedMount, Readonly<Record<string, string>>>();
    const circuits = new WeakMap<Ufs, SharedArrayBuffer>();
    const runner = createFillRunner(options.fillThreadCount, parts, slots, (mount) => {
      const given = mountOptions.get(mount);
      const circuit = circuits.get(mount.ufs);
      return given && circuit && { options: given, circuit };
    });
    closers.push(() => runner.close());
    const filler = new PageFiller({
      store: pageStore,
      slots,
      runner,
      pageSizeBytes: options.pageSizeBytes,
      logger,
      onKept: ({ file, page, record }) => {
        const { sizeBytes } = record.status;
        files.kept(file, page.file, record.status);
        shadows.onLoaded(page, pageLengthOf(sizeBytes, options.pageSizeBytes, page.index));
      },
    });
    closers.push(() => filler.idle());
    const readAhead = new ReadAhead({
      store: pageStore,
      filler,
      slots,
      pageSizeBytes: options.pageSizeBytes,
      sizeMaxBytes: options.readAheadMaxBytes,
      clock,
      events: readAheadEvents(metrics),
    });
    metrics.onScrape(() => readAhead.sweep());
    const observed = cacheEvents(metrics, shadows);
    const cache = new FileCache({
      store: pageStore,
      slots,
      files,
      filler,
      readAhead,
      pageSizeBytes: options.pageSizeBytes,
      rules,
      clock,
      events: {
        ...observed,
        read: (outcome, lengthBytes) => {
          reads.read();
          observed.read(outcome, lengthBytes);
        },
      },
    });

    const mounts = new MountTable();
    const watcher = new MountWatcher({
      clusterName: options.clusterName,
      mirror: mirrorOptionsOf('mounts', options, parts),
      mounts,
      clock,
      logger,
      decode: parts.decodeMount,
      openUfs: (uri, given) => {
        const circuit = Circuit.newMemory();
        const ufs = parts.openUfs(uri, given, { circuit });
        circuits.set(ufs, circuit);
        return ufs;
      },
      onServed: (mount, given) => {
        mountOptions.set(mount, given);
        transport.drop({ kind: 'all' });
      },
      onGone: (mount) => {
        files.forgetMount(mount);
        runner.mountGone(mount);
        transport.drop({ kind: 'all' });
      },
    });
    await watcher.start();
    closers.push(() => watcher.close());

    if (options.ttlCheckIntervalMs !== undefined) {
      const ttl = await startTtl({
        clusterName: options.clusterName,
        mirror: mirrorOptionsOf('ttl-rules', options, parts),
        cache,
        records,
        mounts,
        pageSizeBytes: options.pageSizeBytes,
        checkIntervalMs: options.ttlCheckIntervalMs,
        clock,
        logger,
        metrics,
      });
      closers.push(() => ttl.close());
    }

    let closing: string | undefined;
    const web = await startWorkerWeb({
      host: options.bindHost,
      port: options.webPort,
      metrics,
      notReady: () => closing,
    });
    closers.push(() => web.close());

    let relay: PeerRelay | undefined;
    // After the transport: what is answered to the end may still have to be relayed.
    closers.push(async () => relay?.close());
    let deadlineMs = 0;
    closers.push(() => transport.close({ deadlineMs }));
    let restPort = options.restPort;
    let s3Port = options.s3Port;
    const addressOf = (): WorkerNetAddress =>
      workerNetAddress({
        host: options.hostname,
        httpServerPort: restPort,
        webPort: web.port,
        s3Port,
      });
    const placement = parts.cluster?.placement ?? new SelfPlacement(addressOf);
    const dropRoutes = (): void => transport.drop({ kind: 'routes' });
    parts.cluster?.onRingChange?.(() => {
      files.distrust();
      transport.drop({ kind: 'all' });
    });
    relay =
      parts.cluster && createRelay(parts.cluster, { ...parts, self: addressOf, onRoutesChanged: dropRoutes });
    const router = relay ?? ownEverything;
    const s3Surface = createS3Surface({ cache, mounts, router, logger });
    const s3 = await transport.listen({
      host: options.bindHost,
      port: options.s3Port,
      name: 's3',
      handler: s3Surface,
    });
    s3Port = s3.port;
    const cacheControl = new CacheControl(cache, mounts);
    const loader = new FileLoader({
      cache,
      store: pageStore,
      filler,
      mounts,
      rules,
      owns: (ufsPath) => isSame(placement.ownersOf(ufsPath)[0], addressOf()),
      pageSizeBytes: options.pageSizeBytes,
      concurrencyMax: loadConcurrencyOf(options),
      // One that never sees anybody.
      reads: options.loadsReadersFirst ? reads : new SeenReads(() => clock.monotonic()),
      watchDelays: () => transport.watchDelays(),
      clock,
      onLoaded: (bytes) =>
        metrics.add('alluxio_distributed_load_data_loaded_from_ufs_bytes_total', {}, bytes),
    });
    const stats = (): WorkerStats =>
      statsOf({ ...parts, shadows, transport: chosen, pageSizeBytes: options.pageSizeBytes });
    const doctor = new WorkerDoctor({
      ...options.facts,
      cacheDirs: parts.cacheDirs,
      mounts,
      openUfs: (mount) => parts.openUfs(mount.uri, mountOptions.get(mount) ?? {}, {}),
      leftAloneMsOf: ({ ufs, uri }) => {
        const memory = circuits.get(ufs);
        const circuit = memory && new Circuit({ name: uri.text, clock, memory });
        return circuit && !circuit.isClosed ? circuit.failing.ms : undefined;
      },
      memory,
      connectionsMax: workerConnectionsMax,
      transport: chosen,
      clock,
    });
    const ownBytes = ownCachedBytes(cache, mounts);
    const restSurface = createRestSurface({
      cache,
      mounts,
      cachedBytes: parts.cluster
        ? ownersCachedBytes({ ...parts.cluster, own: ownBytes, self: addressOf, clock, logger })
        : ownBytes,
      placement,
      router,
      coordinator: parts.coordinator ?? (() => undefined),
      clock,
      pageSizeBytes: options.pageSizeBytes,
      logger,
      ufsInfoOf: (mount) => (options.exposesCredentials ? credentialsOf(mountOptions.get(mount)) : {}),
    });
    const rest = await transport.listen({
      host: options.bindHost,
      port: options.restPort,
      name: 'rest',
      handler: parts.cluster
        ? withPeerEntry(restSurface, {
            secret: parts.cluster.secret,
            clock,
            logger,
            control: {
              free: (path) => cacheControl.free(path),
              freeAll: () => cacheControl.freeAll(),
              cachedBytes: ownBytes,
              load: (batch, call) => loader.load(batch, call),
              stats,
              diagnose: (asked) => doctor.diagnose(asked),
            },
            surfaces: { s3: s3Surface, rest: restSurface },
          })
        : restSurface,
    });
    restPort = rest.port;
    metrics.onScrape(() => {
      if (transport instanceof HotpathTransport) transport.report();
      readGauges(metrics, { ...parts, shadows, slots, filler, loader });
    });
    return {
      s3Port,
      restPort,
      webPort: web.port,
      cache,
      cacheControl,
      loader,
      mounts,
      address: addressOf(),
      stats,
      diagnose: (asked) => doctor.diagnose(asked),
      announceClose: () => {
        closing = 'the worker is shutting down';
      },
      close: async (closeOptions) => {
        closing = 'the worker is shutting down';
        deadlineMs = closeOptions.deadlineMs;
        await closeAll();
      },
    };
  } catch (thrown) {
    await closeAll();
    throw thrown;
  }
}

function isSame(one: WorkerNetAddress | undefined, other: WorkerNetAddress): boolean {
  return one !== undefined && hostAndPortOf(one) === hostAndPortOf(other);
}

function logTransport({ configured, kind, reason }: WorkerTransport, logger: ProcessLogger): void {
  if (reason === undefined) logger.info({ transport: kind }, 'transport-chosen');
  else {
    const meaning =
      'reads are answered all the same, and take more CPU time; "alluxio info doctor" says what to do';
    logger.warn({ transport: kind, configured, reason, meaning }, 'transport-missing');
  }
}

function logMemorySum({ limitBytes, parts, sumBytes }: MemorySum, logger: ProcessLogger): void {
  const fields = {
    sum: formatSize(sumBytes),
    limit: formatSize(limitBytes),
    ...Object.fromEntries(parts.map(({ name, bytes }) => [name, formatSize(bytes)])),
  };
  if (sumBytes <= limitBytes) logger.info(fields, 'memory-sum');
  else logger.warn({ ...fields, meaning: 'the worker may be killed when all of it is used' }, 'memory-sum');
}

/** A worker that is alone has its store in itself: nothing of it is ever missing. */
const aloneHoldMs = 10_000;

function mirrorOptionsOf(
  name: 'mounts' | 'rules' | 'ttl-rules',
  { metastoreDir }: WorkerOptions,
  { store, cluster, clock, random, logger }: WorkerParts,
): Omit<KvMirrorOptions, 'prefix' | 'guardKey'> {
  return {
    store,
    ...(cluster ? { snapshotFile: join(metastoreDir, `${name}.snapshot`) } : {}),
    departureHoldMs: cluster?.departureHoldMs ?? aloneHoldMs,
    memberCount: cluster?.memberCount ?? (() => 1),
    clock,
    random,
    logger,
  };
}

/** As alluxiofs reads them for its own fallback to the under storage. */
function credentialsOf(
  options: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const named = {
    access_key: options?.['s3a.accessKeyId'],
    secret_key: options?.['s3a.secretKey'],
    endpoint: options?.['alluxio.underfs.s3.endpoint'],
  };
  return Object.fromEntries(
    Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
