/** What each command answers to a program (`--json`) and to a person at a terminal. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { startTestStandalone } from '../../../test/support/standalone.ts';
import { widthOf } from '../src/table.ts';
import { runCommand } from './support/run-command.ts';

const workDir = t.testdir({ out: {} });
const dataDir = join(workDir, 'data');
const long = 'a-directory-whose-name-is-rather-long/and-one-more-of-the-same-kind';
await mkdir(join(dataDir, long), { recursive: true });
await writeFile(join(dataDir, long, 'some-data-that-was-sampled.csv'), '1234');
await writeFile(join(dataDir, long, '日本語の名前の長いファイル.csv'), '');
await writeFile(join(dataDir, 'a.csv'), 'id,value\n1,2\n');
for (let index = 0; index < 2500; index++) await writeFile(join(dataDir, `many-${index}`), '');

const running = await startTestStandalone({
  workDir,
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
});
t.teardown(() => running.stop());
const environment = {
  ALLUXIO_WORK_DIR: workDir,
  ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
  ALLUXIO_COORDINATOR_WEB_PORT: new URL(running.coordinator).port,
};
const place = { environment, homeDir: workDir, workingDir: join(workDir, 'out') };

async function json(line: string): Promise<unknown> {
  const { code, stdout, stderr } = await runCommand([...line.split(' '), '--json'], place);
  if (code !== 0 || stderr !== '') throw new Error(`${line}: ${code} ${stderr}`);
  return JSON.parse(Buffer.from(stdout, 'latin1').toString());
}

async function atTerminal(line: string, outColumns: number): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runCommand(line.split(' '), { ...place, outColumns });
  if (code !== 0 || stderr !== '') throw new Error(`${line}: ${code} ${stderr}`);
  return Buffer.from(stdout, 'latin1').toString().trimEnd().split('\n');
}

const address = `127.0.0.1:${running.standalone.worker.restPort}`;
const file = {
  path: '/data/a.csv',
  name: 'a.csv',
  kind: 'file',
  ufsPath: `file://${dataDir}/a.csv`,
  sizeBytes: 13,
  modified: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  mode: '-rwx------',
  owner: '',
  group: '',
};

await t.test('every command that prints data gives one JSON document of stable names', async (t) => {
  t.same(await json('mount add --path /other --ufs-uri s3://bucket/dir --no-check'), {
    path: '/other',
    ufsUri: 's3://bucket/dir',
    options: {},
  });
  t.match(await json('mount list'), { mounts: [{ path: '/data', options: {} }, { path: '/other' }, {}] });
  t.match(await json('mount remove --path /other'), { path: '/other' });
  const rule = { pattern: 'file:///none/.*', data: 'skipCache' };
  t.same(await json(`rule add --pattern ${rule.pattern} --data skipCache`), rule);
  t.same(await json('rule list'), { rules: [rule] });
  t.same(await json(`rule remove --pattern ${rule.pattern}`), rule);

  t.match(await json('fs stat /data/a.csv'), {
    ...file,
    cachedBytes: 0,
    cachedPercent: 0,
    fileId: /^[\da-f]{64}$/,
    pageCount: 1,
    pageSizeBytes: 4_194_304,
  });
  t.match(await json('fs stat /data'), { kind: 'directory', sizeBytes: null, modified: null });
  t.match(await json('fs ls /data/a.csv'), [file]);
  t.same(await json('fs location /data/a.csv'), { path: '/data/a.csv', address });
  t.same(await json('fs test -f /data/a.csv'), { path: '/data/a.csv', holds: true });
  t.match(await runCommand(['fs', 'test', '-d', '/data/a.csv', '--json'], place), {
    code: 1,
    stdout: '{\n  "path": "/data/a.csv",\n  "holds": false\n}\n',
    stderr: '',
  });
  t.same(await json('fs cp /data/a.csv .'), {
    source: '/data/a.csv',
    target: join(workDir, 'out'),
    fileCount: 1,
    bytes: 13,
  });
  await running.standalone.worker.cache.idle();
  t.same(await json('fs check-cached /data/a.csv'), {
    fileCount: 1,
    fullCount: 1,
    partialCount: 0,
    missingCount: 0,
    checkedBytes: 13,
    cachedBytes: 13,
    files: [{ path: '/data/a.csv', sizeBytes: 13, cachedBytes: 13, cachedPercent: 100 }],
  });
  t.same(await json('cache free --path /data/a.csv'), { fileCount: 1, pageCount: 1, freedBytes: 13 });
  t.match(await json('cache format'), { fileCount: Number, pageCount: 0, freedBytes: 0 });

  t.same(await json('conf get alluxio.worker.page.store.page.size'), {
    name: 'alluxio.worker.page.store.page.size',
    value: '4MB',
    source: 'DEFAULT',
  });
  const { options } = (await json('conf get')) as { readonly options: readonly unknown[] };
  t.ok(options.length > 30);
  t.match(options[0], { name: /^alluxio\./, value: String, source: String });
  t.match(await json('info nodes'), {
    workers: [
      {
        id: /^worker-/,
        address,
        status: 'ONLINE',
        capacityBytes: Number,
        usedBytes: Number,
        transport: { kind: /^(plain|hotpath)$/, configured: 'auto' },
      },
    ],
  });
  t.same(await json('info version'), { version: '0.1.0' });
  t.match(await json('info report'), {
    liveWorkers: 1,
    masterVersions: [{ state: 'PRIMARY' }],
    transports: { plain: Number, hotpath: Number, missing: 0 },
  });
  t.match((await runCommand(['info', 'report'], place)).stdout, /\n {4}Transports: (plain|hotpath) 1\n/);
  t.match(await json('info report ufs'), [{ path: '/data', scheme: 'file', options: {} }, {}]);
  t.type(
    ((await json('info report metrics')) as Record<string, unknown>)['alluxio_data_cached_pages'],
    'number',
  );
});

await t.test('a listing is an array that comes as it is found, whatever its length', async (t) => {
  const listed = (await json('fs ls /data')) as readonly { readonly name: string }[];
  t.equal(listed.length, 2502);
  t.equal(new Set(listed.map(({ name }) => name)).size, 2502);
  const writes: number[] = [];
  const { main } = await import('../src/main.ts');
  await main({
    argv: ['fs', 'ls', '/data', '--json'],
    ...place,
    stdout: { write: () => undefined },
    stderr: { write: () => undefined },
    writeOut: async (chunk) => {
      writes.push(chunk.length);
    },
    isTerminal: false,
    stopSignal: async () => 'SIGTERM',
  });
  t.ok(writes.length > 5 && Math.max(...writes) < 70_000, `pieces of ${writes.join(', ')}`);
});

await t.test('a failure with --json is one object on standard error', async (t) => {
  const rows: readonly (readonly [string, string, RegExp])[] = [
    ['fs ls /data/none --json', 'FileNotFound', /no such file or directory: \/data\/none; "alluxio fs ls/],
    ['mount remove --path /none --json', 'MountNotFound', /nothing is mounted at \/none/],
    ['mount list --json --all', 'InvalidArgument', /unknown option '--all'; "alluxio --help"/],
    ['info nodes --json -Dalluxio.coordinator.web.port=1', 'Unreachable', /no coordinator answers/],
    ['conf get --json alluxio.none', 'InvalidOptions', /there is no option/],
  ];
  for (const [line, code, message] of rows) {
    const outcome = await runCommand(line.split(' '), place);
    t.match(outcome, { code: 1, stdout: '' }, line);
    t.match(outcome.stderr, /^[^\n]+\n$/);
    t.match(JSON.parse(outcome.stderr), { code, message });
  }
  const noticed = await runCommand(['conf', 'get', '--json'], {
    ...place,
    environment: { ...environment, ALLUXIO_NOT_AN_OPTION: 'x' },
  });
  t.match(JSON.parse(noticed.stderr), { notice: /ALLUXIO_NOT_AN_OPTION names no option/ });
});

await t.test('at a terminal lists are columns that fit, and a long path loses its middle', async (t) => {
  const lines = ['mount list', 'fs ls -R /data', 'fs check-cached /data', 'info nodes', 'conf get --source'];
  for (const columns of [80, 100, 200]) {
    for (const line of [...lines, 'info report ufs', 'info report metrics', 'rule list']) {
      const shown = await atTerminal(line, columns);
      const widest = Math.max(...shown.map(widthOf));
      t.ok(widest <= columns, `${line} is ${widest} of ${columns} columns`);
    }
  }
  t.match((await atTerminal('mount list', 200))[0], /^Path {2,}UFS URI {2,}Options$/);
  t.match(
    (await atTerminal('info nodes', 80))[1],
    new RegExp(`^worker-[\\da-f-]{36}  ${address}  ONLINE  (plain|hotpath)$`),
  );
  const listing = await atTerminal('fs ls -R /data', 80);
  t.ok(listing.some((line) => /FILE \/data\/a-dir\S+…\S+\.csv$/.test(line)));
  const kinds = listing.map((line) => line.search(/ (?: DIR|FILE) \//));
  t.equal(new Set(kinds).size, 1, 'files and directories are one under the other');
});
