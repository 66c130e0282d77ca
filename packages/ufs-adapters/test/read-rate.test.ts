import { systemRandom } from '@alluxio-ts/common/clock';
import { MIB } from '@alluxio-ts/common/units';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import t from 'tap';
import { FaultyUfs } from '../../../test/support/faulty-ufs.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';

const bytesPerSecond = 10 * MIB;
const chunkBytesMax = 256 * 1024;

interface Rig {
  readonly clock: ManualClock;
  readonly inner: FaultyUfs;
  /** Opens the storage under the one rate, as another thread does. */
  readonly open: (isRemote?: boolean) => Ufs;
  readonly pausedMs: () => number;
}

async function rig(): Promise<Rig> {
  const clock = new ManualClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock }));
  await inner.write('file', new Uint8Array(20 * MIB));
  const memory = ReadRate.newMemory();
  let pausedMs = 0;
  const open = (isRemote = true): Ufs =>
    createUfsRegistry({
      clock,
      random: systemRandom,
      localAllowedRoots: [],
      environment: {},
      readRate: new ReadRate({ bytesPerSecond, clock, memory }),
      keepsCircuits: false,
      metrics: () => ({
        calls: () => undefined,
        bytes: () => undefined,
        latencyMs: () => undefined,
        retry: () => undefined,
        hedge: () => undefined,
        pausedMs: (ms) => {
          pausedMs += ms;
        },
      }),
      extraSchemes: [
        {
          scheme: 'mem',
          options: [],
          open: () => ({ ufs: inner, concurrencyMax: 100, retryCountMax: 0, isRemote }),
        },
      ],
    }).open(parseMountUri('mem://bucket'), {});
  return { clock, inner, open, pausedMs: () => pausedMs };
}

interface Reader {
  bytes: number;
  isOver: boolean;
}

function startReading(ufs: Ufs): Reader {
  const reader = { bytes: 0, isOver: false };
  const run = async (): Promise<void> => {
    const { body } = await ufs.read('file', { offset: 0, lengthBytes: 20 * MIB });
    for await (const chunk of body) reader.bytes += chunk.length;
    reader.isOver = true;
  };
  void run();
  return reader;
}

async function passes(clock: ManualClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at++) await clock.pass(1);
}

void t.test('readers in several threads together get the rate, and each the same', async (t) => {
  const { clock, open } = await rig();
  const readers = [open(), open()].flatMap((ufs) => Array.from({ length: 4 }, () => startReading(ufs)));
  await passes(clock, 2000);
  const total = readers.reduce((sum, { bytes }) => sum + bytes, 0);
  const allowed = bytesPerSecond * 2;
  const slack = bytesPerSecond * 0.05 + readers.length * chunkBytesMax;
  t.ok(total <= allowed + slack && total >= allowed - slack, `${total} bytes of ${allowed}`);
  const counts = readers.map(({ bytes }) => bytes);
  t.ok(Math.max(...counts) - Math.min(...counts) <= 2 * chunkBytesMax, counts.join(' '));
});

void t.test('one reader alone gets all of it, and what it waited for is told', async (t) => {
  const { clock, open, pausedMs } = await rig();
  const reader = startReading(open());
  while (!reader.isOver) await clock.pass(1);
  const expectedMs = (1000 * 20 * MIB) / bytesPerSecond;
  t.ok(Math.abs(pausedMs() - expectedMs) < 100, `${pausedMs()} ms of ${expectedMs}`);
});

void t.test('a rate that was not used is not saved up', async (t) => {
  const { clock, open } = await rig();
  const { body } = await open().read('file', { offset: 0, lengthBytes: 1 });
  for await (const _ of body);
  clock.advance(3_600_000);
  const reader = startReading(open());
  await passes(clock, 1000);
  t.ok(reader.bytes <= bytesPerSecond * 1.05 + chunkBytesMax, `${reader.bytes} bytes`);
});

void t.test('a storage of this machine is not held to it', async (t) => {
  const { clock, open, pausedMs } = await rig();
  const reader = startReading(open(false));
  await passes(clock, 1);
  while (!reader.isOver) await clock.pass(0);
  t.equal(pausedMs(), 0);
});

void t.test('a reader that goes while it waits leaves nothing open', async (t) => {
  const { clock, inner, open } = await rig();
  const control = new AbortController();
  const { body } = await open().read('file', { offset: 0, lengthBytes: 20 * MIB, signal: control.signal });
  const reading = (async () => {
    for await (const _ of body);
  })();
  await passes(clock, 10);
  control.abort(new Error('gone'));
  await t.rejects(reading, /gone/);
  t.equal(inner.openBodyCount, 0);
});
