import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startEtcdServer } from '../../../test/support/etcd-server.ts';
import { startTestStandalone } from '../../../test/support/standalone.ts';
import type { Finding } from '../src/finding.ts';
import { type CommandOptions, runCommand as run } from './support/run-command.ts';

/** A work directory as standalone leaves it, with a mount and a cached file; the standalone may still run. */
async function used(t: Test) {
  const root = t.testdir({ data: { 'a.txt': 'bytes' }, work: { pages: { 'of-somebody-else': '' } } });
  const workDir = join(root, 'work');
  const mounts = [{ path: '/data', ufsUri: `file://${root}/data`, options: {} }];
  const standalone = await startTestStandalone({ workDir, mounts });
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= standalone.stop());
  t.teardown(stop);
  t.equal(await (await fetch(`${standalone.s3}/data/a.txt`)).text(), 'bytes');
  const alluxio = (argv: readonly string[], more: CommandOptions = {}) =>
    run(['init', ...argv], { environment: { ALLUXIO_WORK_DIR: workDir }, ...more });
  const filesOf = async (dir: string) => (await readdir(join(workDir, dir))).sort();
  const mountsAfter = async (): Promise<readonly string[]> => {
    const again = await startTestStandalone({ workDir });
    const list = again.standalone.worker.mounts.list().map(({ path }) => path);
    await again.stop();
    return list;
  };
  return { alluxio, filesOf, mountsAfter, stop, workDir };
}

t.test('nothing is wiped under a process that runs', async (t) => {
  const { alluxio, filesOf, workDir } = await used(t);
  const refused = await alluxio(['format', '--yes']);
  t.match(refused, { code: 1, stdout: '' });
  t.match(refused.stderr, `${workDir}/pages is in use by another alluxio process`);
  t.match(await filesOf('metastore'), ['files.db']);
  const state = await alluxio(['format', '--yes', '--skip-worker']);
  t.match(state.stderr, `${workDir}/state is in use by another alluxio process`);
});

t.test('nothing is wiped under a worker that has cached nothing yet', async (t) => {
  const workDir = t.testdir({});
  const standalone = await startTestStandalone({ workDir });
  t.teardown(() => standalone.stop());
  t.same(await readdir(join(workDir, 'pages', 'segments')), []);
  const environment = { ALLUXIO_WORK_DIR: workDir };
  const refused = await run(['init', 'format', '--skip-master'], { environment });
  t.match(refused, { code: 1, stderr: /in use by another alluxio process/ });
  t.match(await readdir(join(workDir, 'metastore')), ['files.db']);
});

t.test('the cache goes, and what is not ours stays', async (t) => {
  const { alluxio, filesOf, mountsAfter, stop, workDir } = await used(t);
  await stop();
  const { code, stdout } = await alluxio(['format', '--skip-master']);
  t.equal(code, 0);
  t.equal(stdout, `Formatted ${workDir}/pages\nFormatted ${workDir}/metastore\n`);
  t.same(await filesOf('pages'), ['lock', 'of-somebody-else']);
  t.same(await filesOf('metastore'), []);
  t.match(await alluxio(['format', '--skip-master']), { stdout: 'There is nothing to format\n' });
  t.same(await mountsAfter(), ['/data', '/sample']);
});

t.test('mounts go only when somebody says so', async (t) => {
  const { alluxio, filesOf, mountsAfter, stop, workDir } = await used(t);
  await stop();
  const before = await filesOf('pages');
  const silent = await alluxio(['format']);
  t.match(silent, { code: 1, stdout: '', stderr: /holds the mounts and rules .*--yes .*--skip-master/ });
  const no = await alluxio(['format'], { answer: '' });
  t.match(no, { code: 1, stdout: /^Nothing was wiped/, stderr: /\[y\/N\]/ });
  t.same(await filesOf('pages'), before);
  const yes = await alluxio(['format'], { answer: 'y' });
  t.match(yes, { code: 0, stdout: `Formatted ${workDir}/state\n` });
  t.same(await filesOf('state'), ['lock']);
  t.same(await mountsAfter(), ['/sample']);
});

t.test('-s makes what is missing and wipes nothing', async (t) => {
  const workDir = join(t.testdir({}), 'work');
  const environment = { ALLUXIO_WORK_DIR: workDir };
  const made = await run(['init', 'format', '-s'], { environment });
  t.match(made, {
    code: 0,
    stdout: `Made ${workDir}/pages\nMade ${workDir}/metastore\nMade ${workDir}/state\n`,
  });
  await writeFile(join(workDir, 'state', 'state.log'), '');
  const kept = await run(['init', 'format', '-s'], { environment });
  t.match(kept, { code: 0, stdout: /^Kept .*\nKept .*\nKept .*\n$/ });
  t.match(await readdir(join(workDir, 'state')), ['state.log']);
});

