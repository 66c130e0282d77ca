/** Three workers, a coordinator and etcd as processes of their own: any worker answers for any file, and what dies takes no read with it. */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { commonDefinitions, Member, type Role, runCommand, until } from '../support/cluster.ts';
import { type EtcdServer, startEtcdServer } from '../support/etcd-server.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: {}, shared: {} });
const dataDir = join(root, 'data');
const fileCount = 200;
const contentOf = (index: number): string => `file ${index}\n`.repeat(1 + (index % 50));
await mkdir(join(dataDir, 'set'));
for (let index = 0; index < fileCount; index++) {
  await writeFile(join(dataDir, 'set', `f-${index}`), contentOf(index));
}
const etcd: EtcdServer = await startEtcdServer();

const common = [...commonDefinitions(root, etcd.endpoints), '-Dalluxio.worker.metadata.default.max.age=1h'];

const members: Member[] = [];
t.teardown(async () => {
  await Promise.all(members.map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});

function start(role: Role, name: string, ports: readonly string[] = []): Member {
  const member = new Member({ role, workDir: join(root, name), common, ports });
  members.push(member);
  return member;
}

const cli = (args: readonly string[]) => runCommand(coordinator, common, args);

async function read(worker: Member, index: number) {
  const response = await fetch(`${await worker.url('S3')}/data/set/f-${index}`);
  const text = await response.text();
  const isRight = response.status === 200 && text === contentOf(index);
  return { isRight, status: response.status, cache: response.headers.get('x-alluxio-cache') };
}

async function ownerPort(worker: Member, index: number): Promise<string> {
  const response = await fetch(`${await worker.url('REST')}/v1/node?path=file://${dataDir}/set/f-${index}`);
  const node = (await response.json()) as { readonly HttpServerPort: number };
  return String(node.HttpServerPort);
}

const coordinator = start('coordinator', 'coordinator');
await coordinator.url('at');
const names = ['worker-a', 'worker-b', 'worker-c'];
const workers = names.map((name) => start('worker', name));
const [a, b, c] = workers;
if (!a || !b || !c) throw new Error('three workers');
await Promise.all(workers.map((worker) => worker.url('S3')));
await cli(['mount', 'add', '--path', '/data', '--ufs-uri', dataDir]);
await Promise.all(workers.map((worker) => until(async () => (await read(worker, 0)).status === 200)));

t.test('whichever worker is asked, the bytes are right and the owner has them', async (t) => {
  await until(async () => {
    const owners = await Promise.all(workers.map((worker) => ownerPort(worker, 1)));
    const all = await Promise.all(Array.from({ length: 30 }, (_, index) => ownerPort(a, index)));
    return new Set(owners).size === 1 && new Set(all).size === 3;
  });
  const wrong: string[] = [];
  for (const worker of workers) {
    for (let index = 0; index < fileCount; index++) {
      const { isRight, status } = await read(worker, index);
      if (!isRight) wrong.push(`${status} f-${index}`);
    }
  }
  t.strictSame(wrong, []);
  const again = await Promise.all(Array.from({ length: fileCount }, (_, index) => read(a, index)));
  const outcomes = new Set(again.map(({ cache }) => cache));
  t.strictSame(outcomes, new Set(['hit', 'hit-peer']));
  const { stdout } = await cli(['info', 'nodes']);
  t.equal(stdout.match(/ONLINE/g)?.length, 3, stdout);
  const freed = await cli(['cache', 'free', '--path', '/data/set']);
  t.match(freed.stdout, new RegExp(`${fileCount} files`), 'from all of them');
});

/** A file of each worker, in the order of the workers. */
async function filesOfEach(): Promise<readonly number[]> {
  const [first] = workers;
  if (!first) return [];
  const owners = await Promise.all(workers.map((worker) => worker.restPort()));
  const files = owners.map(() => -1);
  for (let index = 0; files.includes(-1); index++) {
    const owner = owners.indexOf(await ownerPort(first, index));
    if (files[owner] === -1) files[owner] = index;
  }
  return files;
}

t.test('a rule is in force on every worker within a second, and gone as soon', async (t) => {
  const ofEach = await filesOfEach();
  const outcomes = () =>
    Promise.all(workers.map(async (worker, at) => (await read(worker, ofEach[at] ?? 0)).cache));
  // What was fetched is a hit once it is written.
  await until(async () => (await outcomes()).every((each) => each === 'hit'));
  const pattern = `file://${dataDir}/set/.*`;
  const untilAll = async (cache: string): Promise<number> => {
    const begunMs = performance.now();
    await until(async () => (await outcomes()).every((each) => each === cache));
    return performance.now() - begunMs;
  };
  const added = await cli(['rule', 'add', '--pattern', pattern, '--data', 'skipCache']);
  t.equal(added.stdout, `Added rule ${pattern} data=skipCache\n`, added.stderr);
  const inForceMs = await untilAll('bypass-filter');
  t.ok(inForceMs < 1000, `in force on all after ${Math.round(inForceMs)} ms`);
  await cli(['rule', 'remove', '--pattern', pattern]);
  const goneMs = await untilAll('hit');
  t.ok(goneMs < 1000, `gone from all after ${Math.round(goneMs)} ms; what was kept is still there`);
});

t.test('a TTL rule empties every worker of what was loaded before', async (t) => {
  const ofEach = await filesOfEach();
  const added = await cli(['ttl', 'add', '--path', '/data/set', '--time', '1s']);
  t.match(added.stdout, /^Warning: You are setting TTL policy to 1s\. .*\nAdded alluxioPath=\/data\/set\/ /);
  await until(async () => {
    const checked = await cli(['fs', 'check-cached', '/data/set']);
    return /^Bytes cached: 0B$/m.test(checked.stdout);
  });
  t.match(await cli(['ttl', 'remove', '--path', '/data/set']), { stdout: /^Removed / });
  for (const [at, worker] of workers.entries()) t.equal((await read(worker, ofEach[at] ?? 0)).cache, 'miss');
});

t.test('what is cached is asked of the owners, whichever worker the command talks to', async (t) => {
  for (let index = 0; index < fileCount; index++) {
    await until(async () => (await read(a, index)).cache?.startsWith('hit') === true);
  }
  const checked = await cli(['fs', 'check-cached', '/data/set']);
  t.match(checked.stdout, new RegExp(`^Fully cached files count: ${fileCount}$`, 'm'), checked.stderr);
  for (const index of [0, 1, 2, 3, 4]) {
    t.match((await cli(['fs', 'stat', `/data/set/f-${index}`])).stdout, /^cached: 100%$/m);
  }
  await cli(['cache', 'free', '--path', '/data/set/f-7']);
  t.match((await cli(['fs', 'check-cached', '/data/set'])).stdout, /^ {2}0% \/data\/set\/f-7$/m);
});

t.test('how much a process logs is shown and changed while it runs', async (t) => {
  const { stdout: nodes } = await cli(['info', 'nodes']);
  const idOf = async (worker: Member): Promise<string> =>
    new RegExp(`^(worker-\\S+)\t\\S+:${await worker.restPort()}\t`, 'm').exec(nodes)?.[1] ?? '';
  const ids = await Promise.all(workers.map(idOf));
  const shown = (levels: readonly string[]): string =>
    ['coordinator info\n', ...ids.map((id, index) => `${id} ${levels[index]}\n`).toSorted()].join('');
  t.equal((await cli(['conf', 'log', '--name', 'root'])).stdout, shown(['info', 'info', 'info']));
  const [idOfA = ''] = ids;
  const changed = await cli(['conf', 'log', '--level', 'DEBUG', '--target', idOfA]);
  t.equal(changed.stdout, `${idOfA} debug\n`, changed.stderr);
  t.equal((await cli(['conf', 'log'])).stdout, shown(['debug', 'info', 'info']));
  await read(a, 0);
  await read(b, 0);
  await until(() => a.errors.includes('"level":"debug"'));
  t.notMatch(b.errors, '"level":"debug"');
  t.match(
    coordinator.errors,
    new RegExp(`"operation":"putLogLevel","about":{"level":"debug","worker":"${idOfA}"}`),
  );
  await cli(['conf', 'log', '--level', 'info', '--target', 'worker']);
  t.equal((await cli(['conf', 'log', '--target', 'coordinator'])).stdout, 'coordinator info\n');
  t.equal((await cli(['conf', 'log'])).stdout, shown(['info', 'info', 'info']));
  const wrong = await cli(['conf', 'log', '--level', 'loud']);
  t.match(wrong.stderr, /"loud" is no level; give one of debug, info/);
  t.match((await cli(['conf', 'log', '--target', 'nobody'])).stderr, /no worker is called "nobody"/);
});

t.test('a worker that is killed takes no read with it, and comes back as itself', async (t) => {
  const ports = await c.ports();
  const victims: number[] = [];
  const portOfC = await c.restPort();
  for (let index = 0; index < fileCount; index++)
    if ((await ownerPort(a, index)) === portOfC) victims.push(index);
  t.ok(victims.length > 10);
  await c.stop('SIGKILL');
  const failed: string[] = [];
  let slowestMs = 0;
  for (let round = 0; round < 3; round++) {
    for (const index of victims) {
      const begunMs = performance.now();
      const { isRight, status } = await read(a, index);
      slowestMs = Math.max(slowestMs, performance.now() - begunMs);
      if (!isRight) failed.push(`${status} f-${index}`);
    }
  }
  t.strictSame(failed, []);
  t.comment(`the slowest read took ${Math.round(slowestMs)} ms`);
  await until(async () => !(await cli(['info', 'nodes'])).stdout.match(/ONLINE.*ONLINE.*ONLINE/s));
  const nodes = (await cli(['info', 'nodes'])).stdout;
  const lost = /(worker-\S+)\t\S+\tOFFLINE/.exec(nodes)?.[1] ?? '';
  const online = /(worker-\S+)\t\S+\tONLINE/.exec(nodes)?.[1] ?? '';
  t.match((await cli(['process', 'remove-worker', '-n', online])).stderr, /is online: stop it first/);
  t.equal((await cli(['process', 'remove-worker', '-n', lost])).stdout, `Removed ${lost}\n`);
  t.notMatch((await cli(['info', 'nodes'])).stdout, /OFFLINE/);
  workers[2] = start('worker', 'worker-c', ports);
  await workers[2].url('S3');
  await until(async () => (await ownerPort(a, victims[0] ?? 0)) === portOfC);
  t.ok((await read(a, victims[0] ?? 0)).isRight, 'the owner of before owns again');
});

t.test('with etcd frozen reads go on, changes are refused at once, and all heals', async (t) => {
  etcd.freeze();
  const reads = await Promise.all(Array.from({ length: fileCount }, (_, index) => read(b, index)));
  t.ok(reads.every(({ isRight }) => isRight));
  const begunMs = performance.now();
  const refused = await cli(['mount', 'add', '--path', '/other', '--ufs-uri', dataDir]);
  t.match(refused.stderr, /^alluxio: [^\n]*etcd[^\n]*\n$/);
  t.comment(`refused after ${Math.round(performance.now() - begunMs)} ms, with the start of the command`);
  const port = new URL(await coordinator.url('at')).port;
  const token = (await readFile(join(root, 'shared', 'token'), 'utf8')).trim();
  const rule = JSON.stringify({ pattern: 'a', data: 'immutable' });
  const askedMs = performance.now();
  const answer = await fetch(`http://127.0.0.1:${port}/api/v1/rules`, {
    method: 'PUT',
    body: rule,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
  });
  const answeredMs = performance.now() - askedMs;
  t.match(await answer.text(), /StateStoreUnavailable.*etcd/);
  t.ok(answeredMs < 2500, `a rule was refused after ${Math.round(answeredMs)} ms`);
  etcd.thaw();
  await until(async () => (await cli(['mount', 'list'])).stdout.includes('/data/'));
});

t.test('a worker that drains under load fails no read', async (t) => {
  const failed: number[] = [];
  const over = new AbortController();
  const load = Array.from({ length: 4 }, async (_, lane) => {
    for (let index = lane; !over.signal.aborted; index = (index + 4) % fileCount) {
      const { isRight, status } = await read(a, index).catch(() => ({ isRight: false, status: 0 }));
      if (!isRight) failed.push(status);
    }
  });
  const ports = await b.ports();
  t.equal(await b.stop('SIGTERM'), 0);
  workers[1] = start('worker', 'worker-b', ports);
  await workers[1].url('S3');
  over.abort();
  await Promise.all(load);
  t.strictSame(failed, []);
});

t.test('with etcd gone a worker starts with the ring, the mounts and the rules of before', async (t) => {
  const ports = await a.ports();
  const [ruled = 0] = await filesOfEach();
  await cli(['rule', 'add', '--pattern', `file://${dataDir}/set/f-${ruled}`, '--data', 'skipCache']);
  await until(async () => (await read(a, ruled)).cache === 'bypass-filter');
  await etcd.stop();
  await a.stop('SIGKILL');
  const again = start('worker', 'worker-a', ports);
  workers[0] = again;
  await again.url('S3');
  const reads = await Promise.all(Array.from({ length: fileCount }, (_, index) => read(again, index)));
  t.ok(reads.every(({ isRight }) => isRight));
  t.ok(
    reads.some(({ cache }) => cache === 'hit-peer'),
    'the others are still known',
  );
  t.equal((await read(again, ruled)).cache, 'bypass-filter');
});
