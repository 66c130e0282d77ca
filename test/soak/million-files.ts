/**
 * A load of very many small files through a whole coordinator and a whole worker in a process whose heap is bounded, from a storage that only lists: what it
 * takes of time and memory. Run as a program by `soak.ts`, so that the bound is the process's own.
 */

import { join } from 'node:path';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { isEnded, jobsPrefixOf } from '@alluxio-ts/common/protocol/jobs';
import { decodeMount, encodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { openEmbeddedKvStore } from '@alluxio-ts/common/state/embedded-kv-store';
import { GIB, MIB } from '@alluxio-ts/common/units';
import { startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { fifoPolicy } from '@alluxio-ts/worker/page-store/fifo-policy';
import { startWorker } from '@alluxio-ts/worker/worker';
import { noUfsMetrics } from '../support/no-ufs-metrics.ts';
import { listedBytes, listedKey, ListedUfs } from '../support/listed-ufs.ts';

const [dir = '', countText = '', bytesText = ''] = process.argv.slice(2);
const fileCount = Number(countText);
const fileBytes = Number(bytesText);
const pageSizeBytes = 4 * MIB;
const clusterName = 'soak';
const workerId = 'worker-0';

const common = { clock: systemClock, random: systemRandom, logger: silentLogger };
const store = await openEmbeddedKvStore({ directory: join(dir, 'state'), ...common });
const value = encodeMount({ schema: 1, path: '/m', ufsUri: 'listed://all', options: {} });
await store.txn({ put: [{ key: `${mountsPrefixOf(clusterName)}m`, value }] });
const ufs = new ListedUfs({ fileCount, fileBytes });
const metrics = new Metrics();
const worker = await startWorker(
  {
    clusterName,
    bindHost: '127.0.0.1',
    hostname: '127.0.0.1',
    s3Port: 0,
    restPort: 0,
    webPort: 0,
    metastoreDir: join(dir, 'metastore'),
    pageSizeBytes,
    evictorType: 'LFU',
    directMemoryBytes: 64 * pageSizeBytes,
    fillThreadCount: 0,
    loadConcurrencyMax: 24,
    loadsReadersFirst: true,
    readAheadMaxBytes: 32 * MIB,
    maxAgeMs: 3_600_000,
    staleIfErrorMaxMs: 0,
    exposesCredentials: false,
    facts: { version: 'soak', notices: [], configuration: {} },
    logsAccess: false,
  },
  {
    ...common,
    metrics,
    store,
    pageStore: await DiskPageStore.open({
      dir: join(dir, 'pages'),
      sizeBytes: 64 * GIB,
      pageSizeBytes,
      policy: fifoPolicy,
      ...common,
    }),
    decodeMount: (entry) => decodeMount(entry.key, entry.value),
    openUfs: () => ufs,
    cacheDirs: [],
    ufsOfThreads: { schemes: [], localAllowedRoots: [], environment: {}, metricsOf: () => noUfsMetrics },
  },
);
const capacityBytes = 64 * GIB;
const coordinator = await startCoordinator({
  ...common,
  store,
  clusterName,
  host: '127.0.0.1',
  port: 0,
  probe: { check: async () => undefined, isSecretOption: () => false },
  box: undefined,
  admin: { kind: 'open' },
  cache: worker.cacheControl,
  workers: { list: async () => [], forget: async () => undefined },
  inspection: {
    facts: () => processFacts({ version: 'soak', notices: [], clock: systemClock }),
    stateStore: async () => ({ kind: 'embedded', latencyMs: 0, members: [], alarms: [] }),
    workers: async () => [],
  },
  jobs: {
    workers: {
      online: () => [workerId],
      ownerOf: () => workerId,
      onChange: () => () => undefined,
      load: (_, batch, call) => worker.loader.load(batch, call),
      roomOf: async () => ({ capacityBytes, freeBytes: capacityBytes }),
      free: (path) => worker.cacheControl.free(path),
    },
    unseal: (mount) => mount,
    openUfs: () => ufs,
    failuresDir: join(dir, 'jobs'),
  },
  metrics,
  version: 'soak',
});

let rssMaxBytes = 0;
let heapMaxBytes = 0;
let stateMaxBytes = 0;
const sampling = setInterval(() => {
  const { rss, heapUsed } = process.memoryUsage();
  rssMaxBytes = Math.max(rssMaxBytes, rss);
  heapMaxBytes = Math.max(heapMaxBytes, heapUsed);
}, 100);
const rssBeforeBytes = process.memoryUsage().rss;
const client = new CoordinatorClient({ host: '127.0.0.1', port: coordinator.port });
const begunMs = performance.now();
const cpuBefore = process.cpuUsage();
const { job } = await client.submitJob({ kind: 'LOAD', paths: ['/m'], options: {} });
let last = await client.listJobs({ id: job.id });
for (let toldMs = begunMs; last[0] && !isEnded(last[0]); last = await client.listJobs({ id: job.id })) {
  const { entries } = await store.list(jobsPrefixOf(clusterName));
  for (const entry of entries) stateMaxBytes = Math.max(stateMaxBytes, Buffer.byteLength(entry.value));
  if (performance.now() - toldMs > 10_000) {
    toldMs = performance.now();
    process.stderr.write(`${last[0].shown.processedFiles} files\n`);
  }
  await systemClock.sleep(200);
}
const seconds = (performance.now() - begunMs) / 1000;
const { user, system } = process.cpuUsage(cpuBefore);
clearInterval(sampling);
const wrong: string[] = [];
for (let sample = 0; sample < 500; sample++) {
  const index = Math.floor((sample * fileCount) / 500);
  const response = await fetch(`http://127.0.0.1:${worker.s3Port}/m/${listedKey(index)}`);
  const bytes = Buffer.from(await response.arrayBuffer());
  const isHit = response.headers.get('x-alluxio-cache') === 'hit';
  if (!isHit || !bytes.equals(listedBytes(index, fileBytes))) wrong.push(listedKey(index));
}
const result = {
  state: last[0]?.state,
  failure: last[0]?.failure,
  shown: last[0]?.shown,
  seconds: Math.round(seconds * 10) / 10,
  cpuSeconds: Math.round((user + system) / 1e5) / 10,
  rssBeforeMiB: Math.round(rssBeforeBytes / MIB),
  rssMaxMiB: Math.round(rssMaxBytes / MIB),
  heapMaxMiB: Math.round(heapMaxBytes / MIB),
  stateMaxBytes,
  listedCount: ufs.listedCount,
  readCount: ufs.readCount,
  statCount: ufs.statCount,
  wrong,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
await client.close();
await coordinator.close();
await worker.close({ deadlineMs: 0 });
await store.close();
