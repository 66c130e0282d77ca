/**
 * Partitions of a cluster, where packets are lost and nobody is told: a program for `runInOwnNetwork`, `partitions.ts --dir DIRECTORY [--rounds 5] [--timed]`.
 * Prints a line for each promise that held, its figures behind a tab, and ends with 1 at the first one that did not.
 */

import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { until } from '../support/cluster.ts';
import { endWithStarter } from '../support/test-network.ts';
import { ReadLoad } from './cluster-load.ts';
import { HostCluster, workerNames } from './host-cluster.ts';

/** A peer that is lost is found out by a connection (0.5 s) or by silence (0.5 s) and a question (1 s); then comes the read itself. */
const stallMaxMs = 3000;
/** Where the machine is busy with other tests; a loss that nobody notices takes a minute or two. */
const stallOnBusyMachineMaxMs = 20_000;
/** A change that etcd does not answer is refused after 2 s; the rest is the start of the command. */
const refusalMaxMs = 4000;

interface Scene {
  readonly cluster: HostCluster;
  readonly isTimed: boolean;
}

const lost = 2;
const [first, second, third] = workerNames;

const promises: Readonly<Record<string, (scene: Scene) => Promise<string>>> = {
  'a worker that etcd lost goes on answering, and is back by itself': lostByEtcd,
  'a coordinator that etcd lost refuses changes, and takes them again by itself': coordinatorLostByEtcd,
  'a worker that its peers lost fails no read': (scene) =>
    lostByPeers(scene, async ({ network }) => {
      await Promise.all([network.cut(third, first), network.cut(third, second)]);
    }),
  'a worker whose answers alone are lost fails no read': (scene) =>
    lostByPeers(scene, async ({ network }) => {
      await Promise.all([network.drop(third, first), network.drop(third, second)]);
    }),
  'a worker that hears nothing of its peers fails no read': (scene) =>
    lostByPeers(scene, async ({ network }) => {
      await Promise.all([network.drop(first, third), network.drop(second, third)]);
    }),
  'a worker that all lost answers alone, and is back by itself': lostByAll,
  'an answer whose owner is lost on the way is completed': lostInMidAnswer,
  'a worker that lost the storage serves what it has, and the rest again by itself': lostStorage,
};

/** Runs `during` between the partition and its end, with a load on these workers, none of whose reads may fail. */
async function underLoad(
  { cluster, isTimed }: Scene,
  partition: () => Promise<void>,
  during: (load: ReadLoad) => Promise<void>,
): Promise<string> {
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  await load.more(cluster.indexes.length);
  await partition();
  await during(load);
  const begunMs = systemClock.monotonic();
  await cluster.network.heal();
  await cluster.whole();
  const healedMs = Math.round(systemClock.monotonic() - begunMs);
  await untilOwnersAnswer(cluster);
  const ownersMs = Math.round(systemClock.monotonic() - begunMs);
  await load.stop();
  assert.equal(
    load.failureCount,
    0,
    `${load.failureCount} of ${load.readCount}: ${load.failures.join('; ')}`,
  );
  const maxMs = isTimed ? stallMaxMs : stallOnBusyMachineMaxMs;
  assert.ok(load.slowestMs <= maxMs, `the slowest read took ${load.slowestMs} ms`);
  return `${load.readCount} reads, 0 failed or wrong, slowest ${load.slowestMs} ms; healed: one ring after ${healedMs} ms, all owners answer after ${ownersMs} ms`;
}

/** Resolves when no read goes past its owner any more. */
async function untilOwnersAnswer(cluster: HostCluster): Promise<void> {
  await until(async () => {
    const isAnswered = async (worker: number): Promise<boolean> => {
      for (const index of cluster.indexes)
        if ((await cluster.read(worker, index)).cache?.startsWith('bypass') ?? true) return false;
      return true;
    };
    const answered = await Promise.all([...workerNames.keys()].map(isAnswered));
    return answered.every(Boolean);
  });
}

async function lostByEtcd(scene: Scene): Promise<string> {
  const { cluster } = scene;
  const files = await cluster.filesOf(lost, 0);
  return underLoad(
    scene,
    () => cluster.network.cut(third, 'etcd'),
    async (load) => {
      await until(async () => (await cluster.filesOf(lost, 0)).length === 0);
      assert.deepEqual(await cluster.filesOf(lost, lost), files, 'the one that was cut off keeps its ring');
      for (const index of files.slice(0, 10)) await cluster.overwrite(index);
      await load.more(2 * cluster.indexes.length);
    },
  );
}

