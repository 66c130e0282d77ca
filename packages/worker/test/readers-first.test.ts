import { type DelayWatch, delayBucketCount, delayBucketOf } from '@alluxio-ts/transport/delay-watch';
import type { AnsweredRequest } from '@alluxio-ts/transport/page-transport';
import t from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { FairPermits } from '../src/load/fair-permits.ts';
import { ReadersFirst } from '../src/load/readers-first.ts';
import { SeenReads } from '../src/load/seen-reads.ts';

const never = new AbortController().signal;

/** Lets whoever woke run to its next wait. */
const turns = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

async function isGranted(waiting: Promise<unknown>): Promise<boolean> {
  let granted = false;
  void waiting.then(() => (granted = true));
  await turns();
  return granted;
}

await t.test('a free permit goes to the party that holds the fewest', async (t) => {
  const permits = new FairPermits({ permitsMax: 3 });
  const held = [];
  for (let count = 0; count < 3; count++) held.push(await permits.acquire('large', { signal: never }));
  const large = permits.acquire('large', { signal: never });
  const small = permits.acquire('small', { signal: never });
  held[0]?.();
  t.notOk(await isGranted(large), 'although it asked first');
  t.ok(await isGranted(small));
  held[1]?.();
  held[1]?.();
  t.ok(await isGranted(large), 'given back once however often it is called');
  t.equal(permits.heldCount, 3);
});

await t.test('whoever leaves the queue is not granted', async (t) => {
  const permits = new FairPermits({ permitsMax: 1 });
  const release = await permits.acquire('one', { signal: never });
  const leaving = new AbortController();
  const left = permits.acquire('other', { signal: leaving.signal });
  const next = permits.acquire('third', { signal: never });
  leaving.abort(new Error('enough'));
  await t.rejects(left, { message: 'enough' });
  release();
  t.ok(await isGranted(next));
});

await t.test(
  'a smaller bound is reached as permits come back, a larger one is granted at once',
  async (t) => {
    const permits = new FairPermits({ permitsMax: 2 });
    const one = await permits.acquire('a', { signal: never });
    const other = await permits.acquire('a', { signal: never });
    permits.setMax(1);
    const next = permits.acquire('a', { signal: never });
    one();
    t.notOk(await isGranted(next));
    other();
    t.ok(await isGranted(next));
    const after = permits.acquire('b', { signal: never });
    permits.setMax(2);
    t.ok(await isGranted(after));
  },
);

await t.test('of parties that hold as many, the one that got none for longest has its turn', async (t) => {
  const permits = new FairPermits({ permitsMax: 1 });
  const release = await permits.acquire('a', { signal: never });
  const granted: string[] = [];
  const take = async (name: string) => {
    const giveBack = await permits.acquire(name, { signal: never });
    granted.push(name);
    await turns();
    giveBack();
  };
  const all = ['a', 'a', 'a', 'b', 'b', 'c'].map(take);
  release();
  await Promise.all(all);
  t.strictSame(granted, ['a', 'b', 'c', 'a', 'b', 'a']);
});

const late = delayBucketOf(2);

/** What a watch counts in each step: a share of the time as the level says, of which shares were late. */
class Watched {
  readonly clock = new ManualClock();
  readonly permits = new FairPermits({ permitsMax: 24 });
  readonly reads = new SeenReads(() => this.clock.monotonic());
  readonly readers = new ReadersFirst({
    permits: this.permits,
    concurrencyMax: 24,
    reads: this.reads,
    watchDelays: () => this.#watch(),
    clock: this.clock,
  });
  lateAlone = 0;
  lateBeside = 0;
  isBeside = false;
  openCount = 0;

  constructor() {
    this.reads.read();
  }

  /** With somebody who reads all the while. */
  async steps(count: number): Promise<void> {
    for (let step = 0; step < count; step++) {
      this.reads.read();
      await this.clock.pass(200);
      await turns();
    }
  }

