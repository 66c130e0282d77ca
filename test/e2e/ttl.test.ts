/** TTL rules from the command line to the worker's disk, with times as short as they may be. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import t, { type Test } from 'tap';
import { cleanEnvironment } from '../support/environment.ts';
import { metricOf, startTestStandalone, type TestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const execute = promisify(execFile);
const alluxio = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;
const often = 'alluxio.ttl.eviction.check.interval=1s';

function prepare(t: Test) {
  const root = workDirOf(t, { data: { d: { a: 'a'.repeat(5000), keep: { b: 'b' } }, c: 'c' } });
  const workDir = join(root, 'work');
  const start = async (...definitions: readonly string[]): Promise<TestStandalone> => {
    const running = await startTestStandalone({
      workDir,
      mounts: [{ path: '/data', ufsUri: join(root, 'data'), options: {} }],
      definitions,
    });
    t.teardown(() => running.stop());
    return running;
  };
  const cli = async ({ coordinator }: TestStandalone, ...args: readonly string[]): Promise<string> => {
    const port = new URL(coordinator).port;
    const options = [`-Dalluxio.work.dir=${workDir}`, `-Dalluxio.coordinator.web.port=${port}`, `-D${often}`];
    const { stdout } = await execute(process.execPath, [alluxio, ...args, ...options], {
      env: cleanEnvironment(),
    });
    return stdout;
  };
  return { start, cli };
}

/** Reads a file to its end; gives what the read did. */
async function read({ s3 }: TestStandalone, key: string): Promise<string | null> {
  const response = await fetch(`${s3}/data/${key}`);
  await response.arrayBuffer();
  return response.headers.get('x-alluxio-cache');
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(20);
}

/** Reads files until they are here. */
async function warm(running: TestStandalone, ...keys: readonly string[]): Promise<void> {
  for (const key of keys) await until(async () => (await read(running, key)) === 'hit');
}

t.test('what is below the directory of a rule goes when its time is over', async (t) => {
  const { start, cli } = prepare(t);
  const running = await start(often);
  t.equal(
    await cli(running, 'ttl', 'add', '--path', '/data/d/keep', '--time', '1h'),
    'Added alluxioPath=/data/d/keep/ and time=1h\n',
  );
  await warm(running, 'd/a', 'd/keep/b', 'c');
  t.equal(
    await cli(running, 'ttl', 'add', '--path', '/data/d/', '--time', '1s'),
    'Added alluxioPath=/data/d/ and time=1s\n',
  );
  const expired = (): Promise<number> => metricOf(running.web, 'alluxio_ttl_expired_files_total');
  await until(async () => (await expired()) === 1);
  t.equal(await metricOf(running.web, 'alluxio_ttl_expired_bytes_total'), 5000);
  t.match(await cli(running, 'fs', 'check-cached', '/data/d'), /^Bytes cached: 1B$/m);
  t.equal(await read(running, 'd/a'), 'miss');
  t.equal(await read(running, 'd/keep/b'), 'hit');
  t.equal(await read(running, 'c'), 'hit');
  await until(async () => (await expired()) === 2);
  t.pass('what was read again goes again, found at the interval');
  t.equal(
    await cli(running, 'ttl', 'list'),
    'Listing all TTL rules\n/data/d/ time=1s\n/data/d/keep/ time=1h\n',
  );
  t.equal(
    await cli(running, 'ttl', 'remove', '--path', '/data/d'),
    'Removed alluxioPath=/data/d/ and time=1s\n',
  );
});

t.test('a rule and the time since a load are there after a restart', async (t) => {
  const { start, cli } = prepare(t);
  const first = await start('alluxio.ttl.policy.enabled=false', often);
  await warm(first, 'd/a', 'c');
  const loadedMs = systemClock.monotonic();
  t.match(await cli(first, 'ttl', 'add', '--path', '/data/d/', '--time', '1s'), /^Added /);
  await until(async () => systemClock.monotonic() - loadedMs > 3000);
  t.equal(await read(first, 'd/a'), 'hit', 'switched off, it drops nothing');
  await first.stop();
  // With an hour between two looks the one at the start has to find it.
  const second = await start();
  await until(async () => (await metricOf(second.web, 'alluxio_ttl_expired_files_total')) === 1);
  t.equal(await read(second, 'd/a'), 'miss');
  t.equal(await read(second, 'c'), 'hit');
});
