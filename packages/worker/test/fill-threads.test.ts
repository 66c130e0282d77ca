/** A worker whose fills run in threads behaves as one whose fills run in its own; and what only threads can do, dying, costs no more than their fills. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { fileKeyOf } from '@alluxio-ts/common/page';
import { decodeMount, encodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { Circuit } from '@alluxio-ts/ufs-adapters/circuit';
import { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import type { UfsCount } from '../src/cache/fill-message.ts';
import { errorOfPlain, plainErrorOf } from '../src/cache/fill-message.ts';
import { type FileName, fileNameOf, type ServedMount } from '../src/cache/mount-table.ts';
import { type Fill, PageFiller } from '../src/cache/page-filler.ts';
import {
  fillThreadCountOf,
  ThreadFillRunner,
  type ThreadFillRunnerOptions,
} from '../src/cache/thread-fill-runner.ts';
import { ThreadStorages } from '../src/cache/thread-storages.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import { startWorker } from '../src/worker.ts';
import { contentOf, pageSizeBytes } from './support/cache-rig.ts';
import { S3Origin } from './support/s3-origin.ts';

const clusterName = 'c';
const environment = {};

function recordingMetrics(counts: UfsCount[]): (scheme: string) => UfsMetrics {
  return (scheme) => ({
    calls: (...values) => counts.push({ scheme, name: 'calls', values }),
    bytes: (...values) => counts.push({ scheme, name: 'bytes', values }),
    latencyMs: (...values) => counts.push({ scheme, name: 'latencyMs', values }),
    retry: (...values) => counts.push({ scheme, name: 'retry', values }),
    hedge: (...values) => counts.push({ scheme, name: 'hedge', values }),
    pausedMs: (...values) => counts.push({ scheme, name: 'pausedMs', values }),
  });
}

function countOf(counts: readonly UfsCount[], name: 'calls' | 'bytes' | 'pausedMs', first?: string): number {
  const found = counts.filter(
    (count) => count.name === name && (first === undefined || count.values[0] === first),
  );
  return name === 'calls' ? found.length : found.reduce((sum, count) => sum + Number(count.values[0]), 0);
}

/** A whole worker with a local directory at /dir and an S3 origin at /s3. */
async function startRig(t: Test, fillThreadCount: number) {
  const localDir = join(t.testdir({ files: {}, metastore: {} }), 'files');
  const origin = await S3Origin.start();
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  const mountKeys = { dir: `${mountsPrefixOf(clusterName)}dir`, s3: `${mountsPrefixOf(clusterName)}s3` };
  await store.txn({
    put: [
      {
        key: mountKeys.dir,
        value: encodeMount({ schema: 1, path: '/dir', ufsUri: `file://${localDir}`, options: {} }),
      },
      {
        key: mountKeys.s3,
        value: encodeMount({ schema: 1, path: '/s3', ufsUri: 's3://bucket', options: origin.mountOptions }),
      },
    ],
  });
  const counts: UfsCount[] = [];
  const metricsOf = recordingMetrics(counts);
  const localAllowedRoots = [localDir];
  const registry = createUfsRegistry({
    clock: systemClock,
    random: systemRandom,
    environment,
    localAllowedRoots,
    metrics: metricsOf,
  });
  const worker = await startWorker(
    {
      clusterName,
      bindHost: '127.0.0.1',
      hostname: '127.0.0.1',
      s3Port: 0,
      restPort: 0,
      webPort: 0,
      metastoreDir: join(localDir, '..', 'metastore'),
      pageSizeBytes,
      evictorType: 'LFU',
      directMemoryBytes: 16 * pageSizeBytes,
      fillThreadCount,
      loadConcurrencyMax: 4,
      loadsReadersFirst: true,
      readAheadMaxBytes: 32 * MIB,
      maxAgeMs: 0,
      staleIfErrorMaxMs: 0,
      exposesCredentials: false,
      logsAccess: false,
      facts: { version: '1.2.3', notices: [], configuration: {} },
    },
    {
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      metrics: new Metrics(),
      store,
      pageStore: new MemoryPageStore({ capacityBytes: 64 * MIB, pageSizeBytes }),
      cacheDirs: [],
      decodeMount: (entry) => decodeMount(entry.key, entry.value),
      openUfs: (uri, options, how) => registry.open(uri, options, { check: false, ...how }),
      ufsOfThreads: { schemes: registry.schemes, localAllowedRoots, environment, metricsOf },
    },
  );
  t.teardown(async () => {
    await worker.close({ deadlineMs: 0 });
    await store.close();
    await origin.close();
  });
  const get = async (path: string, range?: string) => {
    const response = await fetch(`http://127.0.0.1:${worker.s3Port}${path}`, {
      headers: range === undefined ? {} : { range },
    });
    const { status } = response;
    return { status, outcome: response.headers.get('x-alluxio-cache'), body: response };
  };
  const bytesOf = async (path: string, range?: string) =>
    Buffer.from(await (await get(path, range)).body.arrayBuffer());
  const unmountS3 = () => store.txn({ delete: [mountKeys.s3] });
  return { bytesOf, counts, get, localDir, origin, unmountS3 };
}

