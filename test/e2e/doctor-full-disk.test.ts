/** `alluxio info doctor` where the disk of a cache is really full: a tmpfs in a mount namespace of its own, which is gone with the worker. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import type { Finding } from '../../packages/cli/src/finding.ts';
import { commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { localHost, type TestHost } from '../support/test-network.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: {}, shared: {}, disk: {} });
const disk = join(root, 'disk');
const files = Array.from({ length: 40 }, (_, index) => `f-${index}`);
for (const name of files) await writeFile(join(root, 'data', name), Buffer.alloc(MIB, name));

/** Needs root, or a kernel that lets users make namespaces; the worker does not start where there is neither. */
const hostWithSmallDisk: TestHost = {
  address: localHost.address,
  command: (program, args) => {
    const script = 'mount -t tmpfs -o size=24m tmpfs "$1" && shift && exec "$@"';
    const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
    return ['unshare', ...asRoot, '--mount', 'sh', '-c', script, 'sh', disk, program, ...args];
  },
};

const etcd = await startEtcdServer();
const common = commonDefinitions(root, etcd.endpoints);
const coordinator = new Member({ role: 'coordinator', workDir: join(root, 'coordinator'), common });
const worker = new Member({
  role: 'worker',
  workDir: join(root, 'worker'),
  common: [
    ...common,
    `-Dalluxio.worker.page.store.dirs=${disk}/pages`,
    '-Dalluxio.worker.page.store.sizes=64MB',
  ],
  host: hostWithSmallDisk,
});
t.teardown(async () => {
  await Promise.all([coordinator, worker].map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});
await coordinator.url('at');
const s3 = await worker.url('S3');
await runCommand(coordinator, common, ['mount', 'add', '--path', '/data', '--ufs-uri', join(root, 'data')]);
await until(async () => (await fetch(`${s3}/data/f-0`, { method: 'HEAD' })).status === 200);

async function badDisks(...args: readonly string[]): Promise<readonly Finding[]> {
  const { stdout } = await runCommand(coordinator, common, ['info', 'doctor', 'storage', '--json', ...args]);
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] };
  return findings.filter(({ check, level }) => check === 'disk' && level !== 'ok');
}

t.test('a disk that is smaller than its cache is a warning before it is full', async (t) => {
  t.match(await badDisks(), [
    { level: 'warning', finding: /2\d\.\d\dMB are free, .* to 64\.00MB/, advice: /page\.store\.sizes/ },
  ]);
});

t.test('a full one takes no pages, and its speed cannot be measured', async (t) => {
  for (const name of files) {
    const response = await fetch(`${s3}/data/${name}`);
    t.equal((await response.arrayBuffer()).byteLength, MIB, 'reads do not suffer');
  }
  await until(async () => (await badDisks()).some(({ finding }) => /[1-9]\d* writes and/.test(finding)));
  const [state, space, speed] = await badDisks('--disk-speed');
  t.match(state, { finding: /[1-9]\d* writes and 0 reads failed/ });
  t.match(space, { level: 'warning', finding: /are free, and the cache may grow/ });
  t.match(speed, { level: 'error', finding: /cannot be measured: .*ENOSPC/ });
});
