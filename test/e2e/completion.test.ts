/** Completion in real shells: each types into a terminal, presses tab, and has the shell show the words that it then reads. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import t, { type Test } from 'tap';
import { type Shell, shells } from '../../packages/cli/src/completion-scripts.ts';
import { runCommand } from '../../packages/cli/test/support/run-command.ts';
import { until } from '../support/cluster.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { requireProgram } from '../support/programs.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { bin: {}, cwd: { 'local-file': '' }, data: {} });
const dataDir = join(root, 'data');
const odd = "odd name (1) & it's $HOME;ü.csv";
await mkdir(join(dataDir, 'dir', 'deep'), { recursive: true });
await writeFile(join(dataDir, odd), '');
await writeFile(join(dataDir, 'plain.csv'), '');
// More than a page of a listing before the name that is asked for.
for (let index = 0; index < 1100; index++) await writeFile(join(dataDir, 'dir', `n-${index}`), '');
await writeFile(join(dataDir, 'dir', 'n-wanted'), '');
await writeFile(join(dataDir, 'dir', 'deep', 'x'), '');
const program = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;
// Answers shells, and shows the words of any other line.
const asked = join(root, 'asked');
const words = join(root, 'words');
await writeFile(
  join(root, 'bin', 'alluxio'),
  `#!/bin/sh
case "$1" in
completion | __complete)
  '${process.execPath}' '${program}' "$@"
  echo >> '${asked}'
  ;;
*)
  printf '<%s>' "$@" > '${words}.part' && mv '${words}.part' '${words}'
  ;;
esac
`,
  { mode: 0o755 },
);
const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');

const running = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
});
t.teardown(() => running.stop());
const workerId = (await readFile(join(root, 'work', 'worker.id'), 'utf8')).trim();
const environment = {
  ALLUXIO_WORK_DIR: join(root, 'work'),
  ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
  ALLUXIO_COORDINATOR_WEB_PORT: new URL(running.coordinator).port,
};

const prompt = 'READY-';

/** How a shell is started without anybody's configuration, and made to complete. */
const starts: Readonly<Record<Shell, { readonly command: string; readonly load: string }>> = {
  bash: { command: `PS1=${prompt} bash --norc --noprofile -i`, load: 'source <(alluxio completion bash)' },
  zsh: {
    command: `PS1=${prompt} zsh -f -i`,
    load: 'autoload -U compinit && compinit -u -D && source =(alluxio completion zsh)',
  },
  fish: {
    command: `fish --no-config -i -C 'function fish_prompt; echo ${prompt}; end'`,
    load: 'alluxio completion fish | source',
  },
};

/** Gives what reads a line with a tab at its end: the words that the command was then run with. */
async function startShell(t: Test, shell: Shell): Promise<(line: string) => Promise<readonly string[]>> {
  await requireProgram(shell, shell);
  await requireProgram('script', 'bsdutils');
  const { command, load } = starts[shell];
  const clean = cleanEnvironment();
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: join(root, 'cwd'),
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...clean,
      ...environment,
      PATH: [join(root, 'bin'), clean['PATH']].join(delimiter),
      HOME: workDirOf(t, {}),
      TERM: 'xterm',
      LC_ALL: 'C.UTF-8',
    },
  });
  let screen = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (screen += text));
  t.teardown(async () => {
    const ended = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGKILL')) await ended;
  });
  /** Before the prompt a shell may not take for keys what it gets. */
  const prompted = () =>
    until(() => {
      if (child.exitCode !== null) throw new Error(`${shell} ended: ${screen}`);
      return screen.includes(prompt);
    });
  const enter = (): void => {
    screen = '';
    child.stdin.write('\r');
  };
  await prompted();
  child.stdin.write(load);
  enter();
  return async (line) => {
    await prompted();
    await rm(words, { force: true });
    const before = (await textOf(asked)).length;
    child.stdin.write(`${line}\t`);
    await until(async () => (await textOf(asked)).length > before);
    enter();
    await until(async () => (await textOf(words)) !== '');
    return (await textOf(words)).split(/[<>]+/).slice(1, -1);
  };
}

const rows: readonly (readonly [typed: string, ...words: readonly string[]])[] = [
  ['alluxio fs sta', 'fs', 'stat'],
  ['alluxio info report met', 'info', 'report', 'metrics'],
  ['alluxio mount list --js', 'mount', 'list', '--json'],
  ['alluxio fs ls --sort inM', 'fs', 'ls', '--sort', 'inMemoryPercentage'],
  ['alluxio fs ls --sort=inM', 'fs', 'ls', '--sort=inMemoryPercentage'],
  ['alluxio mount remove --path /da', 'mount', 'remove', '--path', '/data/'],
  ['alluxio fs cat /data/pl', 'fs', 'cat', '/data/plain.csv'],
  ['alluxio fs ls /data/dir/d', 'fs', 'ls', '/data/dir/deep/'],
  ['alluxio fs cat /data/dir/n-w', 'fs', 'cat', '/data/dir/n-wanted'],
  ['alluxio fs cat /data/od', 'fs', 'cat', `/data/${odd}`],
  [`alluxio fs stat file://${dataDir}/pl`, 'fs', 'stat', `file://${dataDir}/plain.csv`],
  ['alluxio fs cp /data/plain.csv loc', 'fs', 'cp', '/data/plain.csv', 'local-file'],
  ['alluxio conf get alluxio.worker.page.store.pag', 'conf', 'get', 'alluxio.worker.page.store.page.size'],
  ['alluxio -Dalluxio.log.le', '-Dalluxio.log.level='],
  ['alluxio process remove-worker -n wor', 'process', 'remove-worker', '-n', workerId],
];

for (const shell of shells) {
  t.test(`${shell} completes commands, flags, choices, options and paths`, async (t) => {
    const wordsAfterTab = await startShell(t, shell);
    for (const [line, ...words] of rows) {
      let read = await wordsAfterTab(line);
      // On a busy machine the cluster may not answer in time.
      for (let retries = 3; retries > 0 && read.at(-1) !== words.at(-1); retries--)
        read = await wordsAfterTab(line);
      t.same(read, words, line);
    }
  });
}

t.test('bash completes within quotes and behind its own word breaks', async (t) => {
  const wordsAfterTab = await startShell(t, 'bash');
  for (const [line, ...words] of [
    ['alluxio fs cat "/data/odd na', 'fs', 'cat', `/data/${odd}`],
    ["alluxio fs cat '/data/pl", 'fs', 'cat', '/data/plain.csv'],
    ['alluxio fs cat /data/odd\\ na', 'fs', 'cat', `/data/${odd}`],
  ] as const)
    t.same(await wordsAfterTab(line), words, line);
});

t.test('without a cluster, or with one that is silent, it says nothing, and soon', async (t) => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => silent.close());
  const address = silent.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  for (const where of [1, port]) {
    const begunMs = performance.now();
    const outcome = await runCommand(['__complete', 'zsh', '--', 'fs', 'ls', '/'], {
      environment: { ...environment, ALLUXIO_COORDINATOR_WEB_PORT: String(where) },
    });
    t.same(outcome, { code: 0, stdout: '', stderr: '' });
    const tookMs = performance.now() - begunMs;
    t.ok(tookMs < 900, `after ${Math.round(tookMs)} ms`);
  }
});
