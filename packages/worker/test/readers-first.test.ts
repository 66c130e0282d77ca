import t from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { FairPermits } from '../src/load/fair-permits.ts';
import { ReadersFirst } from '../src/load/readers-first.ts';

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

await t.test('with readers a late event loop takes permits away, one in time gives them back', async (t) => {
  const clock = new ManualClock();
  const permits = new FairPermits({ permitsMax: 24 });
  let lastReadMs = clock.monotonic();
  const readers = new ReadersFirst({ permits, concurrencyMax: 24, lastReadMs: () => lastReadMs, clock });
  const letGo = readers.begin();
  t.equal(permits.max, 2, 'few at first');
  const pass = async (ms: number) => {
    lastReadMs = clock.monotonic();
    await clock.pass(ms);
    await turns();
  };
  const passInTime = async (count: number) => {
    for (let done = 0; done < count; done++) await pass(20);
  };
  await passInTime(50);
  t.equal(permits.max, 4, 'one more for each 25 times');
  await pass(30);
  t.equal(permits.max, 2);
  await pass(40);
  t.equal(permits.max, 1, 'a job always goes on');
  t.equal(readers.restAfter(100), 0);
  await pass(40);
  t.equal(readers.restAfter(100), 100);
  for (let count = 0; count < 3; count++) await pass(40);
  t.strictSame([permits.max, readers.restAfter(100)], [1, 300], 'with a quarter of its time at least');
  await passInTime(75);
  t.strictSame([permits.max, readers.restAfter(100)], [1, 0]);
  await passInTime(25);
  t.equal(permits.max, 2);
  await passInTime(50);
  t.equal(permits.max, 5, 'and half as many more when there is room for long');
  await clock.pass(2000);
  await turns();
  t.equal(permits.max, 24, 'all of them when nobody reads any more');
  letGo();
  await pass(40);
  t.equal(permits.max, 24, 'nothing is watched without batches');
});
