/** The states of a cache directory, over disks that really fail: read-only, gone, replaced by an empty mount point, hanging; and beside one that is well. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '@alluxio-ts/common/clock';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { cacheDirStats } from '../src/page-store/cache-dir.ts';
import { DirHealth, type DirState } from '../src/page-store/dir-health.ts';
import { DiskQueue } from '../src/page-store/disk-queue.ts';
import type { DiskPageStore } from '../src/page-store/disk-page-store.ts';
import { SpreadPageStore } from '../src/page-store/spread-page-store.ts';
import { putPage } from './page-contents.ts';
import { remount, withTmpfs } from './support/tmpfs.ts';
import {
  inspect,
  inspectAll,
  listLogger,
  type LogLine,
  mixedPage,
  mixedPages,
  openTestStore,
  putPatiently,
  segmentPaths,
  until,
} from './page-store-fixture.ts';

const pages = mixedPages(30);
const others = mixedPages(60).slice(30);
const fast = { probePauseMs: 50, readTimeoutMs: 500 };

const isIn = (store: DiskPageStore, state: DirState): Promise<void> =>
  until(() => store.health().state === state, `${state}, is ${JSON.stringify(store.health())}`);

void t.test('a disk that becomes read-only is read on, and written again when it can be', async (t) => {
  await withTmpfs(t, 64, async (dir) => {
    const lines: LogLine[] = [];
    const store = await openTestStore(dir, { ...fast, logger: listLogger(lines) });
    for (const page of pages) await putPatiently(store, page);
    // A segment that is open for writing keeps a file system from being made read-only, as it does in life: there the kernel does it.
    await store.close();
    const again = await openTestStore(dir, { ...fast, logger: listLogger(lines) });
    remount(dir, 'ro');
    await t.rejects(putPage(again, mixedPage(0)), { code: 'PageStoreUnavailable' });
    t.match(again.health(), { state: 'suspect', reason: 'a write failed with EROFS' });
    t.match(await inspectAll(again, pages), { right: 30 });
    await until(() => again.health().reason === 'a probe failed with EROFS', 'a probe');
    t.equal(again.health().state, 'suspect', 'a probe that cannot write does not end the reading');
    const page = mixedPage(31);
    t.equal(await putPage(again, page), false, 'no page is offered to it');
    remount(dir, 'rw');
    await isIn(again, 'ok');
    t.equal(await putPage(again, page), true);
    t.same(
      lines.filter(({ event }) => event === 'cache-dir-state').map(({ fields }) => fields['state']),
      ['suspect', 'ok'],
      'a change is logged once',
    );
    await again.close();
  });
});

void t.test('a full disk takes pages again when a segment was given up', async (t) => {
  await withTmpfs(t, 6, async (dir) => {
    const store = await openTestStore(dir, fast);
    let isFull = false;
    for (const page of mixedPages(120)) {
      await putPage(store, page).catch(() => undefined);
      isFull ||= store.health().reason === 'a write failed with ENOSPC';
      if (store.health().state !== 'ok') await isIn(store, 'ok');
    }
    t.ok(isFull, 'the disk was full');
    t.ok(store.stats().evictedCount > 0);
    const page = mixedPage(31);
    await putPatiently(store, page);
    t.equal(await inspect(store, page), 'right');
    await store.close();
  });
});

void t.test('a directory that vanished is out; an empty one in its place is not taken for it', async (t) => {
  const root = t.testdir();
  const dir = join(root, 'disk');
  mkdirSync(dir);
  let outs = 0;
  const store = await openTestStore(dir, { ...fast, onOut: () => outs++ });
  for (const page of pages) await putPatiently(store, page);
  // A start knows segments by their names only, so that nothing is open but the directory itself.
  await store.close();
  const again = await openTestStore(dir, { ...fast, onOut: () => outs++ });
  renameSync(dir, `${dir}.aside`);
  for (const page of pages) await inspect(again, page).catch(() => undefined);
  await isIn(again, 'out');
  t.equal(outs, 1, 'whoever keeps places of pages is told');
  t.match(await inspectAll(again, pages), { miss: 30 }, 'nothing is asked of it');
  const keptCount = again.stats().pageCount;
  t.ok(keptCount > 15, `${keptCount} pages are still known`);
  mkdirSync(join(dir, 'segments'), { recursive: true });
  await until(() => again.health().reason?.includes('not the same') === true, 'the empty one is found out');
  t.equal(again.health().state, 'out');
  rmSync(dir, { recursive: true });
  renameSync(`${dir}.aside`, dir);
  await isIn(again, 'ok');
  t.match(await inspectAll(again, pages), { right: keptCount, wrong: 0, corrupt: 0 });
  await again.close();
});

void t.test('of two directories the other takes the new pages while one hangs', async (t) => {
  const root = t.testdir({ one: {}, two: {} });
  const dirs = [join(root, 'one'), join(root, 'two')] as const;
  const fill = await Promise.all(dirs.map((dir) => openTestStore(dir)));
  const spread = new SpreadPageStore(fill);
  for (const page of pages) await putPatiently(spread, page);
  await spread.close();
  const options = { ...fast, probePauseMs: 1000 };
  const [one, two] = await Promise.all([openTestStore(dirs[0], options), openTestStore(dirs[1], options)]);
  const both = new SpreadPageStore([one, two]);
  const countOfOne = one.stats().pageCount;
  const countOfTwo = two.stats().pageCount;
  t.ok(countOfOne > 5 && countOfTwo > 5);
  // Opening a pipe that nobody writes to hangs, as a dead disk does.
  const [path = ''] = segmentPaths(dirs[0]);
  const pathOf = ({ id }: (typeof pages)[number]): string | undefined => {
    const handle = one.get(id);
    const place = handle?.native;
    handle?.release();
    return place?.path;
  };
  const ids = pages.filter((page) => two.has(page.id)).map(({ id }) => id);
  const hanging = pages.find((page) => pathOf(page) === path)?.id;
  t.ok(hanging);
  if (hanging) ids.unshift(hanging);
  renameSync(path, `${path}.aside`);
  execFileSync('mkfifo', [path]);
  const begunMs = performance.now();
  const [areGood] = await Promise.all([
    both.verify(ids),
    ...pages.map((page) => inspect(both, page).catch(() => undefined)),
  ]);
  t.same(
    areGood,
    ids.map((id) => id !== hanging),
    'what the other has is verified all the same',
  );
  t.ok(performance.now() - begunMs < 2 * fast.readTimeoutMs, 'all who wait are told at one deadline');
  t.equal(one.health().state, 'out');
  t.match(cacheDirStats({ dir: dirs[0], capacityBytes: 1, use: { store: one } }), {
    state: 'out',
    reason: /no answer to a read within 500 ms/,
  });
  const askedMs = performance.now();
  t.match(await inspectAll(both, pages), { right: countOfTwo, wrong: 0 });
  for (const page of others) await putPatiently(both, page);
  t.match(await inspectAll(both, others), { right: others.length });
  t.ok(performance.now() - askedMs < fast.readTimeoutMs, 'nobody waits for it any more');
  t.equal(two.stats().pageCount, countOfTwo + others.length);
  // Held to the end: the openings that hang may still be on their way to the system.
  const pipe = openSync(path, 'r+');
  process.once('exit', () => closeSync(pipe));
  renameSync(`${path}.aside`, path);
  await isIn(one, 'ok');
  t.ok(one.stats().pageCount > countOfOne / 3, 'its pages are used again');
  await both.close();
});

void t.test('pages are verified in whichever directory they are', async (t) => {
  const root = t.testdir({ one: {}, two: {} });
  const stores = await Promise.all(['one', 'two'].map((name) => openTestStore(join(root, name))));
  const spread = new SpreadPageStore(stores);
  for (const page of pages) await putPatiently(spread, page);
  // One lies where it would not be put, one is nowhere, one is in both.
  const [moved, gone, twice] = [mixedPage(0), mixedPage(1), mixedPage(2)];
  const holder = stores.find((store) => store.has(moved.id));
  for (const store of stores) {
    store.remove(gone.id, 'freed');
    if (store !== holder) await putPatiently(store, moved);
    if (!store.has(twice.id)) await putPatiently(store, twice);
  }
  holder?.remove(moved.id, 'freed');
  const ids = pages.map(({ id }) => id);
  t.same(
    await spread.verify(ids),
    pages.map((_, number) => number !== 1),
  );
  t.same(await spread.verify([gone.id]), [false]);
  t.same(await spread.verify([moved.id, twice.id]), [true, true]);
  await spread.close();
});

void t.test('who waits for a disk that is given up is told at once', async (t) => {
  const clock = new ManualClock();
  const queue = new DiskQueue({
    clock,
    name: 'reads',
    timeoutMs: 500,
    concurrencyMax: 1,
    queueMax: 10,
    onTimeout: () => queue.giveUpAll(),
  });
  const hung = t.rejects(
    queue.run(() => new Promise(() => undefined)),
    { cause: { message: /within 500 ms/ } },
  );
  await clock.pass(400);
  const behind = t.rejects(
    queue.run(async () => 1),
    { message: /given up/, cause: undefined },
  );
  await clock.pass(101);
  await Promise.all([hung, behind]);
  queue.close();
});

void t.test('a relapse makes the pauses longer, and a long time of health short again', async (t) => {
  const clock = new ManualClock();
  const probesMs: number[] = [];
  let isWell = true;
  const health = new DirHealth({
    dir: '/disk',
    pauseMs: 1000,
    probe: async () => {
      probesMs.push(clock.monotonic());
      if (!isWell) throw new Error('EIO');
    },
    onOut: () => undefined,
    clock,
    logger: listLogger([]),
  });
  /** From the failure on. */
  const pausesOf = async (fail: () => void): Promise<readonly number[]> => {
    let beforeMs = clock.monotonic();
    probesMs.length = 0;
    fail();
    while (health.state !== 'ok') await clock.pass(500);
    return probesMs.map((atMs) => {
      const pauseMs = atMs - beforeMs;
      beforeMs = atMs;
      return pauseMs;
    });
  };
  t.same(await pausesOf(() => health.timedOut('read', 1)), [1000, 1000], 'out: two good probes');
  t.same(await pausesOf(() => health.timedOut('read', 1)), [2000, 2000], 'again at once');
  t.same(
    await pausesOf(() => health.writeFailed(Object.assign(new Error('full'), { code: 'ENOSPC' }))),
    [1000],
  );
  clock.advance(600_000);
  t.same(await pausesOf(() => health.writeFailed(new Error('EIO'))), [1000], 'after a while of health');
  isWell = false;
  const failing = pausesOf(() => health.writeFailed(new Error('EIO')));
  while (probesMs.length < 12) await clock.pass(500);
  t.equal(health.state, 'out', 'a probe that fails ends the reading');
  isWell = true;
  const pauses = await failing;
  t.same(pauses.slice(0, 4), [2000, 4000, 8000, 16_000]);
  t.equal(Math.max(...pauses), 300_000, 'the longest pause');
  health.close();
});

void t.test('several failed reads in a minute make a disk suspect, more put it out', async (t) => {
  const clock = new ManualClock();
  const options = { dir: '/disk', pauseMs: 1e9, onOut: () => undefined, clock, logger: listLogger([]) };
  const health = new DirHealth({ ...options, probe: async () => undefined });
  const states: string[] = [];
  for (let count = 0; count < 4; count++) {
    health.readFailed(new Error('EIO'));
    clock.advance(40_000);
  }
  t.equal(health.state, 'ok', 'now and then is nothing');
  clock.advance(60_000);
  for (let count = 0; count < 10; count++) {
    health.readFailed(new Error('EIO'));
    states.push(health.state);
  }
  t.same(states.indexOf('suspect'), 2);
  t.same(states.indexOf('out'), 9);
  health.close();
});

void t.test('a store that is closed while it is probed leaves nothing behind', async (t) => {
  const dir = t.testdir();
  const store = await openTestStore(dir, { ...fast, clock: systemClock });
  await putPage(store, mixedPage(0));
  renameSync(join(dir, 'segments'), join(dir, 'gone'));
  for (const page of pages) await putPage(store, page).catch(() => undefined);
  await store.close();
  t.not(store.health().state, 'ok');
});
