/** The command line in a cluster of which one worker is killed and one frozen, both still taken for online: what it reads is right, or it says why not. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { systemClock } from '@alluxio-ts/common/clock';
import t from 'tap';
import { OnlineWorkers } from '../../packages/cli/src/online-workers.ts';
import { commandLine, commonDefinitions, Member, type Role, until } from '../support/cluster.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: {}, shared: {}, out: {} });
const dataDir = join(root, 'data');
const smallNames = Array.from({ length: 60 }, (_, index) => `small-${index}`);
const contentOf = (name: string): string => `${name}\n`.repeat(100);
await mkdir(join(dataDir, 'set'));
for (const name of smallNames) await writeFile(join(dataDir, 'set', name), contentOf(name));

/** More than sockets and pipes take up, so that a reader that waits stops the worker in the middle. */
const bigBytes = 48 * 1024 * 1024;
const bigOf = (letter: string): Buffer => Buffer.alloc(bigBytes, `the big file ${letter} `);

const etcd = await startEtcdServer();
const common = [
  ...commonDefinitions(root, etcd.endpoints),
  // The cluster takes both for online until the end.
  '-Dalluxio.worker.failure.detection.timeout=120s',
  '-Dalluxio.worker.access.log.enabled=true',
];
const members: Member[] = [];
t.teardown(async () => {
  await Promise.all(members.map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});

function start(role: Role, name: string): Member {
  const member = new Member({ role, workDir: join(root, name), common });
  members.push(member);
  return member;
}

const coordinator = start('coordinator', 'coordinator');
await coordinator.url('at');
const workers = ['worker-a', 'worker-b', 'worker-c'].map((name) => start('worker', name));
const [a, b, c] = workers;
if (!a || !b || !c) throw new Error('three workers');
await Promise.all(workers.map((worker) => worker.url('S3')));

async function begin(...args: readonly string[]) {
  const line = await commandLine(coordinator, common, args);
  const child = spawn(process.execPath, line, {
    env: cleanEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, stderr: text(child.stderr), closed: once(child, 'close') as Promise<[number | null]> };
}

async function alluxio(...args: readonly string[]) {
  const { child, stderr, closed } = await begin(...args);
  const [stdout, errors, [code]] = await Promise.all([buffer(child.stdout), stderr, closed]);
  return { stdout: stdout.toString(), stderr: errors, code };
}

await alluxio('mount', 'add', '--path', '/data', '--ufs-uri', dataDir);
const ports = await Promise.all(workers.map((worker) => worker.restPort()));

async function ownerPort(name: string): Promise<string> {
  const response = await fetch(`${await a?.url('REST')}/v1/node?path=file://${dataDir}/set/${name}`);
  const node = (await response.json()) as { readonly HttpServerPort: number };
  return String(node.HttpServerPort);
}
await until(async () => {
  const answers = await Promise.all(
    workers.map(async (worker) => fetch(`${await worker.url('S3')}/data/set/${smallNames[0]}`)),
  );
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
  const owners = await Promise.all(smallNames.map(ownerPort));
  return answers.every(({ status }) => status === 200) && new Set(owners).size === workers.length;
});

/** Names of files that this worker owns. */
async function ownedBy(worker: Member, names: readonly string[]): Promise<readonly string[]> {
  const port = await worker.restPort();
  const owners = await Promise.all(names.map(ownerPort));
  return names.filter((_, index) => owners[index] === port);
}

/** Reads a new big file of this worker, does something when its first bytes are here, and gives how it ended. */
async function catWith(owner: Member, change: (path: string) => Promise<void>) {
  const names = Array.from({ length: 200 }, (_, index) => `big-${index}`);
  const [name = ''] = await ownedBy(owner, names);
  const path = join(dataDir, 'set', name);
  await writeFile(path, bigOf('one'));
  const { child, stderr, closed } = await begin('fs', 'cat', `/data/set/${name}`);
  await once(child.stdout, 'readable');
  await change(path);
  const [stdout, errors, [code]] = await Promise.all([buffer(child.stdout), stderr, closed]);
  return { isWhole: stdout.equals(bigOf('one')), isBegun: stdout.length > 0, stderr: errors, code };
}

t.test('a file is read from its owner itself', async (t) => {
  const [name = ''] = await ownedBy(b, smallNames);
  const { stdout, code } = await alluxio('fs', 'cat', `/data/set/${name}`);
  t.same({ stdout, code }, { stdout: contentOf(name), code: 0 });
  const reads = (worker: Member): number => worker.errors.split(`/v1/range/`).length - 1;
  await until(() => reads(b) > 0);
  t.same(workers.map(reads), [0, 1, 0], 'nobody was asked to relay');
});

t.test('a killed owner is passed by in the middle of a file, at the byte that was reached', async (t) => {
  const { isWhole, stderr, code } = await catWith(c, async () => {
    await c.stop('SIGKILL');
  });
  t.same({ isWhole, code }, { isWhole: true, code: 0 }, stderr);
  t.match(
    stderr,
    new RegExp(
      `^alluxio: the answer of the worker at 127\\.0\\.0\\.1:${ports[2]} broke off after \\d+ bytes \\(.*\\); going on with the worker at 127\\.0\\.0\\.1:\\d+\\n$`,
    ),
  );
});

t.test('what was overwritten meanwhile is not mixed', async (t) => {
  const { isBegun, stderr, code } = await catWith(b, async (path) => {
    // First, since it would see the other version and break off itself.
    b.freeze();
    await writeFile(path, bigOf('two'));
  });
  t.same({ isBegun, code }, { isBegun: true, code: 1 });
  t.match(
    stderr,
    new RegExp(`^alluxio: the worker at 127\\.0\\.0\\.1:${ports[1]} shows no sign of life; .*\\n`),
  );
  t.match(
    stderr,
    /\nalluxio: \/data\/set\/big-\d+ was overwritten while it was read, after \d+ bytes; repeat the command\n$/,
  );
});

t.test('with one worker dead and one frozen everything is read right', async (t) => {
  t.match((await alluxio('info', 'nodes')).stdout, /ONLINE.*ONLINE.*ONLINE/s, 'nobody has noticed yet');
  for (const owner of workers) {
    const [name = ''] = await ownedBy(owner, smallNames);
    const wanted = contentOf(name);
    const whole = await alluxio('fs', 'cat', `/data/set/${name}`);
    t.same({ stdout: whole.stdout, code: whole.code }, { stdout: wanted, code: 0 }, whole.stderr);
    const lines = whole.stderr.split('\n').length - 1;
    t.equal(lines, owner === a ? 0 : 1, `a line for the owner that is away: ${whole.stderr}`);
    t.match((await alluxio('fs', 'stat', `/data/set/${name}`)).stdout, `\nsize: ${wanted.length} `);
  }
  const [lost = ''] = await ownedBy(c, smallNames);
  t.equal((await alluxio('fs', 'head', '-c', '9', `/data/set/${lost}`)).stdout, contentOf(lost).slice(0, 9));
  t.equal((await alluxio('fs', 'tail', '-c', '9', `/data/set/${lost}`)).stdout, contentOf(lost).slice(-9));
  const copied = await alluxio('fs', 'cp', '-R', '/data/set', join(root, 'out'));
  t.equal(copied.code, 0, copied.stderr);
  t.equal(copied.stderr.match(/going on with/g)?.length, 2, copied.stderr);
  const local = join(root, 'out', 'set');
  for (const name of await readdir(local)) {
    const [mine, theirs] = await Promise.all([
      readFile(join(local, name)),
      readFile(join(dataDir, 'set', name)),
    ]);
    t.ok(mine.equals(theirs), name);
  }
  const listed = await alluxio('fs', 'ls', '/data/set');
  t.equal(listed.stdout.split('\n').length, (await readdir(local)).length + 1, listed.stderr);
  t.match(await alluxio('fs', 'check-cached', '/data/set'), {
    code: 0,
    stdout: new RegExp(`^Total files checked: ${(await readdir(local)).length}\n`),
  });
});

t.test('whichever worker is asked first, one that is there answers', async (t) => {
  const notices: string[] = [];
  const asked = new OnlineWorkers({
    addresses: [c, b, a].map((worker) => ({
      Host: '127.0.0.1',
      HttpServerPort: Number(ports[workers.indexOf(worker)]),
    })),
    clock: systemClock,
    notice: (text) => notices.push(text),
  });
  t.teardown(() => asked.close());
  t.equal((await asked.stat('/data/set/small-0')).mLength, contentOf('small-0').length);
  const listed: string[] = [];
  for await (const { mName } of asked.list('/data/set')) listed.push(mName);
  t.same(listed, (await readdir(join(dataDir, 'set'))).toSorted());
  t.match(notices, [
    new RegExp(
      `^no worker answers at 127.0.0.1:${ports[2]} \\(ECONNREFUSED\\); going on with .*:${ports[1]}$`,
    ),
    new RegExp(`^the worker at 127.0.0.1:${ports[1]} shows no sign of life; going on with .*:${ports[0]}$`),
  ]);
  await t.rejects(asked.stat('/data/set/none'), { code: 'FileNotFound' });
});

t.test('an answer of a worker stands, also a failure', async (t) => {
  t.same(await alluxio('fs', 'cat', '/data/set/none'), {
    code: 1,
    stdout: '',
    stderr:
      'alluxio: no such file or directory: /data/set/none; "alluxio fs ls /data/set" shows what is there\n',
  });
});
