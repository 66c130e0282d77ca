/**
 * What breaks in a cluster, and what its readers see of it. Each scenario leaves the cluster whole, rejects when a read failed, had a wrong byte or took longer
 * than it may, and resolves with its figures in words.
 */

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { until } from '../support/cluster.ts';
import { SlowLink } from '../support/slow-link.ts';
import { metricOf } from '../support/standalone.ts';
import { isBig } from './cluster-files.ts';
import { type BreakableCluster, ReadLoad } from './cluster-load.ts';

/** No read through a worker that lives may wait for longer, whoever is killed. */
const stallMaxMs = 1000;
/** A frozen peer is found out by a question of its own: half a second of silence, then one second for the answer, and the read itself. */
const frozenStallMaxMs = 3000;
/** For any of them where the machine is busy with other tests; a loss that nobody notices takes a minute or two. */
const busyMachineStallMaxMs = 20_000;
const readsBetween = 60;
/** Below and above the silence after which an owner is asked whether it lives, which itself may take a second to say so. */
const latenciesMs = [100, 350];
const slowBytesPerSecond = 64 * 1024;
const slowFilesMax = 12;
/** For an overwrite, where records are fresh for 1 s and the machine is busy. */
const seenAnewMaxMs = 30_000;
/** An emptied cache is full again after the second. */
const roundsMax = 5;

function demandNoFailure(load: ReadLoad): void {
  assert.equal(
    load.failureCount,
    0,
    `${load.failureCount} of ${load.readCount}: ${load.failures.join('; ')}`,
  );
}

function demandShortStall({ isTimed }: BreakableCluster, tookMs: number, timedMaxMs: number): void {
  const maxMs = isTimed ? timedMaxMs : busyMachineStallMaxMs;
  assert.ok(tookMs <= maxMs, `the slowest read took ${tookMs} ms, ${maxMs} are allowed`);
}

function demandShortStalls(cluster: BreakableCluster, load: ReadLoad, maxMs: number): void {
  demandShortStall(cluster, load.slowestMs, maxMs);
}

/** kill -9 of one worker after the other while another one is read through. */
export async function killWorkers(cluster: BreakableCluster, count: number): Promise<string> {
  const load = new ReadLoad(cluster, { through: [0], laneCount: 2 });
  await load.more(cluster.fileCount);
  for (let round = 0; round < count; round++) {
    const victim = 1 + (round % 2);
    await cluster.worker(victim).stop('SIGKILL');
    await load.more(readsBetween);
    await cluster.restartWorker(victim);
    await load.more(readsBetween);
  }
  await load.stop();
  demandNoFailure(load);
  demandShortStalls(cluster, load, stallMaxMs);
  await cluster.whole();
  return `${count} kills, ${load.readCount} reads, 0 failed or wrong, slowest ${load.slowestMs} ms`;
}

/** kill -9 of the owner while its answer is on the way through another worker. */
export async function killInMidAnswer(cluster: BreakableCluster, count: number): Promise<string> {
  let slowestMs = 0;
  for (let round = 0; round < count; round++) {
    const owner = await cluster.ownerOfHuge();
    const through = (owner + 1) % cluster.workerCount;
    const read = await cluster.readHuge(through, () => cluster.worker(owner).stop('SIGKILL'));
    assert.equal(read.failure, undefined);
    slowestMs = Math.max(slowestMs, Math.round(read.tookMs));
    await cluster.restartWorker(owner);
    await cluster.whole();
  }
  return `${count} answers whose owner was killed, all completed with the right bytes, slowest ${slowestMs} ms`;
}

export async function killCoordinator(cluster: BreakableCluster): Promise<string> {
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  const before = await cluster.command('mount', 'list');
  await cluster.killCoordinator();
  await load.more(readsBetween);
  await cluster.startCoordinator();
  assert.equal((await cluster.command('mount', 'list')).stdout, before.stdout, 'the mounts of before');
  await load.stop();
  demandNoFailure(load);
  return `${load.readCount} reads, 0 failed, slowest ${load.slowestMs} ms; all mounts are back`;
}

/** etcd loses everything: who reads does not notice, and the cluster finds together again by itself, with its mounts and rules. */
export async function emptyEtcd(cluster: BreakableCluster): Promise<string> {
  const rule = await cluster.command('rule', 'add', '--pattern', 'file:///none/.*', '--data', 'skipCache');
  assert.equal(rule.stderr, '');
  const before = {
    mounts: (await cluster.command('mount', 'list')).stdout,
    rules: (await cluster.command('rule', 'list')).stdout,
  };
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  await cluster.etcd.kill();
  await load.more(readsBetween);
  const begunMs = systemClock.monotonic();
  await cluster.etcd.restart({ empty: true });
  await until(
    async () =>
      (await cluster.command('info', 'nodes')).stdout.match(/ONLINE/g)?.length === cluster.workerCount,
  );
  const registeredMs = systemClock.monotonic() - begunMs;
  await until(async () => (await cluster.command('mount', 'list')).stdout === before.mounts);
  const restoredMs = systemClock.monotonic() - begunMs;
  assert.equal((await cluster.command('rule', 'list')).stdout, before.rules);
  const added = await cluster.addMount('/after-loss');
  assert.equal(added.stderr, '');
  await cluster.served('/after-loss');
  await load.more(readsBetween);
  await load.stop();
  demandNoFailure(load);
  return `${load.readCount} reads, 0 failed, slowest ${load.slowestMs} ms; registered again after ${Math.round(registeredMs)} ms; mounts and rules of before are back after ${Math.round(restoredMs)} ms`;
}

