/** A whole read cache over a disk that is full, cannot be read, or hangs: a reader gets the right bytes, and the disk is used again when it is back. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync, truncateSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { DirState } from '../src/page-store/dir-health.ts';
import { DiskPageStore } from '../src/page-store/disk-page-store.ts';
import { lruPolicy } from '../src/page-store/lru-policy.ts';
import { segmentPaths } from './page-store-fixture.ts';
import { CacheRig, contentOf, pageSizeBytes } from './support/cache-rig.ts';

const probePauseMs = 1000;
const readTimeoutMs = 500;
const fileCount = 6;
/** Two pages each, the second one short. */
const fileBytes = pageSizeBytes + 70_000;

interface DiskRig {
  readonly rig: CacheRig;
  readonly store: DiskPageStore;
  readonly clock: ManualClock;
  /** Reads every file whole, fails the test for a wrong byte or an error; gives what the reads were. */
  readAll(): Promise<readonly string[]>;
}

async function withDiskRig(
  t: Test,
  parts: { readonly dir: string; readonly memory: MemoryUfs; readonly clock: ManualClock },
  use: (disk: DiskRig) => Promise<void>,
): Promise<void> {
  const { clock, dir, memory } = parts;
  const store = await DiskPageStore.open({
    dir,
    sizeBytes: 32 * pageSizeBytes,
    segmentSizeBytes: 4 * pageSizeBytes,
    pageSizeBytes,
    clock,
    random: systemRandom,
    logger: silentLogger,
    policy: lruPolicy,
    probePauseMs,
    readTimeoutMs,
  });
  const rig = new CacheRig({ clock, memory, store });
  const readAll = async (): Promise<readonly string[]> => {
    const outcomes = [];
    for (let number = 0; number < fileCount; number++) {
      const { bytes, outcome } = await rig.read(`f${number}`);
      if (!Buffer.from(contentOf(number, fileBytes)).equals(bytes)) t.fail(`wrong bytes of f${number}`);
      outcomes.push(outcome);
      await rig.filler.idle();
    }
    return outcomes;
  };
  try {
    await use({ rig, store, clock, readAll });
    const { freeSlots, slotCount, openBodies } = await rig.settle();
    t.equal(freeSlots, slotCount, 'every slot is back');
    t.equal(openBodies, 0, 'no body of the storage is left open');
  } finally {
    await rig.close();
  }
}

async function makeFiles(clock: ManualClock): Promise<MemoryUfs> {
  const memory = new MemoryUfs({ clock });
  for (let number = 0; number < fileCount; number++) {
    await memory.write(`f${number}`, contentOf(number, fileBytes));
  }
  return memory;
}

const everyFile = (outcome: string): readonly string[] => Array.from({ length: fileCount }, () => outcome);

// Ends the process unless somebody listens; then the write fails alone.
process.on('SIGXFSZ', () => undefined);

/** The process may make no file longer than this: a disk that is full for root and for everybody else. */
function limitFileSizes(bytes: number | 'unlimited'): void {
  execFileSync('prlimit', [`--pid=${process.pid}`, `--fsize=${bytes}:`]);
}

/** Lets the time of probes pass until they have found this: five times as fast as the disk's, so that a probe is answered before its deadline. */
async function untilState(store: DiskPageStore, clock: ManualClock, state: DirState): Promise<void> {
  const begunMs = performance.now();
  while (store.health().state !== state) {
    if (performance.now() - begunMs > 20_000) throw new Error(`still ${JSON.stringify(store.health())}`);
    clock.advance(100);
    await setTimeout(20);
  }
}

void t.test('with a full disk reads go past the cache, and into it again when there is room', async (t) => {
  const clock = new ManualClock();
  const memory = await makeFiles(clock);
  await withDiskRig(t, { dir: t.testdir(), memory, clock }, async ({ readAll, store }) => {
    limitFileSizes(pageSizeBytes);
    try {
      const outcomes = await readAll();
      t.equal(outcomes[0], 'miss', 'the first one finds out');
      t.same(outcomes.slice(1), everyFile('bypass-disk').slice(1));
      t.same(await readAll(), everyFile('bypass-disk'), 'and nothing is tried for a while');
      const { failedWriteCount, reason, state } = store.health();
      t.same({ state, reason }, { state: 'suspect', reason: 'a write failed with EFBIG' });
      await untilState(store, clock, 'ok');
      await readAll();
      t.ok(store.health().failedWriteCount > failedWriteCount, 'then it is tried again');
    } finally {
      limitFileSizes('unlimited');
    }
    await untilState(store, clock, 'ok');
    await readAll();
    t.same(await readAll(), everyFile('hit'));
  });
});

