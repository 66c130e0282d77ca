/** The first session of the docs, run as it stands: every command, and what it prints but for what differs from machine to machine. */

import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { cleanEnvironment } from '../support/environment.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const execute = promisify(execFile);
const docFile = new URL('../../docs/first-session.md', import.meta.url).pathname;
const alluxio = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;

interface Step {
  readonly command: string;
  readonly output: readonly string[];
}

function stepsOf(text: string): readonly Step[] {
  const blocks = [...text.matchAll(/```console\n(.*?)```/gs)].map(([, block = '']) => block);
  return blocks.flatMap((block) =>
    block.split(/^\$ /m).flatMap((part) => {
      const [command = '', ...output] = part.trimEnd().split('\n');
      return command === '' ? [] : [{ command, output }];
    }),
  );
}

/** What is of the machine and the moment. */
const differing: readonly (readonly [RegExp, string])[] = [
  [/[0-9a-f]{8}-[0-9a-f-]{27}/g, '<id>'],
  [/\d\d-\d\d-\d{4} \d\d:\d\d:\d\d:\d{3}/g, '<time>'],
  [/\d\d:\d\d:\d\d/g, '<duration>'],
  [/file:\/\/\S*\/sample/g, '<sample>'],
  [/ \(\d+\)/g, ''],
];

function plain(line: string): string {
  return differing.reduce((text, [pattern, name]) => text.replaceAll(pattern, name), line);
}

t.test('the first session goes as the docs say', async (t) => {
  const root = workDirOf(t, { bin: {} });
  const ownDir = join(root, 'first-session');
  await mkdir(ownDir);
  const workDir = join(root, 'work');
  const roots = `alluxio.ufs.local.allowed.roots=${root}`;
  const { coordinator, s3, stop } = await startTestStandalone({ workDir, definitions: [roots] });
  t.teardown(stop);
  const options = [`work.dir=${workDir}`, `coordinator.web.port=${new URL(coordinator).port}`];
  const wrapper = join(root, 'bin', 'alluxio');
  const definitions = options.map((option) => `'-Dalluxio.${option}'`).join(' ');
  await writeFile(wrapper, `#!/bin/sh\nexec '${process.execPath}' '${alluxio}' "$@" ${definitions}\n`);
  await chmod(wrapper, 0o755);
  const here = (text: string): string =>
    text.replaceAll('/tmp/first-session', ownDir).replaceAll('http://127.0.0.1:29998', s3);
  const env = { ...cleanEnvironment(), PATH: `${join(root, 'bin')}:${process.env['PATH']}` };
  const steps = stepsOf(await readFile(docFile, 'utf8'));
  t.ok(steps.length > 10);
  for (const { command, output } of steps) {
    const ran = await execute('sh', ['-c', `${here(command)} 2>&1`], { env }).catch(
      (thrown: { stdout: string }) => thrown,
    );
    t.same(
      ran.stdout.trimEnd().split('\n').map(plain),
      (output.length === 0 ? [''] : output).map(here).map(plain),
      command,
    );
  }
});
