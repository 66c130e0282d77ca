/**
 * The packages as they are published: packed, installed elsewhere where there is no cargo, and used by the command, by a whole process and by the compiler; the native part of the
 * hot path from its own package, and without it.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { machineName, prebuiltPackageOf } from '../../packages/transport/src/hotpath-addon.ts';
import { isHotpathBuilt } from '../../packages/transport/src/hotpath-native.ts';
import { metricOf } from '../support/standalone.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));

/** Without what the npm that runs this test says of itself, as another one would take it for its own settings, and without a cargo. */
const environment = {
  ...Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^npm_(config_local_prefix|package_|lifecycle_)/.test(name),
    ),
  ),
  PATH: (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((path) => !existsSync(join(path, 'cargo')))
    .join(delimiter),
};

/** Not below this repository, whose modules would be found from there. */
const dir = await mkdtemp(join(tmpdir(), 'alluxio-packed-'));
t.teardown(() => rm(dir, { recursive: true, force: true }));
const tarballDir = join(dir, 'tarballs');

await t.test('every package is packed and installs', async (t) => {
  await run(process.execPath, [join(root, 'scripts', 'pack.ts'), tarballDir], { env: environment });
  const tarballs = await readdir(tarballDir);
  const packageCount = (await readdir(join(root, 'packages'))).length;
  t.equal(tarballs.length, packageCount + (isHotpathBuilt() ? 1 : 0));
  await writeFile(join(dir, 'package.json'), '{ "private": true, "type": "module" }');
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const paths = tarballs.map((name) => join(tarballDir, name));
  await t.rejects(run('cargo', ['--version'], { env: environment }), { code: 'ENOENT' });
  await run('npm', ['install', '--prefix', dir, ...quiet, ...paths], { cwd: dir, env: environment });
});

await t.test('the command says its version', async (t) => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  const { stdout } = await run('npx', ['--no', 'alluxio', 'info', 'version'], { cwd: dir, env: environment });
  t.equal(stdout.trim(), version);
});

interface Served {
  readonly log: string;
  /** Answers that the native part gave by itself. */
  readonly nativeCount: number;
}

/** Runs everything in one process from the packages, and reads the sample until it is a hit, and once more. */
async function serveSample(t: Test, definitions: readonly string[]): Promise<Served> {
  const ports = ['worker.rest', 'worker.http.server', 'worker.web', 'coordinator.web'];
  const child = spawn(
    join(dir, 'node_modules', '.bin', 'alluxio'),
    [
      ...ports.map((name) => `-Dalluxio.${name}.port=0`),
      ...definitions.map((definition) => `-D${definition}`),
      '-Dalluxio.worker.fill.threads=1',
      'standalone',
    ],
    {
      cwd: dir,
      env: { ...environment, ALLUXIO_WORK_DIR: join(dir, t.name.replaceAll(/\W/g, '-')) },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const log = text(child.stderr);
  let nativeCount = 0;
  try {
    const { s3, web } = await urlsOf(child);
    const sample = await readFile(join(dir, t.name.replaceAll(/\W/g, '-'), 'sample', 'hello.txt'), 'utf8');
    const read = async (): Promise<string | null> => {
      const response = await fetch(`${s3}/sample/hello.txt`);
      t.equal(response.status, 200);
      t.equal(await response.text(), sample);
      return response.headers.get('x-alluxio-cache');
    };
    t.equal(await read(), 'miss');
    let hitCount = 0;
    while (hitCount < 3) hitCount += (await read()) === 'hit' ? 1 : 0;
    nativeCount = await metricOf(web, 'alluxio_hotpath_answers_total');
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    t.same(await ended, [0, null]);
  }
  const said = await log;
  t.notMatch(said, /"level":"error"/, 'the fill thread ran from the package too');
  return { log: said, nativeCount };
}

await t.test('a process from the packages serves the sample', async (t) => {
  const { log } = await serveSample(t, []);
  t.match(log, `"transport":"${isHotpathBuilt() ? 'hotpath' : 'plain'}","event":"transport-chosen"`);
});

if (isHotpathBuilt()) {
  const hotpath = 'alluxio.worker.transport=hotpath';
  const addonDir = join(dir, 'node_modules', prebuiltPackageOf(machineName()));

  await t.test('the native part comes from its package, without cargo', async (t) => {
    const { log, nativeCount } = await serveSample(t, [hotpath]);
    t.match(log, /"transport":"hotpath","event":"transport-chosen"/);
    t.ok(nativeCount > 0, `${nativeCount} answers`);
  });

  await t.test('a native part of another version is named, and not used', async (t) => {
    const manifestFile = join(dir, 'node_modules', '@alluxio-ts', 'transport', 'package.json');
    const manifest = await readFile(manifestFile, 'utf8');
    await writeFile(manifestFile, manifest.replace(/"version": ".*"/, '"version": "9.9.9"'));
    const { log, nativeCount } = await serveSample(t, [hotpath]);
    await writeFile(manifestFile, manifest);
    t.match(
      log,
      /"level":"warn".*"transport":"plain".*is of version \S+ and not 9\.9\.9.*"transport-missing"/,
    );
    t.equal(nativeCount, 0);
  });

  await t.test(
    'without the optional package reads are answered by the plain transport, which is said',
    async (t) => {
      await rm(addonDir, { recursive: true });
      const { log, nativeCount } = await serveSample(t, [hotpath]);
      t.match(
        log,
        /"level":"warn".*"transport":"plain".*nor @alluxio-ts\/hotpath-linux.*"transport-missing"/,
      );
      t.equal(nativeCount, 0);
    },
  );
} else t.pass('the addon was not built: there is no cargo here');

async function urlsOf(child: ChildProcess): Promise<{ readonly s3: string; readonly web: string }> {
  if (!child.stdout) throw new Error('the process has no output');
  let s3 = '';
  for await (const line of createInterface({ input: child.stdout })) {
    s3 = /^S3 API\s+(\S+)/.exec(line)?.[1] ?? s3;
    const [, web] = /^Metrics\s+(\S+)\/metrics/.exec(line) ?? [];
    if (web === undefined) continue;
    child.stdout.resume();
    return { s3, web };
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
