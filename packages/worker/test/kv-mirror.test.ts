import { join } from 'node:path';
import { systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { claimsPrefixOf, decodeGuard, encodeGuard } from '@alluxio-ts/common/protocol/guard';
import type { KvCallOptions, KvList, KvStore } from '@alluxio-ts/common/state/kv-store';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { KvMirror } from '../src/cluster/kv-mirror.ts';
import { SwitchedStore } from './support/switched-store.ts';

const prefix = '/set/';
const guardKey = '/locks/set';
const holdMs = 10_000;
const clock = new ManualClock();

function emptyStore(t: Test): MemoryKvStore {
  const store = new MemoryKvStore({ clock, random: systemRandom });
  t.teardown(() => store.close());
  return store;
}

/** As whoever adds does it: the guard of the first addition keeps its id. */
async function add(store: KvStore, name: string, id = 'first'): Promise<void> {
  const put = [
    { key: prefix + name, value: `value of ${name}` },
    { key: guardKey, value: encodeGuard({ schema: 1, id }) },
  ];
  await store.txn({ put });
}

function remove(store: KvStore, name: string) {
  return store.txn({ delete: [prefix + name] });
}

async function namesIn(store: KvStore): Promise<readonly string[]> {
  return (await store.list(prefix)).entries.map(({ key }) => key.slice(prefix.length));
}

interface Worker {
  readonly mirror: KvMirror;
  readonly link: SwitchedStore;
  /** What it holds. */
  names(): readonly string[];
}

function workerOf(t: Test, store: KvStore, directory: string, memberCount = 1): Worker {
  const link = new SwitchedStore(store);
  const held = new Map<string, string>();
  const mirror = new KvMirror(
    {
      store: link,
      prefix,
      guardKey,
      snapshotFile: join(directory, 'set.snapshot'),
      departureHoldMs: holdMs,
      memberCount: () => memberCount,
      clock,
      random: systemRandom,
      logger: silentLogger,
    },
    {
      onPut: ({ key, value }) => void held.set(key.slice(prefix.length), value),
      onRemove: (key) => void held.delete(key.slice(prefix.length)),
    },
  );
  t.teardown(() => mirror.close());
  return { mirror, link, names: () => [...held.keys()].toSorted() };
}

/** In steps in which leases are renewed. */
async function pass(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 1000) {
    await clock.pass(1000);
    await clock.pass(0);
    await clock.pass(0);
  }
}

async function loseStore(workers: readonly Worker[], next: KvStore): Promise<void> {
  for (const { link } of workers) {
    link.store = next;
    link.breakWatches();
  }
  await pass(2000);
}

t.test('what an emptied store has lost is put back, and nothing of it is missed meanwhile', async (t) => {
  const store = emptyStore(t);
  for (const name of ['a', 'b', 'c']) await add(store, name);
  const worker = workerOf(t, store, t.testdir());
  await worker.mirror.start();
  const next = emptyStore(t);
  await loseStore([worker], next);
  t.strictSame(worker.names(), ['a', 'b', 'c'], 'kept');
  t.strictSame(await namesIn(next), [], 'not at once');
  await pass(holdMs + 2000);
  t.strictSame(await namesIn(next), ['a', 'b', 'c']);
  t.equal((await next.get(`${prefix}b`))?.value, 'value of b');
  t.match(decodeGuard((await next.get(guardKey))?.value ?? ''), { restored: { id: 'first' } });
  await remove(next, 'a');
  await pass(1000);
  t.strictSame(worker.names(), ['b', 'c'], 'and it is as any other store');
});