  #watch(): DelayWatch {
    this.openCount++;
    return {
      mark: (isBeside) => (this.isBeside = isBeside),
      take: () => {
        const besideCount = 200 * Math.min(1, this.readers.level);
        return {
          alone: countsOf(200 - besideCount, this.lateAlone),
          beside: countsOf(besideCount, this.lateBeside),
        };
      },
      close: () => this.openCount--,
    };
  }
}

function countsOf(count: number, lateShare: number): ArrayLike<number> {
  const counts = new Float64Array(delayBucketCount);
  counts[0] = count * (1 - lateShare);
  counts[late] = count * lateShare;
  return counts;
}

await t.test(
  'with readers a job begins with little, and gets all there is if it makes nobody late',
  async (t) => {
    const watched = new Watched();
    const letGo = watched.readers.begin();
    t.strictSame([watched.readers.level, watched.permits.max], [1 / 16, 1]);
    await watched.steps(130);
    t.strictSame([watched.readers.level, watched.permits.max], [24, 24]);
    letGo();
  },
);

await t.test('it gets as much as makes one read late in two thousand', async (t) => {
  const watched = new Watched();
  const letGo = watched.readers.begin();
  watched.lateBeside = 0.01;
  await watched.steps(130);
  t.ok(Math.abs(watched.readers.level - 0.0005 / 0.01) < 0.01, `${watched.readers.level}`);
  t.equal(watched.permits.max, 1);
  watched.lateBeside = 0.9;
  await watched.steps(130);
  t.equal(watched.readers.level, 1 / 64, 'it goes on all the same');
  watched.lateBeside = 0;
  await watched.steps(600);
  t.equal(watched.permits.max, 24, 'and has it back when the others are not in its way any more');
  watched.lateBeside = 0.01;
  await watched.steps(4);
  t.ok(watched.readers.level < 12, 'which is noticed soon');
  letGo();
});

await t.test('what is late without it, too, is not its doing', async (t) => {
  const watched = new Watched();
  const letGo = watched.readers.begin();
  watched.lateBeside = 0.008;
  watched.lateAlone = 0.008;
  await watched.steps(3);
  t.ok(watched.readers.level >= 1 / 16, `${watched.readers.level}`);
  // Where one in ten waits for 2 ms, nobody is late who waits for 2 ms.
  watched.lateBeside = 0.5;
  watched.lateAlone = 0.2;
  await watched.steps(130);
  t.equal(watched.readers.level, 24);
  letGo();
});

const answer: AnsweredRequest = {
  listener: 's3',
  requestId: '',
  method: 'GET',
  target: '/a/b',
  remoteAddress: '',
  status: 200,
  sentBytes: 1,
  durationMs: 3,
  isComplete: true,
  outcome: 'hit',
};

await t.test('who waits no longer than a read takes is not late', async (t) => {
  const watched = new Watched();
  const letGo = watched.readers.begin();
  watched.lateBeside = 0.05;
  watched.reads.answered(answer);
  await watched.steps(130);
  t.equal(watched.permits.max, 24, 'all are late by 2 ms, and reads take 3');
  for (let count = 0; count < 3; count++) watched.reads.answered({ ...answer, durationMs: 0.2 });
  await watched.steps(50);
  t.equal(watched.permits.max, 1);
  letGo();
});

