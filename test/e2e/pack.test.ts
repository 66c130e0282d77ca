/** The packages as they are published: packed, installed elsewhere, and used by the command, by a whole process and by the compiler. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Without what the npm that runs this test says of itself: another one would take it for its own settings. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^npm_(config_local_prefix|package_|lifecycle_)/.test(name),
  ),
);

/** Not below this repository, whose modules would be found from there. */
const dir = await mkdtemp(join(tmpdir(), 'alluxio-packed-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
const tarballDir = join(dir, 'tarballs');

await t.test('every package is packed and installs', async (t) => {
  await run(process.execPath, [join(root, 'scripts', 'pack.ts'), tarballDir], { env: environment });
  const tarballs = await readdir(tarballDir);
  t.equal(tarballs.length, (await readdir(join(root, 'packages'))).length);
  await writeFile(join(dir, 'package.json'), '{ "private": true, "type": "module" }');
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const paths = tarballs.map((name) => join(tarballDir, name));
  await run('npm', ['install', '--prefix', dir, ...quiet, ...paths], { cwd: dir, env: environment });
});

await t.test('the command says its version', async (t) => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  const { stdout } = await run('npx', ['--no', 'alluxio', 'info', 'version'], { cwd: dir, env: environment });
  t.equal(stdout.trim(), version);
});

await t.test('a process from the packages serves the sample', async (t) => {
  const ports = ['worker.rest', 'worker.http.server', 'worker.web', 'coordinator.web'];
  const child = spawn(
    join(dir, 'node_modules', '.bin', 'alluxio'),
    [...ports.map((name) => `-Dalluxio.${name}.port=0`), '-Dalluxio.worker.fill.threads=1', 'standalone'],
    {
      cwd: dir,
      env: { ...environment, ALLUXIO_WORK_DIR: join(dir, 'work') },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const log = text(child.stderr);
  try {
    const url = `${await s3UrlOf(child)}/sample/hello.txt`;
    const sample = await readFile(join(dir, 'work', 'sample', 'hello.txt'), 'utf8');
    for (const outcome of [/^miss$/, /^hit$|^miss-joined$/]) {
      const response = await fetch(url);
      t.equal(response.status, 200);
      t.match(response.headers.get('x-alluxio-cache'), outcome);
      t.equal(await response.text(), sample);
    }
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    t.same(await ended, [0, null]);
  }
  t.notMatch(await log, /"level":"error"/, 'the fill thread ran from the package too');
});

async function s3UrlOf(child: ChildProcess): Promise<string> {
  if (!child.stdout) throw new Error('the process has no output');
  for await (const line of createInterface({ input: child.stdout })) {
    const [, url] = /^S3 API\s+(\S+)/.exec(line) ?? [];
    if (url === undefined) continue;
    child.stdout.resume();
    return url;
  }
  throw new Error('the process ended before it served');
}

await t.test('the compiler finds the types', async (t) => {
  const source = `
    import { fileIdOf } from '@alluxio-ts/common/page';
    import { startWorker } from '@alluxio-ts/worker/worker';
    import type { WorkerOptions } from '@alluxio-ts/worker/worker-options';
    export const id: string = fileIdOf('s3://bucket/key');
    export const optionsOf: (start: typeof startWorker) => keyof WorkerOptions = () => 'pageSizeBytes';
    // @ts-expect-error a string is no number
    export const wrong: number = fileIdOf('s3://bucket/key');
  `;
  await writeFile(join(dir, 'user.ts'), source);
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'esnext'];
  await t.resolves(
    run(process.execPath, [tsc, ...options, join(dir, 'user.ts')], { cwd: dir, env: environment }),
  );
});
