/** Three workers over one storage: whichever is asked, the owner caches, and nobody who dies takes a read with it. */

import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { WorkerControlClient } from '@alluxio-ts/common/client/worker-control-client';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { decodeMount, encodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { makePeerMark, peerMarkAgeMaxMs, peerMarkHeader } from '@alluxio-ts/common/protocol/peer-mark';
import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import type { Test } from 'tap';
import { noUfsMetrics } from '../../../../test/support/no-ufs-metrics.ts';
import { FaultyUfs } from '../../../../test/support/faulty-ufs.ts';
import type { Placement } from '../../src/cache/placement.ts';
import { MemoryPageStore } from '../../src/page-store/memory-page-store.ts';
import { PageEvents } from '../../src/page-store/page-events.ts';
import type { TransportKind, WorkerParts } from '../../src/worker-options.ts';
import { startWorker, type Worker } from '../../src/worker.ts';
import { openTestStore } from '../page-store-fixture.ts';
import { contentOf } from './cache-rig.ts';

const pageSizeBytes = 512 * KIB;
const secret = 'the secret of the cluster';

class Trio {
  readonly transport: TransportKind;
  readonly memory = new MemoryUfs({ clock: systemClock });
  readonly ufs = new FaultyUfs(this.memory);
  readonly workers: Worker[] = [];
  readonly #store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  readonly #ringListeners: (() => void)[] = [];
  readonly metrics: Metrics[] = [];
  #owners: (ufsPath: string) => readonly number[] = () => [0];
  #elsewhere: WorkerNetAddress | undefined;

  redirectsS3 = false;
  /** Pages are kept in memory unless it is set: on a disk they are there a moment after they were answered. */
  isOnDisk = false;

  constructor(transport: TransportKind) {
    this.transport = transport;
  }

  /** Names owners by index, the first one first. */
  set owners(owners: (ufsPath: string) => readonly number[]) {
    this.#owners = owners;
    for (const listener of this.#ringListeners) listener();
  }

  /** Stands for every owner, when set. */
  set elsewhere(address: WorkerNetAddress) {
    this.#elsewhere = address;
    for (const listener of this.#ringListeners) listener();
  }

  async start(t: Test, secrets: readonly string[] = [secret, secret, secret]): Promise<void> {
    const placement: Placement = {
      ownersOf: (ufsPath) => this.#owners(ufsPath).map((index) => this.#elsewhere ?? this.#addressOf(index)),
    };
    await this.setMount(true);
    for (const [index, each] of secrets.entries()) {
      const metrics = new Metrics();
      this.metrics.push(metrics);
      this.workers.push(
        await startWorker(
          {
            transport: this.transport,
            clusterName: 'c',
            bindHost: '127.0.0.1',
            hostname: '127.0.0.1',
            s3Port: 0,
            restPort: 0,
            webPort: 0,
            metastoreDir: join(t.testdirName, String(index)),
            pageSizeBytes,
            evictorType: 'LFU',
            directMemoryBytes: 16 * pageSizeBytes,
            fillThreadCount: 0,
            loadConcurrencyMax: 4,
            loadsReadersFirst: true,
            readAheadMaxBytes: 32 * MIB,
            maxAgeMs: 3_600_000,
            staleIfErrorMaxMs: 0,
            exposesCredentials: false,
            logsAccess: false,
            facts: { version: '1.2.3', notices: [], configuration: {} },
          },
          {
            clock: systemClock,
            random: systemRandom,
            logger: silentLogger,
            metrics,
            store: this.#store,
            ...(await this.#pages(join(t.testdirName, String(index), 'pages'))),
            cacheDirs: [],
            decodeMount: (entry) => decodeMount(entry.key, entry.value),
            openUfs: () => this.ufs,
            ufsOfThreads: {
              schemes: [],
              localAllowedRoots: [],
              environment: {},
              metricsOf: () => noUfsMetrics,
            },
            cluster: {
              placement,
              secret: each,
              redirectsS3: this.redirectsS3,
              departureHoldMs: 10_000,
              memberCount: () => 3,
              onRingChange: (listener) => this.#ringListeners.push(listener),
            },
          },
        ),
      );
    }
  }

  async #pages(dir: string): Promise<Pick<WorkerParts, 'pageStore' | 'pageEvents'>> {
    if (!this.isOnDisk) return { pageStore: new MemoryPageStore({ capacityBytes: 64 * MIB, pageSizeBytes }) };
    const pageEvents = new PageEvents();
    const pageStore = await openTestStore(dir, {
      sizeBytes: 64 * MIB,
      segmentSizeBytes: 4 * MIB,
      pageSizeBytes,
      onPageRemoved: (page) => pageEvents.pageRemoved(page),
      onSegmentRetired: (_, path) => pageEvents.segmentRetired(path),
      onOut: () => pageEvents.dirOut(),
      onSegmentRead: (read) => pageEvents.segmentRead(read),
    });
    return { pageStore, pageEvents };
  }

  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.close({ deadlineMs: 0 })));
  }

  worker(index: number): Worker {
    const worker = this.workers[index];
    if (!worker) throw new Error(`no worker ${index}`);
    return worker;
  }

  s3(index: number, path: string): string {
    return `http://127.0.0.1:${this.worker(index).s3Port}${path}`;
  }

  rest(index: number, path: string): string {
    return `http://127.0.0.1:${this.worker(index).restPort}${path}`;
  }

  /** Answers of other workers that this one passed on without TypeScript. */
  nativelyRelayedCount(index: number): Promise<number> {
    return this.nativeCount(index, 's3', 'relayed');
  }

  /** Answers of this kind that a worker's interface gave without TypeScript. */
  async nativeCount(index: number, destination: 's3' | 'rest', kind: 'get' | 'relayed'): Promise<number> {
    const { text } = (await this.metrics[index]?.scrape()) ?? { text: '' };
    const series = `alluxio_hotpath_answers_total{destination="${destination}",kind="${kind}"} `;
    const line = text.split('\n').find((each) => each.startsWith(series));
    return Number(line?.slice(series.length) ?? 0);
  }

  async setMount(isThere: boolean): Promise<void> {
    const key = `${mountsPrefixOf('c')}m`;
    const mount = { schema: 1 as const, path: '/m', ufsUri: 'mem://bucket', options: {} };
    await this.#store.txn(isThere ? { put: [{ key, value: encodeMount(mount) }] } : { delete: [key] });
  }

  #addressOf(index: number): WorkerNetAddress {
    return this.worker(index).address;
  }
}