for (const fillThreadCount of [0, 2]) {
  void t.test(`with ${fillThreadCount} fill threads`, async (t) => {
    const rig = await startRig(t, fillThreadCount);
    const { bytesOf, counts, get, localDir, origin } = rig;

    await t.test('a local file is read right, cold and warm, and counted', async (t) => {
      const content = Buffer.from(contentOf(1, 3 * pageSizeBytes + 77));
      mkdirSync(join(localDir, 'a b'));
      writeFileSync(join(localDir, 'a b', 'ż'), content);
      const cold = await get('/dir/a%20b/%C5%BC');
      t.equal(cold.outcome, 'miss');
      t.ok(content.equals(Buffer.from(await cold.body.arrayBuffer())));
      const warm = await get('/dir/a%20b/%C5%BC');
      t.match(warm.outcome, /^hit$|^miss-joined$/);
      t.ok(content.equals(Buffer.from(await warm.body.arrayBuffer())));
      t.equal(countOf(counts, 'calls', 'read'), 4);
      t.equal(countOf(counts, 'calls', 'body'), 4);
      t.equal(countOf(counts, 'bytes'), content.length);
    });

    await t.test('however many readers wait for a cold object, no byte is fetched twice', async (t) => {
      const content = Buffer.from(contentOf(2, 5 * pageSizeBytes));
      origin.put('many', content);
      const reads = await Promise.all(Array.from({ length: 32 }, () => bytesOf('/s3/many')));
      for (const read of reads) if (!content.equals(read)) t.fail('wrong bytes');
      t.equal(origin.sentBytes.get('many'), content.length);
    });

    await t.test('a byte deep in a page is served while what lies ahead of it is not there', async (t) => {
      const content = Buffer.from(contentOf(3, pageSizeBytes));
      origin.put('deep', content);
      const from = 400 * KIB + 5;
      const open = origin.hold('deep', pageSizeBytes - 384 * KIB - 10);
      const read = await bytesOf('/s3/deep', `bytes=${from}-${from + 99}`);
      t.ok(content.subarray(from, from + 100).equals(read));
      open();
      t.ok(content.equals(await bytesOf('/s3/deep')));
      t.same(
        origin.ranges.filter(([key]) => key === 'deep'),
        [
          ['deep', 384 * KIB, pageSizeBytes],
          ['deep', 0, 384 * KIB],
        ],
      );
    });

    await t.test('storage that keeps some fills waiting holds up no other', async (t) => {
      const keys = ['slow1', 'slow2', 'slow3'];
      const content = Buffer.from(contentOf(7, 1000));
      for (const key of [...keys, 'quick']) origin.put(key, content);
      const gates = keys.map((key) => origin.hold(key, 10));
      const slow = keys.map((key) => bytesOf(`/s3/${key}`));
      t.ok(content.equals(await bytesOf('/s3/quick')));
      for (const open of gates) open();
      for (const read of slow) t.ok(content.equals(await read));
    });

    await t.test('a connection that breaks in mid-body costs no byte', async (t) => {
      const content = Buffer.from(contentOf(4, 2 * pageSizeBytes));
      origin.put('cut', content);
      origin.cut('cut', 100_000);
      t.ok(content.equals(await bytesOf('/s3/cut')));
      t.ok(countOf(counts, 'calls', 'body') > 4);
    });

    await t.test('the storage says that a version went, and the new one is read', async (t) => {
      origin.put('changes', contentOf(5, 1000));
      await bytesOf('/s3/changes', 'bytes=0-1');
      // Older bytes are looked up, then overwritten before they are fetched.
      const content = Buffer.from(contentOf(6, 2 * pageSizeBytes));
      origin.put('changes', content);
      t.ok(content.equals(await bytesOf('/s3/changes')));
      origin.remove('changes');
      const gone = await get('/s3/changes');
      t.equal(gone.status, 404);
      t.match(await gone.body.text(), /NoSuchKey/);
    });

    await t.test('a mount that goes leaves no connection to its storage', async (t) => {
      t.ok(origin.sockets.size > 0);
      const closed = [...origin.sockets].map(
        (socket) => new Promise((resolve) => socket.once('close', resolve)),
      );
      await rig.unmountS3();
      await Promise.all(closed);
      t.equal((await get('/s3/many')).status, 404);
    });
  });
}

