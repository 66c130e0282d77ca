import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { WorkerClient } from '@alluxio-ts/common/client/worker-client';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { createLogger } from '@alluxio-ts/common/logger';
import { loadOptions } from '@alluxio-ts/common/options';
import { workerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { until } from '../../../test/support/cluster.ts';
import { copyToLocal } from '../src/local-copy.ts';
import { OnlineWorkers } from '../src/online-workers.ts';
import { startStandalone } from '../src/standalone.ts';
import { type CommandOutcome, runCommand } from './support/run-command.ts';

const workDir = t.testdir({ out: {} });
const dataDir = join(workDir, 'data');
const pageSizeBytes = 4 * MIB;
const big = Buffer.alloc(pageSizeBytes + 1000, 'page ');
const changed = new Date(Date.UTC(2024, 1, 25, 21, 22, 15, 742));
const odd = 'a+b %41 ü&c=d?.txt';

await mkdir(join(dataDir, 'dir', 'deep'), { recursive: true });
const contents: Readonly<Record<string, string | Buffer>> = {
  'big.bin': big,
  'dir-2': 'sorts before dir/',
  'dir/a.csv': 'id,value\n1,2\n',
  'dir/deep/b.csv': 'b',
  'dir/empty': '',
  [`dir/${odd}`]: 'odd',
};
for (const [name, content] of Object.entries(contents)) {
  await writeFile(join(dataDir, name), content);
  await utimes(join(dataDir, name), changed, changed);
}

const logLines: string[] = [];
const environment = { ALLUXIO_WORK_DIR: workDir };
const options = loadOptions({
  environment,
  definitions: [
    ...['coordinator.web', 'worker.rest', 'worker.http.server', 'worker.web'].map(
      (name) => `alluxio.${name}.port=0`,
    ),
    'alluxio.worker.page.store.sizes=64MB',
    'alluxio.worker.direct.memory.size=16MB',
    'alluxio.worker.access.log.enabled=true',
  ],
  homeDir: workDir,
  workingDir: workDir,
});
const standalone = await startStandalone({
  options,
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
  environment: {},
  clock: systemClock,
  random: systemRandom,
  logger: createLogger({
    process: 'standalone',
    level: 'info',
    destination: { write: (line) => logLines.push(line) },
  }),
});
t.teardown(() => standalone.close({ deadlineMs: 0 }));

/** Runs the command as a shell would: words between spaces. */
function alluxio(line: string): Promise<CommandOutcome> {
  return run(...line.split(' '));
}

function run(...argv: readonly string[]): Promise<CommandOutcome> {
  return runCommand(argv, {
    environment: {
      ...environment,
      ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
      ALLUXIO_COORDINATOR_WEB_PORT: String(standalone.coordinator.port),
    },
    homeDir: workDir,
    workingDir: join(workDir, 'out'),
  });
}

/** What a command prints that must succeed. */
async function printed(line: string): Promise<string> {
  const { code, stdout, stderr } = await alluxio(line);
  if (code !== 0 || stderr !== '') throw new Error(`${line}: ${code} ${stderr}`);
  return Buffer.from(stdout, 'latin1').toString();
}

const dirLine = (path: string) =>
  `drwx------          0                 01-01-1970 00:00:00:000  DIR ${path}`;
const fileLine = (size: number, path: string) =>
  `-rwx------${String(size).padStart(12)} 02-25-2024 21:22:15:742 FILE ${path}`;

await t.test('ls prints the lines of Alluxio, for both kinds of path', async (t) => {
  const inData = [
    fileLine(big.length, '/data/big.bin'),
    fileLine(17, '/data/dir-2'),
    dirLine('/data/dir'),
    '',
  ].join('\n');
  t.equal(await printed('fs ls /data'), inData);
  t.equal(await printed('fs ls /data/'), inData);
  t.equal(await printed(`fs ls file://${dataDir}`), inData);
  t.equal(await printed('fs ls -d /data/dir'), `${dirLine('/data/dir')}\n`);
  t.equal(await printed('fs ls /data/dir-2'), `${fileLine(17, '/data/dir-2')}\n`);
  t.match(await printed('fs ls -h /data/big.bin'), / 4\.00MB 02-25-2024/);
  t.equal(
    await printed('fs ls -R /data'),
    [
      fileLine(big.length, '/data/big.bin'),
      fileLine(17, '/data/dir-2'),
      dirLine('/data/dir'),
      fileLine(3, `/data/dir/${odd}`),
      fileLine(13, '/data/dir/a.csv'),
      dirLine('/data/dir/deep'),
      fileLine(1, '/data/dir/deep/b.csv'),
      fileLine(0, '/data/dir/empty'),
      '',
    ].join('\n'),
  );
  const names = async (line: string) =>
    (await printed(line))
      .trim()
      .split('\n')
      .map((each) => each.split('/').at(-1));
  t.same(await names('fs ls --sort size /data'), ['dir', 'dir-2', 'big.bin']);
  t.same(await names('fs ls --sort size -r /data'), ['big.bin', 'dir-2', 'dir']);
  t.same(await names('fs ls -r /data'), ['dir-2', 'dir', 'big.bin']);
});

await t.test('a listing in pages gives every entry once, flat and by level', async (t) => {
  const url = `http://127.0.0.1:${standalone.worker.restPort}/v1/files?path=/data/dir`;
  for (const [query, wanted] of [
    ['', [odd, 'a.csv', 'deep', 'empty']],
    ['&recursive=true', [odd, 'a.csv', 'b.csv', 'empty']],
  ] as const) {
    for (const limit of [1, 2, 3, 4, 5]) {
      const names: string[] = [];
      let next: string | null = null;
      let pageCount = 0;
      do {
        const after = next === null ? '' : `&startAfter=${next}`;
        const response = await fetch(`${url}${query}&limit=${limit}${after}`);
        const page = (await response.json()) as readonly { readonly mName: string }[];
        t.ok(page.length <= limit);
        names.push(...page.map(({ mName }) => mName));
        next = response.headers.get('x-alluxio-next-start-after');
        pageCount++;
      } while (next !== null);
      t.same(names, wanted, `${limit} at a time`);
      t.equal(pageCount, Math.ceil(wanted.length / limit), 'the last page says that it is the last');
    }
  }
});

await t.test('stat prints what a format asks for', async (t) => {
  const id = createHash('sha256').update(`file://${dataDir}/big.bin`).digest('hex');
  const { stdout } = await run('fs', 'stat', '-f', '%N %z %u|%g %i %y %Y %b 100%%', '/data/big.bin');
  t.equal(stdout, `big.bin ${big.length} | ${id} 2024-02-25 21:22:15 ${changed.getTime()} 2 100%\n`);
  t.equal((await run('fs', 'stat', '--path', '/data/dir', '-f', '%N %z %b')).stdout, 'dir NA NA\n');
  t.match(await printed('fs stat /data/dir/a.csv'), /^\/data\/dir\/a\.csv is a file\.\n.*size: 13 \(13B\)/s);
  t.match(await printed('fs stat /data'), /^\/data is a directory\./);
  t.match(await run('fs', 'stat', '-f', '%q', '/data/big.bin'), {
    code: 1,
    stderr: /"%q"; it may have %N %z/,
  });
});

await t.test('cat, head and tail give the bytes, the second time from the cache', async (t) => {
  for (const round of ['first', 'second']) {
    const { code, stdout } = await alluxio('fs cat /data/big.bin');
    t.equal(code, 0);
    t.ok(Buffer.from(stdout, 'latin1').equals(big), round);
  }
  t.equal((await run('fs', 'cat', `/data/dir/${odd}`)).stdout, 'odd', 'whatever the name');
  t.equal(await printed('fs cat /data/dir/empty'), '');
  t.equal(await printed('fs head -c 8 /data/dir/a.csv'), 'id,value');
  t.equal(await printed('fs tail --bytes 4 /data/dir/a.csv'), '1,2\n');
  t.equal((await alluxio('fs head /data/big.bin')).stdout.length, 1024);
  t.equal((await alluxio('fs tail -c 2KB /data/big.bin')).stdout.length, 2048);
});

await t.test('test answers by its exit code', async (t) => {
  const rows = [
    ['-e /data/dir', 0],
    ['-e /data/none', 1],
    ['-d /data/dir', 0],
    ['-d /data/big.bin', 1],
    ['-f /data/big.bin', 0],
    ['-f /data/dir', 1],
    ['-s /data/big.bin', 0],
    ['-s /data/dir/empty', 1],
    ['-z /data/dir/empty', 0],
    ['-z /data/big.bin', 1],
    ['-f -s /data/dir', 1],
  ] as const;
  for (const [line, code] of rows) {
    t.same(await alluxio(`fs test ${line}`), { code, stdout: '', stderr: '' }, line);
  }
  t.match(await alluxio('fs test /data/dir'), { code: 1, stderr: /-d -e -f -s -z/ });
  t.match(await alluxio('fs test -e /none/a'), { code: 1, stderr: /no mount holds \/none\/a/ });
});

await t.test('cp brings files and whole directories to the disk, never in part', async (t) => {
  const out = join(workDir, 'out');
  t.equal(await printed('fs cp /data/big.bin .'), `Copied /data/big.bin to ${out}/big.bin\n`);
  t.ok((await readFile(join(out, 'big.bin'))).equals(big));
  await printed(`fs cp -p file://${dataDir}/dir/a.csv file://${out}/other%20name`);
  t.equal(await readFile(join(out, 'other name'), 'utf8'), contents['dir/a.csv']);
  t.equal((await stat(join(out, 'other name'))).mtimeMs, changed.getTime());
  t.match(await printed('fs cp -R --thread 2 /data/dir new'), /Copied 4 files, 17B\n$/);
  t.same(
    (await readdir(join(out, 'new'), { recursive: true })).sort(),
    [odd, 'a.csv', 'deep', 'deep/b.csv', 'empty'].sort(),
  );
  await printed('fs cp -R /data/dir new');
  t.ok(await stat(join(out, 'new', 'dir', 'deep', 'b.csv')), 'into a directory that is there');
  const before = await readdir(out);
  const rows: readonly (readonly [string, RegExp])[] = [
    ['/data/dir x', /\/data\/dir is a directory; copy it with -R/],
    ['/data/none x', /no such file or directory: \/data\/none; "alluxio fs ls \/data"/],
    ['/data/big.bin /data/copy', /lies in the mount \/data, and writing through the cache is not offered/],
    ['/data/big.bin s3://bucket/x', /is not a local path, and writing/],
    ['/data/big.bin none/x', /none\/x cannot be written: its directory does not exist/],
    ['-R --thread 0 /data/dir x', /whole number from 1 to 64/],
  ];
  for (const [line, pattern] of rows) {
    const { code, stderr } = await alluxio(`fs cp ${line}`);
    t.equal(code, 1, line);
    t.match(stderr, pattern);
    t.match(stderr, /^alluxio: [^\n]+\n$/);
  }
  t.same(await readdir(out), before, 'a failure leaves nothing behind');
});

await t.test('a copy whose answer breaks off, or that is stopped, is not there', async (t) => {
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/v1/node?')) {
      const self = { host: '127.0.0.1', httpServerPort: port, webPort: 0, s3Port: 0 };
      response.end(JSON.stringify(workerNetAddress(self)));
      return;
    }
    response.writeHead(200, { 'content-length': '100' });
    response.write('only the beginning', () => sent.resolve());
    breakOff.promise.then(() => response.destroy());
  });
  const breakOff = Promise.withResolvers<void>();
  let sent = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const worker = new OnlineWorkers({
    addresses: [{ Host: '127.0.0.1', HttpServerPort: port }],
    clock: systemClock,
    notice: (text) => t.fail(text),
  });
  t.teardown(async () => {
    await worker.close();
    server.closeAllConnections();
    server.close();
  });
  const real = new WorkerClient({ host: '127.0.0.1', port: standalone.worker.restPort });
  const source = await real.stat('/data/big.bin');
  await real.close();
  const place = t.testdir();
  const stop = new AbortController();
  const copy = () =>
    copyToLocal(worker, source, join(place, 'copy'), {
      isRecursive: false,
      preservesTimes: false,
      threads: 1,
      random: systemRandom,
      signal: stop.signal,
      onCopied: async () => undefined,
    });
  const broken = copy();
  await sent.promise;
  breakOff.resolve();
  await t.rejects(broken, {
    code: 'Unreachable',
    message:
      /^\/data\/big\.bin: the answer of the worker at .* broke off after \d+ bytes .*; repeat the command/,
  });
  t.same(await readdir(place), []);
  sent = Promise.withResolvers<void>();
  const stopped = copy();
  stop.abort(new Error('enough'));
  await t.rejects(stopped, { message: 'enough' });
  t.same(await readdir(place), []);
});