async function coordinatorLostByEtcd(scene: Scene): Promise<string> {
  const { cluster, isTimed } = scene;
  let refusedMs = 0;
  const said = await underLoad(
    scene,
    () => cluster.network.cut('coordinator', 'etcd'),
    async () => {
      const begunMs = systemClock.monotonic();
      const refused = await cluster.addMount('/refused');
      refusedMs = Math.round(systemClock.monotonic() - begunMs);
      assert.match(refused.stderr, /^alluxio: [^\n]*etcd[^\n]*\n$/);
      if (isTimed) assert.ok(refusedMs <= refusalMaxMs, `refused after ${refusedMs} ms`);
    },
  );
  await until(async () => (await cluster.command('mount', 'list')).stdout.includes('/data'));
  return `a mount is refused after ${refusedMs} ms, with the start of the command; ${said}`;
}

async function lostByPeers(
  scene: Scene,
  partition: (cluster: HostCluster) => Promise<void>,
): Promise<string> {
  const { cluster } = scene;
  return underLoad(
    scene,
    () => partition(cluster),
    async (load) => {
      // Longer than a peer is left alone, so that it is tried and lost anew.
      const before = cluster.logged(0, 'peer-skipped');
      await until(() => cluster.logged(0, 'peer-skipped') >= before + 2);
      await load.more(cluster.indexes.length);
      const [file = Number.NaN] = await cluster.filesOf(lost, 0);
      assert.equal((await cluster.read(0, file)).cache, 'bypass-owner-down', 'a live owner was lost');
    },
  );
}

async function lostByAll(scene: Scene): Promise<string> {
  const { cluster } = scene;
  const { network } = cluster;
  return underLoad(
    scene,
    async () => {
      for (const each of [first, second, 'coordinator', 'etcd']) await network.cut(third, each);
    },
    async (load) => {
      await until(async () => (await cluster.filesOf(lost, 0)).length === 0);
      await load.more(2 * cluster.indexes.length);
    },
  );
}

async function lostInMidAnswer({ cluster, isTimed }: Scene): Promise<string> {
  const owner = await cluster.ownerOfHuge();
  const through = (owner + 1) % workerNames.length;
  const names = [workerNames[owner], workerNames[through]] as const;
  if (!names[0] || !names[1]) throw new Error('no such worker');
  const [ownerName, throughName] = [names[0], names[1]];
  const read = await cluster.readHuge(through, () => cluster.network.cut(ownerName, throughName));
  assert.equal(read.failure, undefined);
  await cluster.network.heal();
  await untilOwnersAnswer(cluster);
  const tookMs = Math.round(read.tookMs);
  const maxMs = isTimed ? 2 * stallMaxMs : stallOnBusyMachineMaxMs;
  assert.ok(tookMs <= maxMs, `it took ${tookMs} ms`);
  return `48 MiB in ${tookMs} ms`;
}

/** What it has cached is served by it, also through others; what it has not is read past it by who reaches the storage, and by itself is an error that says why. */
async function lostStorage({ cluster }: Scene): Promise<string> {
  const files = await cluster.filesOf(lost, 0);
  const unread = await cluster.newFileOf(lost, 0);
  for (const index of files) assert.equal((await cluster.read(0, index)).failure, undefined);
  await cluster.network.cut(third, 'storage');
  const past = cluster.readNew(0, unread);
  const missing = cluster.readNew(lost, unread);
  // Before the checks of what is read, which go on beside readers: after five in vain the storage is left alone.
  const { failure } = await missing;
  assert.match(failure ?? '', /: 504 .*<Code>RequestTimeout</s);
  const kept = new ReadLoad(cluster, { through: [0, lost], indexes: files });
  // Longer than records are fresh, so that the storage is asked again, in vain.
  await until(async () => (await cluster.read(lost, files[0] ?? 0)).cache === 'hit-stale');
  await kept.more(2 * files.length);
  await kept.stop();
  assert.equal(kept.failureCount, 0, kept.failures.join('; '));
  const { cache, failure: pastFailure, tookMs } = await past;
  assert.deepEqual([pastFailure, cache], [undefined, 'bypass-owner-down']);
  await cluster.network.heal();
  const begunMs = systemClock.monotonic();
  await until(async () => (await cluster.readNew(lost, unread)).failure === undefined);
  const healedMs = Math.round(systemClock.monotonic() - begunMs);
  await untilOwnersAnswer(cluster);
  return `what it has: ${kept.readCount} reads, 0 failed, slowest ${kept.slowestMs} ms; what it has not: by the other after ${Math.round(tookMs)} ms; healed after ${healedMs} ms`;
}

const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    timed: { type: 'boolean', default: false },
  },
});
if (values.dir === undefined) throw new Error('--dir names a directory for the cluster');
endWithStarter();
const cluster = await HostCluster.start(values.dir, 30);
try {
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [promise, keep] of Object.entries(promises)) {
      if (!promise.includes(values.only)) continue;
      console.log(`${promise}\t${await keep({ cluster, isTimed: values.timed })}`);
    }
  }
} finally {
  await cluster.stop();
}
process.exit(0);