/** Ways in which a segment that was sound cannot be read any more, by what the system then says. */
const breakages: Readonly<Record<string, (path: string) => void>> = {
  ENOENT: (path) => rmSync(path),
  EISDIR: (path) => {
    rmSync(path);
    mkdirSync(path);
  },
  // No process has memory at the addresses that a segment's offsets are.
  EIO: (path) => {
    rmSync(path);
    symlinkSync('/proc/self/mem', path);
  },
  'nothing but zero bytes read': (path) => truncateSync(path, 0),
};

for (const [errno, breakSegment] of Object.entries(breakages)) {
  void t.test(`what a disk does not give (${errno}) is fetched again and kept`, async (t) => {
    const clock = new ManualClock();
    const memory = await makeFiles(clock);
    const dir = t.testdir();
    await withDiskRig(t, { dir, memory, clock }, async ({ readAll }) => {
      await readAll();
    });
    await withDiskRig(t, { dir, memory, clock }, async ({ readAll, rig, store }) => {
      t.equal(store.stats().pageCount, 2 * fileCount, 'the store knows every page');
      for (const path of segmentPaths(dir)) breakSegment(path);
      await readAll();
      const { failedReadCount, state } = store.health();
      t.equal(state, failedReadCount >= 3 ? 'suspect' : 'ok', 'three refused reads make a disk suspect');
      // What is left of the bad pages may make it suspect once more.
      for (let round = 0; round < 5 && store.stats().pageCount < 2 * fileCount; round++) {
        await untilState(store, clock, 'ok');
        await readAll();
      }
      const fetched = rig.ufs.byteCount();
      t.same(await readAll(), everyFile('hit'));
      t.equal(rig.ufs.byteCount(), fetched);
    });
  });
}

void t.test('a read that a disk keeps waiting goes to the storage, as do those after it', async (t) => {
  const clock = new ManualClock();
  const memory = await makeFiles(clock);
  const dir = t.testdir();
  await withDiskRig(t, { dir, memory, clock }, async ({ readAll }) => {
    await readAll();
  });
  const [path = ''] = segmentPaths(dir);
  await withDiskRig(t, { dir, memory, clock }, async ({ readAll, rig, store }) => {
    // Opening a pipe that nobody writes to hangs, as a dead disk does.
    renameSync(path, `${path}.aside`);
    execFileSync('mkfifo', [path]);
    const settled = new AbortController();
    const reading = rig.read('f0').finally(() => settled.abort());
    while (!settled.signal.aborted) {
      clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const { bytes } = await reading;
    t.ok(Buffer.from(contentOf(0, fileBytes)).equals(bytes), 'the bytes of the read that hung');
    t.match(store.health(), {
      state: 'out',
      reason: `no answer to a read within ${readTimeoutMs} ms`,
      failedReadCount: 1,
    });
    t.same(await readAll(), everyFile('bypass-disk'));
    // The disk answers again: the opening that hung gets a pipe, all later ones the segment. The pipe is held to the end.
    const pipe = openSync(path, 'r+');
    process.once('exit', () => closeSync(pipe));
    renameSync(`${path}.aside`, path);
    const fetchedBytes = rig.ufs.byteCount();
    await untilState(store, clock, 'suspect');
    await readAll();
    const again = rig.ufs.byteCount() - fetchedBytes;
    t.ok(again < fileCount * fileBytes, `the other segments are used again, ${again} bytes fetched`);
    await untilState(store, clock, 'ok');
    await readAll();
    t.same(await readAll(), everyFile('hit'));
    t.equal(store.stats().corruptCount, 0);
  });
});