/** A worker that was cut off while etcd threw its history away lists anew. */
export async function compactEtcd(cluster: BreakableCluster): Promise<string> {
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  await Promise.all(cluster.proxies.map((proxy) => proxy.stop()));
  const added = await cluster.addMount('/compacted');
  assert.equal(added.stderr, '');
  const statuses = JSON.parse(await cluster.etcd.control('endpoint', 'status', '-w', 'json')) as readonly {
    readonly Status: { readonly header: { readonly revision: number } };
  }[];
  await cluster.etcd.control('compact', String(statuses[0]?.Status.header.revision));
  await Promise.all(cluster.proxies.map((proxy) => proxy.start()));
  await cluster.served('/compacted');
  await load.stop();
  demandNoFailure(load);
  await cluster.whole();
  return `${load.readCount} reads, 0 failed, slowest ${load.slowestMs} ms; the worker that was away has the mount`;
}

export async function killEtcdLeader(cluster: BreakableCluster): Promise<string> {
  const load = new ReadLoad(cluster, { through: [0, 1, 2] });
  await cluster.etcd.kill(await cluster.etcd.leader());
  const begunMs = systemClock.monotonic();
  let refusedCount = 0;
  for (let said = ''; !said.includes('/leaderless'); ) {
    const { stderr } = await cluster.addMount('/leaderless');
    if (stderr !== '') assert.match(stderr, /etcd/, 'only a state store that does not answer is a reason');
    if (stderr !== '') refusedCount++;
    said = (await cluster.command('mount', 'list')).stdout;
  }
  await cluster.served('/leaderless');
  const servedMs = systemClock.monotonic() - begunMs;
  await cluster.etcd.restart();
  await load.stop();
  demandNoFailure(load);
  return `${load.readCount} reads, 0 failed, slowest ${load.slowestMs} ms; the mount was refused ${refusedCount} times and served everywhere after ${Math.round(servedMs)} ms`;
}

/** A worker that is cut off from etcd keeps the ring of before; the others have one without it. Files change meanwhile. */
export async function splitRings(cluster: BreakableCluster, overwriteCount: number): Promise<string> {
  const cutOff = 2;
  const files = await cluster.filesOf(cutOff, 0);
  await Promise.all(cluster.proxies.map((proxy) => proxy.stop()));
  const load = new ReadLoad(cluster, { through: [0, cutOff, 1] });
  await until(async () => (await cluster.filesOf(cutOff, 0)).length === 0);
  assert.deepEqual(await cluster.filesOf(cutOff, cutOff), files, 'the one that was cut off keeps its ring');
  for (let count = 0; count < overwriteCount; count++) {
    await cluster.overwrite(files[count % files.length] ?? 0);
    await load.more(4);
  }
  await load.more(cluster.fileCount);
  const overwritten = new Set(files.slice(0, overwriteCount));
  const endMs = systemClock.monotonic() + seenAnewMaxMs;
  for (const index of overwritten) {
    for (const worker of [0, 1, cutOff]) {
      await until(async () => {
        assert.ok(systemClock.monotonic() < endMs, `worker ${worker} still has f-${index} as it was`);
        return cluster.isNewest(worker, index);
      });
    }
  }
  await Promise.all(cluster.proxies.map((proxy) => proxy.start()));
  await cluster.whole();
  await load.stop();
  demandNoFailure(load);
  return `${files.length} of ${cluster.fileCount} files with two owners, ${overwriteCount} overwrites, ${load.readCount} reads, ${cluster.files.endedByOverwriteCount} reset by the overwrite of their file and asked again, 0 failed or wrong, slowest ${load.slowestMs} ms`;
}

