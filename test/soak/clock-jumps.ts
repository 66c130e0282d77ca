/**
 * Wall clocks that jump while a cluster runs: a program for `runInOwnNetwork`, `clock-jumps.ts --dir DIRECTORY [--jumps +1h,-1h,+1d,-1d]`. Prints a line for
 * each promise that held, its figures behind a tab, and ends with 1 at the first one that did not.
 */

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { until } from '../support/cluster.ts';
import { FakeWallClock } from '../support/fake-wall-clock.ts';
import { endWithStarter } from '../support/test-network.ts';
import { ReadLoad } from './cluster-load.ts';
import { HostCluster, workerNames } from './host-cluster.ts';

/** The age of records is 1 s; the rest is what a busy machine may take. */
const seenAnewMaxMs = 10_000;
const heardMaxMs = 30_000;
/** After so many in a row etcd is left alone for a while. */
const failuresBefore = 4;
/** The worker whose clock jumps, and one whose clock is right. */
const jumping = 2;
const right = 0;

interface Scene {
  readonly cluster: HostCluster;
  readonly workerClock: FakeWallClock;
  readonly coordinatorClock: FakeWallClock;
}

/** Nobody's reads fail or go past the cache, no file is stale for longer, and no lease is lost. */
async function jumpOfWorker({ cluster, workerClock }: Scene, jump: string): Promise<string> {
  const files = await cluster.filesOf(jumping, right);
  const leasesLost = cluster.logged(jumping, 'worker-registration-lost');
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  await load.more(cluster.indexes.length);
  await workerClock.set(jump);
  await load.more(2 * cluster.indexes.length);
  const seenAnewMs = await overwrittenSeen(cluster, files[0] ?? 0);
  for (const [owner, through] of [
    [jumping, right],
    [right, jumping],
  ] as const) {
    const { failure, cache } = await cluster.readNew(through, await cluster.newFileOf(owner, right));
    assert.equal(failure, undefined);
    assert.equal(cache, 'miss', `through ${through} by its owner ${owner}`);
  }
  assert.equal(cluster.logged(jumping, 'worker-registration-lost'), leasesLost);
  assert.deepEqual(await cluster.filesOf(jumping, right), files, 'the ring is the same');
  await load.stop();
  assert.equal(load.failureCount, 0, load.failures.join('; '));
  return `${load.readCount} reads, 0 failed or wrong, slowest ${load.slowestMs} ms; an overwrite is seen after ${seenAnewMs} ms`;
}

/** What the worker remembers of before its start bears the times of another clock. */
async function restartAfterJump({ cluster, workerClock }: Scene, jump: string): Promise<string> {
  const [file = 0] = await cluster.filesOf(jumping, right);
  assert.equal((await cluster.read(jumping, file)).failure, undefined);
  await workerClock.set(jump);
  await cluster.restart(jumping);
  await cluster.whole();
  const seenAnewMs = await overwrittenSeen(cluster, file);
  const files = await cluster.filesOf(jumping, right);
  for (const index of files) assert.equal((await cluster.read(right, index)).failure, undefined);
  return `${files.length} files right; an overwrite is seen after ${seenAnewMs} ms`;
}

async function overwrittenSeen(cluster: HostCluster, file: number): Promise<number> {
  await cluster.overwrite(file);
  const begunMs = systemClock.monotonic();
  await within(seenAnewMaxMs, async () => {
    const seen = await Promise.all([...workerNames.keys()].map((worker) => cluster.isNewest(worker, file)));
    return seen.every(Boolean);
  });
  return Math.round(systemClock.monotonic() - begunMs);
}

async function jumpOfCoordinator({ cluster, coordinatorClock }: Scene): Promise<string> {
  await coordinatorClock.set('-1d');
  const added = await cluster.addMount('/after-jump');
  assert.equal(added.stderr, '');
  await cluster.served('/after-jump');
  const { stdout } = await cluster.command('info', 'nodes');
  assert.equal(stdout.match(/ONLINE/g)?.length, workerNames.length, stdout);
  const freed = await cluster.command('cache', 'free', '--path', '/data');
  assert.match(freed.stderr, /clock/, `freed: ${freed.stdout}${freed.stderr}`);
  await coordinatorClock.set('+0');
  assert.equal((await cluster.command('cache', 'free', '--path', '/data')).stderr, '');
  return 'a mount is added and served, 3 workers are online; cache free says that the clocks differ, and works when they agree again';
}

/** What waits for etcd by the wall clock would wait for a day. */
async function setBackWithoutEtcd({ cluster, workerClock }: Scene): Promise<string> {
  const before = cluster.logged(jumping, 'worker-not-registered');
  await cluster.etcd.kill();
  await until(() => cluster.logged(jumping, 'worker-not-registered') >= before + failuresBefore);
  await workerClock.set('-1d');
  await cluster.etcd.restart();
  const begunMs = systemClock.monotonic();
  const added = await cluster.addMount('/after-set-back');
  assert.equal(added.stderr, '');
  await within(
    heardMaxMs,
    async () => (await cluster.read(jumping, 0, '/after-set-back')).failure === undefined,
  );
  return `a mount is served ${Math.round(systemClock.monotonic() - begunMs)} ms after etcd is back`;
}

async function within(maxMs: number, holds: () => Promise<boolean>): Promise<void> {
  const endMs = systemClock.monotonic() + maxMs;
  await until(async () => {
    assert.ok(systemClock.monotonic() < endMs, `not within ${maxMs} ms`);
    return holds();
  });
}

const { values } = parseArgs({
  options: { dir: { type: 'string' }, jumps: { type: 'string', default: '+1h,-1h,+1d,-1d' } },
});
if (values.dir === undefined) throw new Error('--dir names a directory for the cluster');
endWithStarter();
await mkdir(join(values.dir, 'clocks'));
const workerClock = await FakeWallClock.create(join(values.dir, 'clocks', 'worker'));
const coordinatorClock = await FakeWallClock.create(join(values.dir, 'clocks', 'coordinator'));
const cluster = await HostCluster.start(
  values.dir,
  30,
  new Map([
    [workerNames[jumping], workerClock],
    ['coordinator', coordinatorClock],
  ]),
);
const scene: Scene = { cluster, workerClock, coordinatorClock };
try {
  for (const jump of values.jumps.split(',')) {
    console.log(`a worker whose clock jumps to ${jump}\t${await jumpOfWorker(scene, jump)}`);
    console.log(`and is right again\t${await jumpOfWorker(scene, '+0')}`);
    console.log(`a worker that starts again at ${jump}\t${await restartAfterJump(scene, jump)}`);
    console.log(`and at the right time\t${await restartAfterJump(scene, '+0')}`);
  }
  console.log(`a coordinator whose clock jumps\t${await jumpOfCoordinator(scene)}`);
  console.log(`a clock that is set back while etcd is away\t${await setBackWithoutEtcd(scene)}`);
} finally {
  await cluster.stop();
}
process.exit(0);