await t.test('location and nodes name the worker', async (t) => {
  const { restPort } = standalone.worker;
  t.equal(await printed('fs location /data/big.bin'), `127.0.0.1:${restPort}\n`);
  t.match(await alluxio('fs location /data/dir'), {
    code: 1,
    stderr: /\/data\/dir is a directory; name a file/,
  });
  const nodes = await printed('info nodes');
  t.match(
    nodes,
    new RegExp(
      `^WorkerId\\tAddress\\tStatus\\nworker-[\\da-f-]{36}\\t127\\.0\\.0\\.1:${restPort}\\tONLINE\\n$`,
    ),
  );
  const id = (await readFile(join(workDir, 'worker.id'), 'utf8')).trim();
  t.match(nodes, `\n${id}\t`);
});

await t.test('check-cached says how much is cached, and free takes it away', async (t) => {
  // What an earlier read set going would come in after the format.
  await standalone.worker.cache.idle();
  await printed('cache format');
  await alluxio('fs head /data/big.bin');
  await printed('fs cat /data/dir/a.csv');
  await standalone.worker.cache.idle();
  t.equal(
    await printed('fs check-cached /data'),
    [
      'Total files checked: 6',
      'Fully cached files count: 2',
      'Partially cached files count: 1',
      'Not cached files count: 3',
      'Total bytes checked: 4.00MB',
      'Bytes cached: 4.00MB',
      ' 99% /data/big.bin',
      '  0% /data/dir-2',
      `  0% /data/dir/${odd}`,
      '100% /data/dir/a.csv',
      '  0% /data/dir/deep/b.csv',
      '100% /data/dir/empty',
      '',
    ].join('\n'),
  );
  t.match(await printed('fs check-cached --sample 3 --limit 1 /data'), /^Total files checked: 1\n/);
  t.match(await printed('fs ls --sort inMemoryPercentage -r /data'), /big\.bin/);
  t.match(await alluxio('cache free'), { code: 1, stderr: /exactly one of --path and --worker/ });
  t.match(await alluxio('cache free --path /data --worker x'), { code: 1, stderr: /exactly one/ });
  t.equal(
    await printed('cache free --path /data/big.bin'),
    `Freed /data/big.bin: 1 file, 1 page, ${pageSizeBytes} bytes (4.00MB)\n`,
  );
  t.match(await printed(`cache free --path file://${dataDir}/dir`), /1 page, 13 bytes \(13B\)/);
  t.match(await printed('fs check-cached /data'), /Not cached files count: 5\n/);
  await alluxio('fs cat /data/big.bin');
  await standalone.worker.cache.idle();
  t.match(await alluxio('cache free --worker elsewhere'), {
    code: 1,
    stderr: /no worker is called "elsewhere"; name one of: worker-/,
  });
  t.match(
    await printed('cache free --worker 127.0.0.1'),
    /^Freed worker 127\.0\.0\.1: 1 file, 2 pages, 4195304 bytes/,
  );
  t.equal(await printed('cache format'), 'Formatted the cache: 0 files, 0 pages, 0 bytes (0B)\n');
  t.match(await alluxio('cache format -Dalluxio.security.admin.token.file=/none'), {
    code: 1,
    stderr: /without the admin token/,
  });
});