/** An owner that stands still with its connections open, until the others hold it for gone and after. */
export async function freezeOwner(cluster: BreakableCluster): Promise<string> {
  const frozen = 1;
  const ofFrozen = await cluster.filesOf(frozen, 0);
  const ofOthers = cluster.indexes.filter((index) => !ofFrozen.includes(index));
  const theirs = new ReadLoad(cluster, { through: [0], indexes: ofFrozen });
  const others = new ReadLoad(cluster, { through: [0, 2], indexes: ofOthers, laneCount: 2 });
  try {
    await theirs.more(ofFrozen.length);
    cluster.worker(frozen).freeze();
    await until(async () => (await cluster.filesOf(frozen, 0)).length === 0);
    await theirs.more(ofFrozen.length);
    await others.more(readsBetween);
  } finally {
    cluster.worker(frozen).thaw();
    await Promise.all([theirs.stop(), others.stop()]);
  }
  await cluster.whole();
  const said = `its files: ${theirs.readCount} reads, ${theirs.failureCount} failed, slowest ${theirs.slowestMs} ms; others: ${others.readCount} reads, slowest ${others.slowestMs} ms`;
  demandNoFailure(theirs);
  demandNoFailure(others);
  demandShortStalls(cluster, theirs, frozenStallMaxMs);
  demandShortStalls(cluster, others, stallMaxMs);
  return said;
}

/** An owner behind a slow line is waited for; one whose line lets nothing through is left like a frozen one. */
export async function slowOwner(cluster: BreakableCluster): Promise<string> {
  const slow = 1;
  // The others reach it under another address of this machine, where the line is.
  const farHost = '127.0.0.2';
  const { hostname: host, port } = new URL(await cluster.worker(slow).url('REST'));
  const link = new SlowLink({ host, port: Number(port) });
  const figures: string[] = [];
  try {
    await link.listen(farHost, Number(port));
    await cluster.worker(slow).stop('SIGTERM');
    await cluster.restartWorker(slow, [`-Dalluxio.worker.hostname=${farHost}`]);
    await cluster.whole();
    // A large one would take a minute on the slowest line.
    const ofSlow = (await cluster.filesOf(slow, 0)).filter((index) => !isBig(index));
    const files = ofSlow.slice(0, slowFilesMax);
    await readAll(cluster, files, new Set(['hit-peer', 'miss']));
    for (const latencyMs of latenciesMs) {
      link.latencyMs = latencyMs;
      const slowestMs = await readAll(cluster, files, new Set(['hit-peer', 'miss']));
      figures.push(`${latencyMs} ms each way: by the owner, slowest ${slowestMs} ms`);
    }
    link.latencyMs = 0;
    link.bytesPerSecond = slowBytesPerSecond;
    const narrowMs = await readAll(cluster, files, new Set(['hit-peer', 'miss']));
    figures.push(`64 KiB/s: by the owner, slowest ${narrowMs} ms`);
    link.bytesPerSecond = Number.POSITIVE_INFINITY;
    link.stall();
    const stalledMs = await readAll(cluster, files, new Set(['bypass-owner-down']));
    demandShortStall(cluster, stalledMs, frozenStallMaxMs);
    figures.push(`nothing through: past it, slowest ${stalledMs} ms`);
    link.flow();
    await until(async () => (await cluster.read(0, files[0] ?? 0)).cache !== 'bypass-owner-down');
  } finally {
    link.flow();
    await cluster.worker(slow).stop('SIGTERM');
    await link.stop();
    await cluster.restartWorker(slow);
  }
  await cluster.whole();
  return figures.join('; ');
}

/** One after the other through a worker that does not own them; resolves with the time of the slowest. */
async function readAll(
  cluster: BreakableCluster,
  files: readonly number[],
  outcomes: ReadonlySet<string>,
): Promise<number> {
  let slowestMs = 0;
  for (const index of files) {
    const { failure, cache, tookMs } = await cluster.read(0, index);
    assert.equal(failure, undefined);
    assert.ok(outcomes.has(cache ?? ''), `f-${index} was a ${cache} after ${Math.round(tookMs)} ms`);
    slowestMs = Math.max(slowestMs, Math.round(tookMs));
  }
  return slowestMs;
}

/** A worker that lost its disk fills again by being read. */
export async function emptyCache(cluster: BreakableCluster): Promise<string> {
  const emptied = 2;
  const files = await cluster.filesOf(emptied, 0);
  await cluster.worker(emptied).stop('SIGKILL');
  await rm(join(cluster.workDirOf(emptied), 'pages'), { recursive: true });
  await cluster.restartWorker(emptied);
  await cluster.whole();
  const web = await cluster.worker(emptied).url('web');
  const ratios: number[] = [];
  while (ratios.at(-1) !== 1) {
    assert.ok(ratios.length < roundsMax, `it does not fill again: ${ratios.join(', ')}`);
    const before = await pagesOf(web);
    for (const index of files) assert.equal((await cluster.read(0, index)).failure, undefined);
    const after = await pagesOf(web);
    const readCount = after.all - before.all;
    if (readCount > 0) ratios.push((after.hits - before.hits) / readCount);
  }
  assert.equal(ratios[0], 0, `it was empty: ${ratios.join(', ')}`);
  return `hit ratio of the rounds over its ${files.length} files: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}`;
}

async function pagesOf(web: string): Promise<{ readonly all: number; readonly hits: number }> {
  const name = 'alluxio_read_pages_total';
  return { all: await metricOf(web, name), hits: await metricOf(web, name, 'outcome="hit"') };
}
