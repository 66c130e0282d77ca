import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { metricOf, startTestStandalone } from '../../../test/support/standalone.ts';
import { runCommand as run } from './support/run-command.ts';

const root = t.testdir({ data: { deep: {} }, empty: {}, work: {} });
const dataDir = join(root, 'data');
for (let index = 0; index < 20; index++) {
  await writeFile(join(dataDir, `f-${index}`), `bytes of ${index}\n`.repeat(1000));
}
await writeFile(join(dataDir, 'deep', 'g'), 'g');
const standalone = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
  // So that it is noticed at once when a file goes.
  definitions: ['alluxio.worker.metadata.default.max.age=0'],
});
t.teardown(() => standalone.stop());
const environment = {
  ALLUXIO_WORK_DIR: join(root, 'work'),
  ALLUXIO_COORDINATOR_WEB_PORT: new URL(standalone.coordinator).port,
};
const alluxio = (...argv: readonly string[]) => run(argv, { environment });

t.test('ufsTest tries the storage of a mount and leaves it as it was', async (t) => {
  const before = await readdir(dataDir);
  const { code, stderr, stdout } = await alluxio('exec', 'ufsTest', '--path', '/data/', '--write');
  t.equal(stderr, '');
  t.equal(code, 0);
  t.match(stdout, /^ok +list +\d+ ms {2}21 files\n/);
  t.match(stdout, /\nok +odd names +\d+ ms .*\n/);
  t.match(stdout, /12 checks, 0 failed\n$/);
  t.same(await readdir(dataDir), before);
});

t.test('ufsTest of a URI needs no cluster, and fails where the storage does', async (t) => {
  const gone = `file://${root}/gone`;
  const offline = { environment: { ...environment, ALLUXIO_COORDINATOR_WEB_PORT: '1' } };
  const failed = await run(['exec', 'ufsTest', '--path', gone, '--json'], offline);
  t.equal(failed.code, 1);
  t.match(JSON.parse(failed.stdout), {
    ufsUri: gone,
    checks: [{ name: 'list', level: 'error', finding: /does not exist/ }],
  });
  const empty = await run(['exec', 'ufsTest', '--path', `file://${root}/empty`], offline);
  t.equal(empty.code, 0, 'a warning is no failure');
  t.match(empty.stdout, /^warning +list .*there is no file to read/);
});

t.test('ufsTest says what it lacks', async (t) => {
  const add = 'mount add --path /s3 --ufs-uri s3://bucket/ --no-check --option alluxio.underfs.s3.region=r';
  await alluxio(...add.split(' '), '--option', 's3a.accessKeyId=id', '--option', 's3a.secretKey=hush');
  const masked = await alluxio('exec', 'ufsTest', '--path', '/s3');
  t.equal(masked.code, 1);
  t.match(masked.stderr, /nobody tells the secrets of \/s3; give them: .*--option s3a\.secretKey=@file/);
  t.notMatch(masked.stderr, /hush/);
  const unknown = await alluxio('exec', 'ufsTest', '--path', '/none');
  t.match(unknown, { code: 1, stderr: /nothing is mounted at \/none.*file:\/\/\/none/ });
  const option = await alluxio('exec', 'ufsTest', '--path', '/data', '--option', 'x=y');
  t.match(option, { code: 1, stderr: /a file mount has no option "x"/ });
  await alluxio('mount', 'remove', '--path', '/s3');
});

t.test('basicIOTest reads for its time, and after the first round from the cache', async (t) => {
  const argv = ['exec', 'basicIOTest', '--path', '/data', '--seconds', '1', '--threads', '3', '--json'];
  const { code, stderr, stdout } = await alluxio(...argv);
  t.equal(code, 0, stderr);
  const summary = JSON.parse(stdout);
  t.match(summary, { path: '/data', threads: 3, workerCount: 1, fileCount: 21, failedCount: 0 });
  t.ok(summary.durationMs >= 1000 && summary.durationMs < 10_000, String(summary.durationMs));
  t.ok(summary.requestCount > 21);
  t.ok(summary.bytes > 0 && summary.bytesPerSecond > 0);
  t.ok(summary.firstByteP50Ms <= summary.firstByteP99Ms);
  const { hit = 0, ...others } = summary.outcomes as Readonly<Record<string, number>>;
  const rest = Object.values(others).reduce((sum, count) => sum + count, 0);
  t.equal(hit + rest, summary.requestCount, 'each has an outcome');
  t.ok(hit > 0);
  const text = await alluxio('exec', 'basicIOTest', '--path', '/data/deep/g', '--seconds', '1');
  t.match(
    text.stdout,
    /^Read \/data\/deep\/g for [\d.]+ s: 1 file, 1 worker, 4 threads\nThroughput: .*\nRequests: .*, 0 failed\)\nFirst byte: p50 .* ms, p99 .* ms\nHits: .*% of requests \(.*\)\n$/,
  );
});

t.test('basicIOTest on a terminal shows where it is', async (t) => {
  const argv = ['exec', 'basicIOTest', '--path', '/data', '--seconds', '1'];
  const { stderr } = await run(argv, { environment, answer: '' });
  t.match(stderr, /\r1 s: .*\/s, \d+ reads, 0 failed +\n$/);
});

t.test('basicIOTest without a file, and with reads that fail', async (t) => {
  const argv = ['--seconds', '1', '--threads', '1'];
  const none = await alluxio('exec', 'basicIOTest', '--path', '/data/none', ...argv);
  t.match(none, { code: 1, stderr: /\/data\/none/ });
  const pagesRead = () => metricOf(standalone.web, 'alluxio_read_pages_total');
  const before = await pagesRead();
  const running = alluxio('exec', 'basicIOTest', '--path', '/data', '--seconds', '3', '--json');
  while ((await pagesRead()) === before) await new Promise((resolve) => setImmediate(resolve));
  await rm(dataDir, { recursive: true });
  const failed = await running;
  t.equal(failed.code, 1);
  const { failedCount, failure, requestCount } = JSON.parse(failed.stdout);
  t.ok(requestCount > 0 && failedCount > 0, failed.stdout);
  // Of the file, or of all of the directory, whichever was seen gone first.
  t.match(failure, /no such file|does not exist on this machine/);
});