const threadFile = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** A filler with one thread over a local directory, and over a storage that lives in this thread only. */
async function withFiller(
  t: Test,
  options: { readonly threadFile: string },
  use: (parts: {
    readonly fill: (mount: ServedMount, key: string) => Promise<Fill>;
    readonly local: ServedMount;
    readonly memory: ServedMount;
    readonly slots: SlotPool;
    readonly restartCount: () => number;
  }) => Promise<void>,
): Promise<void> {
  const dir = t.testdir();
  const roots = { clock: systemClock, random: systemRandom, environment, localAllowedRoots: [dir] };
  const uri = parseMountUri(`file://${dir}`);
  const local = { path: '/l', uri, ufs: createUfsRegistry(roots).open(uri, {}), sinceMs: 0 };
  const memory = {
    path: '/m',
    uri: parseMountUri('mem://b'),
    ufs: new MemoryUfs({ clock: systemClock }),
    sinceMs: 0,
  };
  for (const key of ['sound', 'die-exit', 'die-throw', 'die-memory']) {
    await local.ufs.write(key, contentOf(1, 70_000));
  }
  await memory.ufs.write('sound', contentOf(2, 70_000));
  const slots = new SlotPool({ slotCount: 4, slotSizeBytes: pageSizeBytes });
  let restarts = 0;
  const runner = new ThreadFillRunner({
    slots,
    threadCount: 1,
    threadFile: options.threadFile,
    localAllowedRoots: [dir],
    environment,
    id: systemRandom.uuid(),
    openingOf: (mount) => (mount === local ? { options: {}, circuit: Circuit.newMemory() } : undefined),
    metricsOf: recordingMetrics([]),
    onRestart: () => restarts++,
    heapMaxBytes: 64 * MIB,
    logger: silentLogger,
  });
  const store = new MemoryPageStore({ capacityBytes: 8 * MIB, pageSizeBytes });
  const filler = new PageFiller({
    store,
    slots,
    runner,
    pageSizeBytes,
    logger: silentLogger,
    onKept: () => undefined,
  });
  const fill = async (mount: ServedMount, key: string): Promise<Fill> => {
    const file: FileName = fileNameOf(mount, key);
    const status = await mount.ufs.stat(key);
    if (status?.version === undefined) throw new Error(`no ${key}`);
    const { version } = status;
    const fileKey = fileKeyOf({ ufsPath: file.ufsPath, version, pageSizeBytes });
    const record = { status, fileKey, checkedAtMs: 0 };
    const started = filler.start({ file, record, page: { file: fileKey, index: 0 }, askedOffset: 0 });
    if (typeof started === 'string') throw new Error(started);
    await started.over;
    return started;
  };
  try {
    await use({ fill, local, memory, slots, restartCount: () => restarts });
    t.equal(slots.freeCount, 4, 'every slot is back');
  } finally {
    await runner.close();
    await store.close();
  }
}

void t.test('a thread that dies fails its fills for now, and another one takes its place', async (t) => {
  await withFiller(t, { threadFile: threadFile('support/dying-fill-thread.ts') }, async (parts) => {
    const { fill, local, restartCount } = parts;
    t.equal((await fill(local, 'sound')).failure, undefined);
    for (const [at, way] of ['die-exit', 'die-throw', 'die-memory'].entries()) {
      t.match((await fill(local, way)).failure, { code: 'UfsUnavailable', retry: 'later' }, way);
      t.equal((await fill(local, 'sound')).failure, undefined, `the next fill after ${way}`);
      t.equal(restartCount(), at + 1);
    }
  });
});

void t.test('a storage that lives in this thread only is read in it', async (t) => {
  await withFiller(t, { threadFile: threadFile('../src/fill-thread.ts') }, async ({ fill, memory }) => {
    t.equal((await fill(memory, 'sound')).failure, undefined);
  });
});

function twoThreads(
  options: Pick<ThreadFillRunnerOptions, 'openingOf'> & Partial<ThreadFillRunnerOptions>,
): ThreadFillRunner {
  return new ThreadFillRunner({
    slots: new SlotPool({ slotCount: 4, slotSizeBytes: pageSizeBytes }),
    threadCount: 2,
    threadFile: threadFile('../src/fill-thread.ts'),
    localAllowedRoots: [],
    environment,
    id: systemRandom.uuid(),
    metricsOf: recordingMetrics([]),
    onRestart: () => undefined,
    logger: silentLogger,
    ...options,
  });
}