await t.test('report shows the cluster to people and to programs', async (t) => {
  await printed('fs cat /data/dir/a.csv');
  await printed('fs cat /data/dir/a.csv');
  const { port } = standalone.coordinator;
  const summary = await printed('info report');
  t.match(
    summary,
    new RegExp(`^Alluxio cluster summary:\\n {4}Coordinator Address: 127\\.0\\.0\\.1:${port}\\n`),
  );
  t.match(
    summary,
    /Live Workers: 1\n.*Mounts: 2\n.*Total Capacity: 64\.00MB\n.*Hit Ratio: [\d.]+% of bytes\n$/s,
  );
  const report = JSON.parse(await printed('info report --format json')) as Record<string, unknown>;
  t.match(report, {
    webPort: port,
    masterAddress: `127.0.0.1:${port}`,
    masterVersions: [{ state: 'PRIMARY', host: '127.0.0.1' }],
    safeMode: false,
    uptime: /^0d 00h0\dm\d\ds$/,
    start: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
    liveWorkers: 1,
    lostWorkers: 0,
    freeCapacity: /^[\d.]+M$/,
    mounts: 2,
  });
  t.match(
    await printed('info report summary --format yaml'),
    /^version: ".*\nmasterVersions:\n {2}- state: "PRIMARY"\n {4}port: \d/s,
  );
  t.match(await printed('info report metrics'), /^alluxio_cached_data_read_bytes_total \d+$/m);
  t.type(
    (JSON.parse(await printed('info report metrics --format json')) as Record<string, unknown>)[
      'alluxio_data_cached_pages'
    ],
    'number',
  );
  t.match(await printed('info report ufs'), `    file://${dataDir} on /data/ (file)\n`);
  t.match(JSON.parse(await printed('info report ufs --format json')), [
    { path: '/data', scheme: 'file' },
    { path: '/sample' },
  ]);
  t.match(await alluxio('info report jobs'), {
    code: 1,
    stderr: /Allowed choices are summary, metrics, ufs/,
  });
  t.match(JSON.parse(await printed('mount list --json')), { mounts: [{ path: '/data', options: {} }, {}] });
});