type WithTrio = (
  t: Test,
  use: (trio: Trio) => Promise<void>,
  options?: {
    readonly secrets?: readonly string[];
    readonly redirectsS3?: boolean;
    readonly isOnDisk?: boolean;
  },
) => Promise<void>;

const withTrioOf =
  (transport: TransportKind): WithTrio =>
  async (t, use, { isOnDisk = false, redirectsS3 = false, secrets } = {}) => {
    t.testdir({ 0: {}, 1: {}, 2: {} });
    const trio = new Trio(transport);
    trio.redirectsS3 = redirectsS3;
    trio.isOnDisk = isOnDisk;
    await trio.start(t, secrets);
    try {
      await use(trio);
    } finally {
      await trio.stop();
    }
  };

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(10, {});
}

async function get(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init);
  const bytes = Buffer.from(await response.arrayBuffer());
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    cache: response.headers.get('x-alluxio-cache'),
  };
}

/** An owner of which the test decides what it answers. */
async function standIn(t: Test, trio: Trio, answer: RequestListener): Promise<void> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { readonly port: number };
  trio.elsewhere = { ...trio.worker(1).address, HttpServerPort: port };
}

/** What holds whatever the transport of the workers is. */
export function describeRelay(t: Test, transport: TransportKind): void {
  const withTrio = withTrioOf(transport);
  t.test('any worker gives the same bytes, and only the owner fetches them', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(1, 3 * pageSizeBytes + 11);
      await trio.memory.write('a', content, {});
      trio.owners = () => [1];
      const first = await get(trio.s3(0, '/m/a'));
      t.ok(first.bytes.equals(content));
      t.equal(first.cache, 'miss');
      t.equal((await get(trio.s3(0, '/m/a'))).cache, 'hit-peer');
      t.equal((await get(trio.s3(1, '/m/a'))).cache, 'hit');
      for (const index of [0, 1, 2]) {
        const { bytes } = await get(trio.s3(index, '/m/a'));
        t.ok(bytes.equals(content), `through worker ${index}`);
        const range = await get(
          trio.rest(index, '/v1/range/x?ufsFullPath=mem://bucket/a&offset=500000&length=100000'),
        );
        t.ok(range.bytes.equals(content.subarray(500_000, 600_000)));
      }
      t.equal(trio.ufs.byteCount('a'), content.length, 'each byte once');
      t.equal(
        trio.ufs.callCount('stat', 'a'),
        0,
        'the owner alone asked, and learned the version from the bytes',
      );
      t.strictSame(
        trio.workers.map((worker) => worker.stats().pageCount),
        [0, 4, 0],
      );
    });
  });

  t.test('an answer comes through as the owner gave it: ranges, conditions, HEAD, errors', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(2, 1000);
      await trio.memory.write('a b', content, {});
      trio.owners = () => [2];
      const comparable = async (index: number, init: RequestInit, path = '/m/a%20b') => {
        const { status, headers, bytes } = await get(trio.s3(index, path), init);
        const own = new Set(['date', 'x-amz-request-id', 'x-alluxio-cache', 'connection', 'keep-alive']);
        const rest = [...headers].filter(([name]) => !own.has(name));
        const text = bytes.toString('latin1').replace(/<RequestId>.*<\/RequestId>/, '');
        return { status, headers: rest.toSorted(([one], [other]) => (one < other ? -1 : 1)), text };
      };
      const etag = (await get(trio.s3(2, '/m/a%20b'))).headers.get('etag') ?? '';
      for (const init of [
        {},
        { headers: { range: 'bytes=10-19' } },
        { headers: { range: 'bytes=2000-' } },
        { headers: { 'if-none-match': etag } },
        { headers: { 'if-match': '"other"' } },
        { method: 'HEAD' },
      ]) {
        t.strictSame(await comparable(0, init), await comparable(2, init), JSON.stringify(init));
      }
      t.strictSame(await comparable(0, {}, '/m/nope'), await comparable(2, {}, '/m/nope'));
      const node = JSON.parse(
        (await get(trio.rest(0, '/v1/node?path=mem://bucket/a%20b'))).bytes.toString(),
      ) as WorkerNetAddress;
      t.equal(node.HttpServerPort, trio.worker(2).restPort);
    });
  });

  t.test('with the owner gone a replica answers, and without one the read goes past the cache', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(3, pageSizeBytes);
      await trio.memory.write('a', content, {});
      trio.owners = () => [1, 2];
      await trio.worker(1).close({ deadlineMs: 0 });
      const replica = await get(trio.s3(0, '/m/a'));
      t.ok(replica.bytes.equals(content));
      t.equal(replica.cache, 'miss', 'fetched and kept by the replica');
      trio.owners = () => [1, 0, 2];
      await trio.memory.write('b', content, {});
      t.equal((await get(trio.s3(0, '/m/b'))).cache, 'miss', 'a replica that is asked itself answers as one');
      t.equal(trio.worker(0).stats().pageCount, 1);
      trio.owners = () => [1];
      const past = await get(trio.s3(0, '/m/a'));
      t.ok(past.bytes.equals(content));
      t.equal(past.cache, 'bypass-owner-down');
      t.equal((await get(trio.s3(0, '/m/a'))).cache, 'bypass-owner-down');
      t.equal(trio.worker(0).stats().pageCount, 1, 'nothing more is kept by who does not own it');
      t.equal((await get(trio.s3(0, '/m/nope'))).status, 404);
      t.equal((await get(trio.rest(0, '/v1/info?path=mem://bucket/a'))).status, 200);
    });
  });

  t.test('an error of the owner is passed on and is no reason to go elsewhere', async (t) => {
    await withTrio(t, async (trio) => {
      await trio.memory.write('a', contentOf(4, 100), {});
      trio.owners = () => [1];

      trio.ufs.fail(new AlluxioError('UfsThrottled', 'slow down', { retry: 'never', retryAfterMs: 7000 }), {
        operation: 'read',
      });
      const throttled = await get(trio.s3(0, '/m/a'));
      t.equal(throttled.status, 503);
      t.equal(throttled.headers.get('retry-after'), '7');
      t.equal(trio.ufs.callCount('read'), 1);
    });
  });

  t.test('what an owner cannot reach is read past the cache by who can', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(5, 100);
      await trio.memory.write('a', content, {});
      trio.owners = () => [1];
      const down = new AlluxioError('UfsUnavailable', 'no route', { retry: 'never' });
      trio.ufs.fail(down, { operation: 'read' });
      const past = await get(trio.s3(0, '/m/a'));
      t.match(past, { status: 200, cache: 'bypass-owner-down' });
      t.ok(Buffer.from(content).equals(past.bytes));
      trio.ufs.fail(down, { operation: 'read' });
      const { status, headers } = await get(trio.s3(1, '/m/a'));
      t.equal(status, 503, 'an owner that is asked itself says so');
      t.equal(headers.get('x-alluxio-ufs-failed'), null);

      for (const operation of ['stat', 'read'] as const) trio.ufs.fail(down, { operation, times: 100 });
      const calls = (): number => trio.ufs.callCount('stat') + trio.ufs.callCount('read');
      const before = calls();
      t.match(await get(trio.s3(2, '/m/a')), { status: 503 });
      t.equal(calls() - before, 2, 'the owner, then the worker itself');
      const after = await get(trio.s3(2, '/m/a'));
      t.equal(after.status, 503);
      t.equal(after.headers.get('x-alluxio-ufs-failed'), null);
      t.equal(calls() - before, 3, 'the owner alone, since the storage is gone for both');
    });
  });

  t.test(
    'what an owner that dies leaves of an answer comes from the storage, of the same version',
    async (t) => {
      await withTrio(t, async (trio) => {
        const content = contentOf(5, 3 * pageSizeBytes);
        await trio.memory.write('a', content, {});
        trio.owners = () => [1];
        const gate = trio.ufs.holdBody('a', 1000);
        const response = await fetch(trio.s3(0, '/m/a'));
        await gate.reached;
        const closed = trio.worker(1).close({ deadlineMs: 0 });
        t.ok(Buffer.from(await response.arrayBuffer()).equals(content));
        gate.open();
        await closed;
      });
    },
  );

  t.test(
    'what is asked again goes where the file belongs now: by the ring, the mounts, and who is there',
    async (t) => {
      await withTrio(t, async (trio) => {
        await trio.memory.write('a', contentOf(5, 100_000), {});
        const isNative = transport === 'hotpath';
        const ask = (): ReturnType<typeof get> => get(trio.s3(0, '/m/a'));
        const outcomes = async (count: number): Promise<(string | null)[]> => {
          const all: (string | null)[] = [];
          for (let index = 0; index < count; index++) all.push((await ask()).cache);
          return all;
        };
        trio.owners = () => [1];
        t.strictSame(await outcomes(3), ['miss', 'hit-peer', 'hit-peer']);
        t.equal(await trio.nativelyRelayedCount(0), isNative ? 2 : 0);
        trio.owners = () => [2];
        t.strictSame(await outcomes(2), ['miss', 'hit-peer'], 'the new owner is asked at once');
        trio.owners = () => [0];
        t.strictSame(await outcomes(2), ['miss', 'hit'], 'and nobody, once the file is its own');
        trio.owners = () => [1, 2];
        t.strictSame(await outcomes(2), ['hit-peer', 'hit-peer']);
        await trio.worker(1).close({ deadlineMs: 0 });
        t.strictSame(await outcomes(2), ['hit-peer', 'hit-peer'], 'the replica');
        t.equal(
          await trio.nativelyRelayedCount(0),
          isNative ? 4 : 0,
          'which stands in only while the owner is left alone',
        );
        trio.owners = () => [2];
        await outcomes(2);
        await trio.setMount(false);
        await until(() => [0, 2].every((index) => trio.worker(index).mounts.list().length === 0));
        t.equal((await ask()).status, 404);
        await trio.setMount(true);
        await until(() => [0, 2].every((index) => trio.worker(index).mounts.list().length === 1));
        t.equal((await ask()).status, 200);
      });
    },
  );

  t.test('an owner answers again what it has, for members alone, until the ring changes', async (t) => {
    await withTrio(
      t,
      async (trio) => {
        const isNative = transport === 'hotpath';
        const content = contentOf(9, 2 * pageSizeBytes + 5);
        await trio.memory.write('a', content, {});
        trio.owners = () => [1];
        const target = '/internal/peer/s3/m/a';
        const asked = { method: 'GET', target };
        const ask = (mark?: string) =>
          get(trio.rest(1, target), { headers: mark === undefined ? {} : { [peerMarkHeader]: mark } });
        const refused = async (): Promise<void> => {
          const now = systemClock.now();
          for (const mark of [
            undefined,
            '1 2 3',
            makePeerMark(asked, 'another secret', now),
            makePeerMark({ ...asked, method: 'HEAD' }, secret, now),
            makePeerMark({ ...asked, target: '/internal/peer/s3/m/b' }, secret, now),
            makePeerMark(asked, secret, now - peerMarkAgeMaxMs - 60_000),
            makePeerMark(asked, secret, now + peerMarkAgeMaxMs + 60_000),
          ]) {
            t.equal((await ask(mark)).status, 403, mark ?? 'no mark');
          }
        };
        await refused();
        for (let round = 0; round < 3; round++) {
          for (const index of [0, 1]) t.ok((await get(trio.s3(index, '/m/a'))).bytes.equals(content));
          await trio.worker(1).cache.idle();
        }
        const [ownBefore, peersBefore] = [
          await trio.nativeCount(1, 's3', 'get'),
          await trio.nativeCount(1, 'rest', 'get'),
        ];
        for (let round = 0; round < 5; round++) {
          t.equal((await get(trio.s3(1, '/m/a'))).cache, 'hit');
          t.equal((await get(trio.s3(0, '/m/a'))).cache, 'hit-peer');
          const marked = await ask(makePeerMark(asked, secret, systemClock.now()));
          t.ok(marked.status === 200 && marked.bytes.equals(content));
        }
        t.equal((await trio.nativeCount(1, 's3', 'get')) - ownBefore, isNative ? 5 : 0);
        t.equal((await trio.nativeCount(1, 'rest', 'get')) - peersBefore, isNative ? 10 : 0);
        await refused();
        trio.owners = () => [2];
        t.equal((await get(trio.s3(1, '/m/a'))).cache, 'miss', 'the new owner is asked at once');
        await trio.worker(2).cache.idle();
        t.equal((await get(trio.s3(1, '/m/a'))).cache, 'hit-peer');
      },
      { isOnDisk: true },
    );
  });

  t.test('an owner that dies while a known route is read leaves no hole, and no other version', async (t) => {
    for (const isChanged of [false, true]) {
      await withTrio(t, async (trio) => {
        const content = contentOf(5, 3 * pageSizeBytes);
        await trio.memory.write('a', content, {});
        trio.owners = () => [1];
        await get(trio.s3(0, '/m/a'), { headers: { range: 'bytes=0-9' } });
        const gate = trio.ufs.holdBody('a', 1000);
        const response = await fetch(trio.s3(0, '/m/a'));
        t.equal(response.headers.get('x-alluxio-cache'), 'hit-peer');
        await gate.reached;
        if (isChanged) await trio.memory.write('a', contentOf(6, 3 * pageSizeBytes), {});
        const closed = trio.worker(1).close({ deadlineMs: 0 });
        if (isChanged) await t.rejects(response.arrayBuffer());
        else t.ok(Buffer.from(await response.arrayBuffer()).equals(content));
        gate.open();
        await closed;
      });
    }
  });

  t.test('another version comes from the owner through a known route', async (t) => {
    await withTrio(t, async (trio) => {
      trio.owners = () => [1];
      for (const seed of [1, 2, 3]) {
        const content = contentOf(seed, 100_000);
        await trio.memory.write('a', content, {});
        const client = new WorkerControlClient({
          host: '127.0.0.1',
          port: trio.worker(1).restPort,
          secret,
          clock: systemClock,
        });
        await client.free('/m/a');
        await client.close();
        t.ok((await get(trio.s3(0, '/m/a'))).bytes.equals(content));
      }
      t.equal(await trio.nativelyRelayedCount(0), transport === 'hotpath' ? 2 : 0);
    });
  });

  t.test('a worker that closes turns nobody away with an error', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(5, 3 * pageSizeBytes);
      await trio.memory.write('a', content, {});
      await trio.memory.write('b', contentOf(6, 100), {});
      trio.owners = () => [1];
      const gate = trio.ufs.holdBody('a', 1000);
      const response = await fetch(trio.s3(0, '/m/a'));
      await gate.reached;
      const other = trio.s3(0, '/m/b');
      const closed = trio.worker(0).close({ deadlineMs: 10_000 });
      // Either it takes no connection any more, which an SDK tries again, or it answers.
      for (let tries = 0; tries < 5; tries++) {
        const status = await fetch(other).then(
          (answer) => answer.status,
          () => 'refused',
        );
        t.ok(status === 'refused' || status === 200, String(status));
      }
      gate.open();
      t.ok(Buffer.from(await response.arrayBuffer()).equals(content), 'and finishes what it had');
      await closed;
    });
  });

  t.test('an answer is never completed by bytes of another version', async (t) => {
    await withTrio(t, async (trio) => {
      await trio.memory.write('a', contentOf(5, 3 * pageSizeBytes), {});
      trio.owners = () => [1];
      const gate = trio.ufs.holdBody('a', 1000);
      const response = await fetch(trio.s3(0, '/m/a'));
      await gate.reached;
      await trio.memory.write('a', contentOf(6, 3 * pageSizeBytes), {});
      const closed = trio.worker(1).close({ deadlineMs: 0 });
      await t.rejects(response.arrayBuffer());
      gate.open();
      await closed;
    });
  });

  t.test('an owner that takes requests and shows no sign of life counts as gone', async (t) => {
    await withTrio(t, async (trio) => {
      const content = contentOf(9, 100);
      await trio.memory.write('a', content, {});
      await standIn(t, trio, () => undefined);
      const begunMs = systemClock.monotonic();
      const reads = await Promise.all(Array.from({ length: 100 }, () => get(trio.s3(0, '/m/a'))));
      const tookMs = systemClock.monotonic() - begunMs;
      t.ok(reads.every(({ bytes, cache }) => bytes.equals(content) && cache === 'bypass-owner-down'));
      t.ok(tookMs < 5000, `${Math.round(tookMs)} ms`);
    });
  });

  t.test('an owner that is slow to answer and lives is waited for', async (t) => {
    await withTrio(t, async (trio) => {
      const questionCountMin = 2;
      let questionCount = 0;
      let waiting: ServerResponse | undefined;
      await standIn(t, trio, (request, response) => {
        if (request.url !== '/v1/health') waiting = response;
        else {
          response.end();
          if (++questionCount === questionCountMin) waiting?.end('late');
        }
      });
      t.equal((await get(trio.s3(0, '/m/a'))).bytes.toString(), 'late');
    });
  });

  t.test('an owner that is too busy to say that it lives, and sends, is waited for', async (t) => {
    await withTrio(t, async (trio) => {
      const late = Promise.withResolvers<ServerResponse>();
      await standIn(t, trio, (request, response) => {
        if (request.url === '/v1/health') return;
        if (request.url?.endsWith('/m/a')) {
          response.writeHead(200, { 'content-length': 30, etag: '"a"' });
          void sendSlowly(response, 30);
        } else late.resolve(response);
      });
      const sent = get(trio.s3(0, '/m/a'));
      const waiting = get(trio.s3(0, '/m/b'));
      t.equal((await sent).bytes.length, 30);
      (await late.promise).end('late');
      t.equal((await waiting).bytes.toString(), 'late');
    });
  });

  t.test('a relayed request is answered where it arrives, even when the rings differ', async (t) => {
    await withTrio(t, async (trio) => {
      await trio.memory.write('a', contentOf(6, 100), {});
      let askedCount = 0;
      // Each worker that looks finds somebody else: without the mark this would go round for ever.
      trio.owners = () => [(askedCount++ % 2) + 1];
      t.equal((await get(trio.s3(0, '/m/a'))).status, 200);
      t.equal(askedCount, 1);
    });
  });

  t.test('without the right secret nobody gets in by the way of peers', async (t) => {
    await withTrio(
      t,
      async (trio) => {
        await trio.memory.write('a', contentOf(7, 100), {});
        trio.owners = () => [1];
        const past = await get(trio.s3(0, '/m/a'));
        t.strictSame([past.status, past.cache], [200, 'bypass-owner-down'], 'reads go on past the cache');
        t.equal((await get(trio.rest(1, '/internal/peer/s3/m/a'))).status, 403);
        t.equal((await get(trio.s3(2, '/m/a'))).status, 200, 'who has it gets in');
      },
      { secrets: ['another secret', secret, secret] },
    );
  });

  t.test('a coordinator empties the cache of a worker and hears of it, if it has the secret', async (t) => {
    await withTrio(t, async (trio) => {
      await trio.memory.write('dir/a', contentOf(8, 100), {});
      await get(trio.s3(0, '/m/dir/a'));
      const clientWith = (key: string): WorkerControlClient =>
        new WorkerControlClient({
          host: '127.0.0.1',
          port: trio.worker(0).restPort,
          secret: key,
          clock: systemClock,
        });
      const client = clientWith(secret);
      t.equal((await client.stats()).pageCount, 1);
      t.strictSame(await client.free('/m/dir'), { fileCount: 1, pageCount: 1, freedBytes: 100 });
      t.equal((await get(trio.s3(0, '/m/dir/a'))).cache, 'miss');
      t.strictSame(await client.freeAll(), { fileCount: 1, pageCount: 1, freedBytes: 100 });
      await t.rejects(client.free('/nope'), { code: 'MountNotFound' });
      const stranger = clientWith('wrong');
      await t.rejects(stranger.freeAll(), { code: 'AccessDenied' });
      await Promise.all([client.close(), stranger.close()]);
    });
  });

  t.test('by option an S3 client is sent to the owner, and never round in circles', async (t) => {
    await withTrio(
      t,
      async (trio) => {
        const content = contentOf(9, 1000);
        await trio.memory.write('a', content, {});
        trio.owners = () => [1];
        const sent = await get(trio.s3(0, '/m/a'), { redirect: 'manual' });
        t.equal(sent.status, 307);
        t.match(sent.headers.get('location'), trio.s3(1, '/m/a?'));
        const followed = await get(trio.s3(0, '/m/a'));
        t.strictSame([followed.status, followed.cache], [200, 'miss']);
        t.ok(followed.bytes.equals(content));
        let askedCount = 0;
        trio.owners = () => [(askedCount++ % 2) + 1];
        const differing = await get(trio.s3(0, '/m/a'));
        t.ok(differing.bytes.equals(content), 'also where two workers see two rings');
        t.ok(askedCount <= 2);
        t.equal(
          (await get(trio.rest(0, '/v1/info?path=mem://bucket/a'))).status,
          200,
          'REST is relayed as ever',
        );
      },
      { redirectsS3: true },
    );
  });
}

/** A byte every 100 ms. */
async function sendSlowly(response: ServerResponse, count: number): Promise<void> {
  for (let sent = 0; sent < count; sent++) {
    await systemClock.sleep(100);
    response.write('a');
  }
  response.end();
}