void t.test('threads and their starter leave a storage alone together', async (t) => {
  const origin = await S3Origin.start();
  const options = origin.mountOptions;
  await origin.close();
  const uri = parseMountUri('s3://bucket');
  const memory = Circuit.newMemory();
  const circuit = new Circuit({ name: uri.text, clock: systemClock, memory });
  const runner = twoThreads({ openingOf: () => ({ options, circuit: memory }) });
  t.teardown(() => runner.close());
  const mount = { path: '/s', uri, ufs: new MemoryUfs({ clock: systemClock }), sinceMs: 0 };
  const run = (key: string) =>
    runner
      .run(mount, {
        slot: 0,
        split: 0,
        lengthBytes: 10,
        key,
        ufsPath: key,
        version: 'etag:"e"',
        offset: 0,
        fileSizeBytes: 10,
        nextBytes: 0,
      })
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
  const opened = circuit.whenOpened();
  for (const thrown of await Promise.all(['a', 'b', 'c'].map(run)))
    t.match(thrown, { code: 'UfsUnavailable' });
  await opened;
  t.throws(() => circuit.check(), { code: 'UfsUnavailable' }, 'this thread knows');
  for (const thrown of await Promise.all(['d', 'e', 'f', 'g'].map(run))) {
    t.match(thrown, { context: { isLeftAlone: true } });
  }
  const { count, ms } = circuit.failing;
  t.ok(count >= 5 && ms < 60_000, 'the clock of all threads is one');
  circuit.close();
  t.match(await run('h'), { context: { isLeftAlone: undefined } }, 'it is asked again');
});

void t.test('threads hold the rate of their worker', async (t) => {
  const origin = await S3Origin.start();
  origin.put('object', contentOf(1, pageSizeBytes));
  const memory = ReadRate.newMemory();
  const counts: UfsCount[] = [];
  const runner = twoThreads({
    readRate: new ReadRate({ bytesPerSecond: MIB / 2, clock: systemClock, memory }),
    openingOf: () => ({ options: origin.mountOptions, circuit: Circuit.newMemory() }),
    metricsOf: recordingMetrics(counts),
  });
  t.teardown(async () => {
    await runner.close();
    await origin.close();
  });
  const ufs = new MemoryUfs({ clock: systemClock });
  const mount = { path: '/s', uri: parseMountUri('s3://bucket'), ufs, sinceMs: 0 };
  const version = 'etag:"1-x"';
  const job = {
    split: 0,
    key: 'object',
    ufsPath: 'object',
    version,
    offset: 0,
    fileSizeBytes: pageSizeBytes,
    nextBytes: 0,
  };
  await Promise.all([0, 1].map((slot) => runner.run(mount, { ...job, slot, lengthBytes: pageSizeBytes })));
  // 1 MiB takes two seconds, far longer than a busy machine needs for it.
  t.ok(countOf(counts, 'pausedMs') > 1000);
});

void t.test('when threads cannot start at all, pages are fetched without them', async (t) => {
  await withFiller(t, { threadFile: threadFile('support/no-such-thread.ts') }, async ({ fill, local }) => {
    await fill(local, 'sound');
    await fill(local, 'sound');
    t.equal((await fill(local, 'sound')).failure, undefined);
  });
});

void t.test('a setting of -1 means one thread where it has a processor to itself', async (t) => {
  const counts = [1, 2, 3, 64].map((processors) => fillThreadCountOf(-1, processors));
  t.same(counts, [0, 0, 1, 1]);
  t.same([fillThreadCountOf(0, 64), fillThreadCountOf(5, 1)], [0, 5]);
});

void t.test('an error crosses with all that callers decide by', async (t) => {
  const options = { retry: 'elsewhere', retryAfterMs: 70, context: { bucket: 'b', tries: 3 } } as const;
  const error = new AlluxioError('UfsThrottled', 'slow down', options);
  const crossed = errorOfPlain(structuredClone(plainErrorOf(error)));
  t.match(crossed, { code: 'UfsThrottled', message: 'slow down', ...options });
  t.match(plainErrorOf(new TypeError('a bug')), { code: 'Internal', message: 'a bug', retry: 'never' });
});

void t.test('a thread keeps so many storages open, and none that is in use is closed', async (t) => {
  const closed: number[] = [];
  const storages = new ThreadStorages({
    openMax: 2,
    open: ({ id }) =>
      Object.assign(new MemoryUfs({ clock: systemClock }), {
        close: async () => {
          closed.push(id);
        },
      }),
  });
  const mount = (id: number) => ({ id, uri: 'mem://b', options: {}, circuit: Circuit.newMemory() });
  const held = Promise.withResolvers<void>();
  const use = storages.use(mount(1), () => held.promise);
  for (const id of [2, 3, 2, 4]) await storages.use(mount(id), async () => undefined);
  t.same(closed, [2, 3, 2], 'the least recently used one that is free');
  storages.gone(1);
  storages.gone(99);
  t.notOk(closed.includes(1));
  held.resolve();
  await use;
  t.same(closed, [2, 3, 2, 1]);
  t.equal(storages.openCount, 1);
});