await t.test('of reads it is known when the last one was and what they take at the median', async (t) => {
  const clock = new ManualClock();
  const reads = new SeenReads(() => clock.monotonic());
  t.strictSame([reads.lastMs, reads.medianBucket], [Number.NEGATIVE_INFINITY, 0]);
  reads.read();
  const firstMs = clock.monotonic();
  t.equal(reads.lastMs, firstMs);
  reads.answered(answer);
  t.equal(reads.medianBucket, delayBucketOf(3));
  for (const other of [{ method: 'HEAD' }, { isComplete: false }, { outcome: undefined }]) {
    for (let count = 0; count < 3; count++) reads.answered({ ...answer, durationMs: 100, ...other });
  }
  t.equal(reads.medianBucket, delayBucketOf(3), 'whole answers with bytes of files');
  const bucketCounts = Array.from({ length: 16 }, (_, index) => (index === 4 ? 1000 : 0));
  const calls = {
    listener: 's3',
    method: 'GET',
    status: 200,
    isPiece: false,
    isComplete: true,
    bucketCounts,
    durationSumMs: 0,
  } as const;
  const nothing = { calls: [], listeners: [], pages: [], answers: [], droppedCount: 0 };
  await clock.pass(5);
  reads.reported({ ...nothing, calls: [calls] });
  t.equal(reads.medianBucket, delayBucketOf(5), 'of a bucket of times the lower bound');
  t.equal(reads.lastMs, firstMs);
  reads.reported({
    ...nothing,
    listeners: [{ listener: 's3', bodyBytes: 0, relayedBytes: 9, relayedCount: 1 }],
  });
  t.equal(reads.lastMs, firstMs + 5, 'who was passed on to another worker reads, too');
  await clock.pass(5);
  reads.reported({
    ...nothing,
    pages: [{ page: { file: { a: 1, b: 2, c: 3 }, index: 0 }, lengthBytes: 1, count: 1 }],
  });
  t.equal(reads.lastMs, firstMs + 10);
});

await t.test('without readers a job has all there is, and nothing is watched', async (t) => {
  const watched = new Watched();
  const { clock, permits, readers } = watched;
  const letGo = readers.begin();
  watched.lateBeside = 0.05;
  await watched.steps(50);
  t.equal(watched.openCount, 1);
  await clock.pass(4000);
  await turns();
  t.strictSame([permits.max, readers.level, watched.openCount], [24, 24, 0]);
  watched.lateBeside = 0;
  await watched.steps(400);
  t.equal(permits.max, 24);
  await clock.pass(4000);
  await turns();
  await watched.steps(1);
  t.equal(permits.max, 1, 'whoever comes back finds it with little');
  letGo();
  t.equal(watched.openCount, 0);
  await clock.pass(4000);
  t.equal(readers.level, 24, 'nor is it said to have less when neither is there any more');
});

await t.test('a permit rests for its share of the time, and nobody waits for that', async (t) => {
  const watched = new Watched();
  watched.lateBeside = 0.05;
  const { clock, permits, readers } = watched;
  const letGo = readers.begin();
  const spend = async (ms: number) => {
    const release = await permits.acquire('job', { signal: never });
    await readers.spend(release, () => clock.sleep(ms), { signal: never });
  };
  watched.reads.read();
  const spent = spend(20);
  await turns();
  t.equal(readers.runningCount, 1);
  await clock.pass(20);
  await spent;
  t.equal(readers.runningCount, 0);
  const next = permits.acquire('job', { signal: never });
  await clock.pass(299);
  t.notOk(await isGranted(next), 'a sixteenth of the time');
  await clock.pass(1);
  t.ok(await isGranted(next));
  (await next)();
  const long = spend(9000);
  await turns();
  for (let second = 0; second < 9; second++) {
    watched.reads.read();
    await clock.pass(1000);
    await turns();
  }
  await long;
  t.equal(permits.heldCount, 1);
  await clock.pass(2000);
  await turns();
  t.equal(permits.heldCount, 0, 'for two seconds at most');
  letGo();
});

await t.test('what is late is marked as beside a job while it has work under way', async (t) => {
  const watched = new Watched();
  const { clock, readers } = watched;
  const letGo = readers.begin();
  await watched.steps(1);
  const work = Promise.withResolvers<void>();
  const spent = [1, 2].map(() =>
    readers.spend(
      () => undefined,
      () => work.promise,
      { signal: never },
    ),
  );
  t.ok(watched.isBeside);
  await watched.steps(1);
  work.resolve();
  await Promise.all(spent);
  t.notOk(watched.isBeside);
  await t.rejects(
    readers.spend(
      () => undefined,
      () => Promise.reject(new Error('no')),
      { signal: never },
    ),
    { message: 'no' },
  );
  t.notOk(watched.isBeside);
  letGo();
  await clock.pass(0);
});
