import { join } from 'node:path';
import { systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { decodeMount, encodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import t from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { MountTable } from '../src/cache/mount-table.ts';
import { MountWatcher } from '../src/cluster/mount-watcher.ts';
import { SwitchedStore } from './support/switched-store.ts';

const prefix = mountsPrefixOf('c');
const holdMs = 10_000;

function putOf(name: string) {
  const mount = { schema: 1 as const, path: `/${name}`, ufsUri: `mem://${name}`, options: {} };
  return { key: `${prefix}${name}`, value: encodeMount(mount) };
}

function rig(t: { readonly testdirName: string }, clock = new ManualClock()) {
  const memory = new MemoryKvStore({ clock, random: systemRandom });
  const store = new SwitchedStore(memory);
  const mounts = new MountTable();
  const events: string[] = [];
  const waiting: { readonly event: string; resolve(): void }[] = [];
  const note = (_: unknown, event: string): void => {
    events.push(event);
    for (const each of waiting.filter((waiter) => waiter.event === event)) each.resolve();
  };
  const logger = { ...silentLogger, info: note, warn: note, error: note };
  const watcher = new MountWatcher({
    clusterName: 'c',
    mirror: {
      store,
      snapshotFile: join(t.testdirName, 'mounts.snapshot'),
      departureHoldMs: holdMs,
      memberCount: () => 1,
      clock,
      random: systemRandom,
      logger,
    },
    mounts,
    clock,
    logger,
    decode: (entry) => decodeMount(entry.key, entry.value),
    openUfs: () => new MemoryUfs({ clock }),
    onServed: () => undefined,
    onGone: () => undefined,
  });
  /** Resolves at the next such event. */
  const next = (event: string): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push({ event, resolve });
    return promise;
  };
  const paths = (): string[] => mounts.list().map((mount) => mount.path);
  return { clock, store, watcher, paths, next };
}

t.test('mounts are served as they come and go', async (t) => {
  t.testdir({});
  const { store, watcher, paths, next } = rig(t);
  await store.txn({ put: [putOf('a')] });
  await watcher.start();
  t.strictSame(paths(), ['/a']);
  const served = next('mount-served');
  await store.txn({ put: [putOf('b')] });
  await served;
  t.strictSame(paths(), ['/a', '/b']);
  const gone = next('mount-gone');
  await store.txn({ delete: [`${prefix}a`] });
  await gone;
  t.strictSame(paths(), ['/b']);
  await watcher.close();
});

t.test('a start without the state store serves the mounts of before, and catches up', async (t) => {
  t.testdir({});
  const first = rig(t);
  await t.rejects(
    (async () => {
      first.store.isAway = true;
      await first.watcher.start();
    })(),
    { code: 'StateStoreUnavailable' },
    'a first start has none',
  );
  first.store.isAway = false;
  await first.store.txn({ put: [putOf('a')] });
  await first.watcher.start();
  await first.watcher.close();

  const second = rig(t);
  second.store.store = first.store.store;
  second.store.isAway = true;
  await second.watcher.start();
  t.strictSame(second.paths(), ['/a']);
  await first.store.txn({ put: [putOf('b')] });
  second.store.isAway = false;
  const served = second.next('mount-served');
  await second.clock.pass(1000);
  await served;
  t.strictSame(second.paths(), ['/a', '/b']);
  await second.watcher.close();
});

t.test('a mount that is only missing from a list is held, and one that the store forgot stays', async (t) => {
  t.testdir({});
  const { clock, store, watcher, paths, next } = rig(t);
  await store.txn({ put: [putOf('a')] });
  await store.txn({ put: [putOf('b')] });
  await watcher.start();
  const interrupt = async (): Promise<void> => {
    const interrupted = next('watch-interrupted');
    store.breakWatches();
    await interrupted;
  };
  // Removed while nobody watched, and the event compacted away.
  const held = next('entry-missing-but-kept');
  store.isAway = true;
  await interrupt();
  await store.store.txn({ delete: [`${prefix}a`] });
  store.isAway = false;
  await clock.pass(1000);
  await held;
  await clock.pass(0);
  t.strictSame(paths(), ['/a', '/b']);
  const gone = next('mount-gone');
  await clock.pass(holdMs);
  await gone;
  await clock.pass(0);
  t.strictSame(paths(), ['/b'], 'gone when it was held long enough');

  const forgotten = next('entry-missing-but-kept');
  store.store = new MemoryKvStore({ clock, random: systemRandom });
  await interrupt();
  await clock.pass(1000);
  await forgotten;
  await clock.pass(10 * holdMs);
  t.strictSame(paths(), ['/b'], 'a store that began anew takes nothing away');

  for (const name of ['c', 'd', 'e', 'f']) await store.txn({ put: [putOf(name)] });
  await clock.pass(10 * holdMs);
  t.strictSame(
    paths().toSorted(),
    ['/b', '/c', '/d', '/e', '/f'],
    'not when it has come as far again either',
  );
  await watcher.close();
});