await t.test('a path that cannot be read is named with what to do next', async (t) => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['fs ls /none/a', /no mount holds \/none\/a; "alluxio mount list" shows/],
    ['fs cat s3://other/a', /no mount holds s3:\/\/other\/a; "alluxio mount list"/],
    ['fs cat /data/dir', /\/data\/dir is a directory; name a file, "alluxio fs ls \/data\/dir"/],
    ['fs stat /data/dir/none', /\/data\/dir\/none; "alluxio fs ls \/data\/dir" shows/],
    ['fs head -c many /data/big.bin', /"many" is not a size/],
  ];
  for (const [line, pattern] of rows) {
    const { code, stdout, stderr } = await alluxio(line);
    t.equal(code, 1, line);
    t.equal(stdout, '');
    t.match(stderr, pattern);
    t.match(stderr, /^alluxio: [^\n]+\n$/);
  }
});

await t.test('the access log has every answer, without the secrets of its query', async (t) => {
  const { s3Port } = standalone.worker;
  const signed = 'X-Amz-Credential=hush&X-Amz-Signature=hush&x%2Damz-security-token=hush&versions-of=x';
  await (await fetch(`http://127.0.0.1:${s3Port}/data/dir-2?${signed}`)).text();
  const findOwn = (): Record<string, unknown> | undefined =>
    logLines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .findLast(({ event, path }) => event === 'access' && String(path).startsWith('/data/dir-2?'));
  // It is logged when all of it was sent, which whoever has it may see before.
  await until(() => findOwn() !== undefined);
  const own = findOwn();
  t.match(own, {
    level: 'info',
    operation: 'GetObject',
    path: '/data/dir-2?X-Amz-Credential=xxx&X-Amz-Signature=xxx&x%2Damz-security-token=xxx&versions-of=x',
    status: 200,
    bytes: 17,
    durationMs: Number,
    outcome: String,
    requestId: String,
    remoteAddress: '127.0.0.1',
  });
  t.notMatch(logLines.join(''), 'hush');
});
