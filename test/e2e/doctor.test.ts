/** `alluxio info doctor` on a real cluster: it says nothing of a healthy one, and names what is broken, one thing after the other. */

import { existsSync } from 'node:fs';
import { mkdir, rename, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import type { Finding } from '../../packages/cli/src/finding.ts';
import { commonDefinitions, Member, type Role, runCommand, until } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: { 'a.txt': 'a\n' }, shared: {}, conf: {} });
const dataDir = join(root, 'data');
await writeFile(join(root, 'conf', 'alluxio-site.properties'), 'alluxio.worker.page.store.pagesize=1MB\n');
const etcd = await startEtcdServer();
const common = commonDefinitions(root, etcd.endpoints);

const members: Member[] = [];
t.teardown(async () => {
  await Promise.all(members.map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});

function start(role: Role, name: string, more: readonly string[] = []): Member {
  const member = new Member({ role, workDir: join(root, name), common: [...common, ...more] });
  members.push(member);
  return member;
}

const coordinator = start('coordinator', 'coordinator');
await coordinator.url('at');
const [a, b] = [start('worker', 'worker-a'), start('worker', 'worker-b')];
await Promise.all([a.url('S3'), b.url('S3')]);

async function command(...args: readonly string[]) {
  const output = await runCommand(coordinator, common, args);
  return { ...output, stdout: output.stdout, code: 'code' in output ? output.code : 0 };
}

async function doctor(...args: readonly string[]) {
  const { code, stderr, stdout } = await command('info', 'doctor', '--json', ...args);
  const { findings } = JSON.parse(stdout || '{}') as { readonly findings?: readonly Finding[] };
  if (!findings) throw new Error(stderr);
  return { code, findings, bad: findings.filter(({ level }) => level !== 'ok') };
}

const nameOf = async (worker: Member): Promise<string> => `127.0.0.1:${await worker.restPort()}`;

await command('mount', 'add', '--path', '/data', '--ufs-uri', dataDir);
await Promise.all(
  [a, b].map((worker) =>
    until(async () => (await fetch(`${await worker.url('S3')}/data/a.txt`)).status === 200),
  ),
);

t.test('a healthy cluster has no finding above ok', async (t) => {
  const { bad, code, findings } = await doctor();
  t.same(bad, []);
  t.equal(code, 0);
  const countOf = (check: string): number => findings.filter((each) => each.check === check).length;
  t.equal(countOf('worker'), 2);
  t.equal(countOf('port'), 6, 'S3, REST and web of both');
  t.equal(countOf('mount'), 3, 'from the coordinator and from both workers');
  t.equal(countOf('disk'), 4, 'state and space of both');
  t.equal(countOf('memory'), 2);
  t.equal(countOf('transport'), 2);
  t.equal(countOf('state-store'), 2, 'etcd as a whole, and its member');
  const text = await command('info', 'doctor');
  t.match(text.stdout, /^Fine: coordinator, .*\n0 errors, 0 warnings\n$/);
  t.match(a.errors, /"level":"info".*"main heap":.*"event":"memory-sum"/, 'said at the start as well');
});

t.test('the disks are measured when they are to be, and nothing is left of it', async (t) => {
  const { bad, findings } = await doctor('storage', '--disk-speed');
  const speeds = findings.filter(({ finding }) => /it writes .*\/s and reads .*\/s/.test(finding));
  t.equal(speeds.length, 2);
  // A busy machine may have a slow disk for a moment.
  t.same(
    bad.filter((finding) => !speeds.includes(finding)),
    [],
  );
  t.notOk(existsSync(join(root, 'worker-a', 'pages', 'speed.tmp')));
  const refused = await fetch(`${await coordinator.url('at')}/api/v1/diagnosis`, { method: 'POST' });
  t.equal(refused.status, 401, 'it writes, so it takes the token');
});

t.test('a directory that is gone is found from the coordinator and from each worker', async (t) => {
  await rename(dataDir, `${dataDir}-gone`);
  const { bad, code } = await doctor('storage');
  await rename(`${dataDir}-gone`, dataDir);
  t.equal(code, 1);
  t.equal(bad.length, 3);
  for (const finding of bad) {
    t.match(finding, { check: 'mount', level: 'error', finding: /does not exist/, advice: /reachable/ });
  }
  t.match(bad[0]?.subject, '/data at the coordinator');
  t.same((await doctor('configuration')).bad, []);
});

t.test('a worker with another page size, an unknown option, a broken and a small disk', async (t) => {
  await b.stop('SIGTERM');
  const { bavail, bsize } = await statfs(root);
  const tooLarge = join(root, 'large');
  const broken = join(dataDir, 'a.txt', 'pages');
  await mkdir(tooLarge);
  const again = start('worker', 'worker-b', [
    '-Dalluxio.worker.page.store.page.size=1MB',
    `-Dalluxio.worker.page.store.dirs=${tooLarge},${broken}`,
    `-Dalluxio.worker.page.store.sizes=${2 * bavail * bsize},1GB`,
    `-Dalluxio.conf.dir=${join(root, 'conf')}`,
  ]);
  await again.url('S3');
  const name = await nameOf(again);
  const { bad, code } = await doctor();
  t.equal(code, 1);
  const of = (check: string): readonly Finding[] => bad.filter((finding) => finding.check === check);
  t.match(of('equality'), [
    {
      subject: 'alluxio.worker.page.store.page.size',
      level: 'error',
      finding: /1MB on .*4MB on |4MB on .*1MB on /,
    },
  ]);
  t.match(of('options'), [{ level: 'warning', finding: /page\.store\.pagesize.*did you mean/ }]);
  t.match(of('options')[0]?.subject, name);
  t.match(of('disk'), [
    { level: 'warning', finding: /are free, and the cache may grow/, advice: /page\.store\.sizes/ },
    { level: 'error', finding: /left out at the start/, advice: /page\.store\.dirs/ },
  ]);
  t.equal(bad.length, 4 + of('memory').length, JSON.stringify(bad));
  const cache = await command('info', 'cache', '--worker', name);
  t.match(cache.stdout, /large: .* of .*, 0 pages in 0 segments, ok\n/);
  t.match(cache.stdout, /a\.txt\/pages: 0B of 1\.00GB .*, unused: /);
  await again.stop('SIGKILL');
});

t.test('a worker that was killed is OFFLINE, and how to go on is said', async (t) => {
  await until(async () => (await command('info', 'cache', '--lost', '--json')).stdout.includes('OFFLINE'));
  const { bad, code } = await doctor('configuration');
  t.equal(code, 1);
  t.match(bad, [{ check: 'worker', level: 'error', finding: /OFFLINE/, advice: /remove-worker -n worker-/ }]);
  const lost = JSON.parse((await command('info', 'cache', '--lost', '--json')).stdout);
  t.match(lost, { workerCount: 1, capacityBytes: 0, workers: [{ status: 'OFFLINE' }] });
  const live = JSON.parse((await command('info', 'cache', '--live', '--json')).stdout);
  t.match(live, { workerCount: 1, workers: [{ status: 'ONLINE', dirs: [{ state: 'ok' }] }] });
});

t.test('without etcd that is what is found', async (t) => {
  await etcd.kill();
  const { bad, code } = await doctor();
  t.equal(code, 1);
  t.match(bad, [
    { check: 'state-store', subject: 'etcd', level: 'error', finding: /did not answer/ },
    { check: 'state-store', subject: etcd.endpoints[0], level: 'error' },
  ]);
});

t.test('without a coordinator that is what is found', async (t) => {
  await coordinator.stop('SIGTERM');
  const { bad, code } = await doctor();
  t.equal(code, 1);
  t.match(bad, [
    { check: 'coordinator', level: 'error', finding: /no coordinator answers/ },
    { check: 'state-store', subject: 'etcd', level: 'error' },
    { check: 'state-store', subject: etcd.endpoints[0], level: 'error' },
  ]);
  await etcd.restart();
  const { bad: less } = await doctor();
  t.match(less, [{ check: 'coordinator' }]);
  t.equal(less.length, 1, 'etcd is asked from here');
});