async function findingsOf(argv: readonly string[], environment: Readonly<Record<string, string>>) {
  const { code, stderr, stdout } = await run(['init', 'validate', '--json', ...argv], { environment });
  t.equal(stderr, '');
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Finding[] };
  return { code, findings, bad: findings.filter(({ level }) => level !== 'ok') };
}

const anyPorts = Object.fromEntries(
  ['COORDINATOR_WEB', 'WORKER_REST', 'WORKER_HTTP_SERVER', 'WORKER_WEB'].map((name) => [
    `ALLUXIO_${name}_PORT`,
    '0',
  ]),
);

t.test('a machine in order is said to be so', async (t) => {
  const etcd = await startEtcdServer();
  t.teardown(() => etcd.stop());
  const environment = {
    ...anyPorts,
    ALLUXIO_WORK_DIR: t.testdir({}),
    ALLUXIO_WORKER_PAGE_STORE_SIZES: '64MB',
    ALLUXIO_WORKER_DIRECT_MEMORY_SIZE: '16MB',
    ALLUXIO_ETCD_ENDPOINTS: etcd.endpoints.join(','),
  };
  const { bad, code, findings } = await findingsOf([], environment);
  t.same(bad, []);
  t.equal(code, 0);
  const checks = [...new Set(findings.map(({ check }) => check))];
  t.same(checks, ['options', 'transport', 'memory', 'limits', 'directory', 'port', 'state-store']);
  await etcd.kill();
  const without = await findingsOf(['--type', 'env'], environment);
  t.equal(without.code, 1);
  t.match(without.bad, [
    { check: 'state-store', subject: 'etcd', level: 'error' },
    { check: 'state-store', level: 'error' },
  ]);
  t.same((await findingsOf(['--type', 'conf'], environment)).bad, []);
});

t.test('what would keep processes from running is found, each with its advice', async (t) => {
  const root = t.testdir({ 'a-file': '', conf: {}, work: {} });
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const taken = (server.address() as AddressInfo).port;
  await writeFile(join(root, 'conf', 'alluxio-site.properties'), 'alluxio.worker.pagestore=1\n');
  await writeFile(join(root, 'conf', 'cache_filter.json'), '{');
  await mkdir(join(root, 'huge'));
  const { bad, code } = await findingsOf([], {
    ...anyPorts,
    ALLUXIO_WORK_DIR: join(root, 'work'),
    ALLUXIO_CONF_DIR: join(root, 'conf'),
    ALLUXIO_WORKER_WEB_PORT: String(taken),
    ALLUXIO_WORKER_PAGE_STORE_DIRS: `${root}/a-file/pages,${root}/huge`,
    ALLUXIO_WORKER_PAGE_STORE_SIZES: '64MB,1000TB',
    ALLUXIO_WORKER_DIRECT_MEMORY_SIZE: '1TB',
    ALLUXIO_USER_CLIENT_CACHE_FILTER_ENABLED: 'true',
  });
  t.equal(code, 1);
  t.match(bad, [
    { check: 'options', level: 'warning', finding: /alluxio\.worker\.pagestore/ },
    { check: 'cache filter file', level: 'error' },
    { check: 'memory', level: 'warning', finding: /direct memory 1\.00TB/ },
    { check: 'directory', level: 'error', subject: `${root}/a-file/pages` },
    { check: 'directory', level: 'warning', subject: `${root}/huge`, advice: /page\.store\.sizes/ },
    { check: 'port', level: 'error', subject: /alluxio\.worker\.web\.port/ },
  ]);
  t.equal(bad.length, 6);
  for (const { advice } of bad) t.not(advice, '');
});

t.test('a configuration that cannot be read is the one finding', async (t) => {
  const { bad, code, findings } = await findingsOf([], {
    ALLUXIO_WORK_DIR: t.testdir({}),
    ALLUXIO_WORKER_PAGE_STORE_PAGE_SIZE: '3MB',
  });
  t.equal(code, 1);
  t.equal(findings.length, 1);
  t.match(bad, [{ check: 'options', level: 'error', finding: /page\.store\.page\.size/ }]);
});