t.test('the worker that knows most puts back, so that what was removed stays removed', async (t) => {
  const store = emptyStore(t);
  for (const name of ['kept', 'removed']) await add(store, name);
  const stale = workerOf(t, store, join(t.testdir({ stale: {}, known: {} }), 'stale'), 2);
  await stale.mirror.start();
  stale.link.isAway = true;
  stale.link.breakWatches();
  await pass(2000);
  const known = workerOf(t, store, join(t.testdirName, 'known'), 2);
  await known.mirror.start();
  await remove(store, 'removed');
  await pass(1000);
  t.strictSame(stale.names(), ['kept', 'removed']);
  t.strictSame(known.names(), ['kept']);
  const next = emptyStore(t);
  stale.link.isAway = false;
  await loseStore([stale, known], next);
  await pass(3 * holdMs);
  t.strictSame(await namesIn(next), ['kept']);
  t.strictSame(stale.names(), ['kept'], 'the other one learns of it');
});

t.test('a store that somebody has begun to fill is left as it is', async (t) => {
  const store = emptyStore(t);
  await add(store, 'before');
  const worker = workerOf(t, store, t.testdir());
  await worker.mirror.start();
  const next = emptyStore(t);
  await add(next, 'after', 'second');
  await loseStore([worker], next);
  await pass(20 * holdMs);
  t.strictSame(await namesIn(next), ['after']);
  t.strictSame(worker.names(), ['after', 'before'], 'nobody has removed it');
  await worker.mirror.close();
  const again = workerOf(t, next, t.testdirName);
  await again.mirror.start();
  t.strictSame(again.names(), ['after'], 'a start goes by the store');
});

t.test(
  'a worker that starts with an emptied store goes on with what it knew, and puts it back',
  async (t) => {
    const store = emptyStore(t);
    await add(store, 'a');
    const worker = workerOf(t, store, t.testdir());
    await worker.mirror.start();
    await worker.mirror.close();
    const next = emptyStore(t);
    for (const value of ['1', '2', '3', '4']) await next.txn({ put: [{ key: 'other', value }] });
    const again = workerOf(t, next, t.testdirName);
    await again.mirror.start();
    t.strictSame(again.names(), ['a'], 'although the new store has come further');
    await pass(holdMs + 2000);
    t.strictSame(await namesIn(next), ['a']);
  },
);

/** Somebody adds at the very moment at which the claims are weighed for the last time. */
class StoreAddedTo extends SwitchedStore {
  isDue = false;

  override async list(listPrefix: string, options?: KvCallOptions): Promise<KvList> {
    if (this.isDue && listPrefix === claimsPrefixOf(guardKey)) await add(this.store, 'after', 'second');
    return super.list(listPrefix, options);
  }
}

t.test('who adds in the last moment goes before what would be put back', async (t) => {
  const store = emptyStore(t);
  await add(store, 'before');
  const worker = workerOf(t, store, t.testdir());
  await worker.mirror.start();
  const next = emptyStore(t);
  const addedTo = new StoreAddedTo(next);
  await loseStore([worker], addedTo);
  addedTo.isDue = true;
  await pass(2 * holdMs);
  t.strictSame(await namesIn(next), ['after']);
  t.strictSame(worker.names(), ['after', 'before']);
});

t.test('a minority waits for the others', async (t) => {
  const store = emptyStore(t);
  await add(store, 'a');
  const worker = workerOf(t, store, t.testdir(), 3);
  await worker.mirror.start();
  const next = emptyStore(t);
  await loseStore([worker], next);
  await pass(3 * holdMs);
  t.strictSame(await namesIn(next), []);
  t.strictSame(worker.names(), ['a']);
  await pass(5 * holdMs);
  t.strictSame(await namesIn(next), ['a'], 'but not for ever');
});

t.test('a set larger than one transaction comes back whole', async (t) => {
  const store = emptyStore(t);
  for (let index = 0; index < 250; index++) await add(store, `e-${index}`);
  const worker = workerOf(t, store, t.testdir());
  await worker.mirror.start();
  const next = emptyStore(t);
  await loseStore([worker], next);
  await pass(holdMs + 2000);
  t.equal((await namesIn(next)).length, 250);
});
