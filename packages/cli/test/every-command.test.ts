/** What holds for every command there is, also for one that is new. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { requireProgram } from '../../../test/support/programs.ts';
import { startTestStandalone } from '../../../test/support/standalone.ts';
import { exampleLines, programTree } from './support/example-lines.ts';
import { runCommand } from './support/run-command.ts';

const workDir = t.testdir({ out: {} });
const lines = exampleLines(programTree());

/** They ask nobody, or say nothing when nobody answers. */
const local = [
  'conf get',
  'info version',
  'completion',
  '__complete',
  'init format',
  'init validate',
  'exec ufsTest',
  // What it finds is its answer.
  'info doctor',
];

/** Takes connections and never answers. */
async function startSilent(t: Test): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

/** Has a full queue of connections, so that Linux drops each further packet that would open one, as a firewall does. */
async function startDropping(t: Test): Promise<number> {
  await requireProgram('python3', 'python3');
  const script = `
import socket, sys
listening = socket.socket()
listening.bind(('127.0.0.1', 0))
listening.listen(0)
waiting = []
for _ in range(3):
    each = socket.socket()
    each.setblocking(False)
    each.connect_ex(listening.getsockname())
    waiting.append(each)
print(listening.getsockname()[1], flush=True)
sys.stdin.read()
`;
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(async () => {
    const ended = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGKILL')) await ended;
  });
  const [port] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  return Number(port);
}

await t.test('every command says in less than two seconds that no coordinator is there', async (t) => {
  const holes = [
    { what: 'refuses', port: 1, reason: 'ECONNREFUSED' },
    { what: 'never answers', port: await startSilent(t), reason: 'nothing within 1000 ms' },
    { what: 'drops packets', port: await startDropping(t), reason: 'nothing within 1000 ms' },
  ];
  t.ok(lines.length > 20);
  for (const { what, port, reason } of holes) {
    await Promise.all(
      lines.map(async ({ name, words }) => {
        const begunMs = performance.now();
        const { code, stderr } = await runCommand(words, {
          environment: {
            ALLUXIO_WORK_DIR: workDir,
            ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
            ALLUXIO_COORDINATOR_WEB_PORT: String(port),
          },
          workingDir: join(workDir, 'out'),
        });
        const tookMs = performance.now() - begunMs;
        t.ok(tookMs < 2000, `${name}: ${what}: ${Math.round(tookMs)} ms`);
        if (local.includes(name)) return;
        t.equal(code, 1, name);
        t.equal(
          stderr,
          `alluxio: no coordinator answers at 127.0.0.1:${port} (${reason}); start one with "alluxio standalone", or set alluxio.coordinator.hostname and alluxio.coordinator.web.port to where it runs\n`,
          name,
        );
      }),
    );
  }
});

await t.test('no command shows a secret, to people, to programs, or in an error', async (t) => {
  const planted = { key: 'planted-secret-key', password: 'planted-password', typo: 'planted-by-typo' };
  await writeFile(join(workDir, 'alluxio-site.properties'), `alluxio.etcd.password=${planted.password}\n`);
  const running = await startTestStandalone({ workDir });
  t.teardown(() => running.stop());
  const token = (await readFile(join(workDir, 'admin.token'), 'utf8')).trim();
  const place = {
    environment: {
      ALLUXIO_WORK_DIR: workDir,
      ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
      ALLUXIO_COORDINATOR_WEB_PORT: new URL(running.coordinator).port,
    },
    workingDir: join(workDir, 'out'),
  };
  const addOf = (path: string, option: string) => [
    ...`mount add --path ${path} --ufs-uri s3://bucket${path} --no-check`.split(' '),
    '--option',
    'alluxio.underfs.s3.endpoint=http://127.0.0.1:1',
    '--option',
    's3a.accessKeyId=ID',
    '--option',
    `${option}=${planted.key}`,
  ];
  const shown: string[] = [];
  const show = async (words: readonly string[], outColumns?: number): Promise<void> => {
    // A command before it may have removed the mount.
    await runCommand(addOf('/s3', 's3a.secretKey'), place);
    const { stdout, stderr } = await runCommand(words, {
      ...place,
      ...(outColumns === undefined ? {} : { outColumns }),
    });
    shown.push(`${words.join(' ')}\n${stdout}${stderr}`);
    for (const secret of [...Object.values(planted), token]) {
      t.notOk(`${stdout}${stderr}`.includes(secret), `${words.slice(0, 2).join(' ')} shows ${secret}`);
    }
  };
  for (const { command, words } of lines) {
    await show(words);
    await show(words, 200);
    if (command.options.some(({ long }) => long === '--json')) await show([...words, '--json']);
  }
  for (const json of [[], ['--json']]) {
    await show(['mount', 'list', ...json]);
    await show(['info', 'report', 'ufs', ...json]);
    await show(['conf', 'get', 'alluxio.etcd.password', ...json]);
    await show([...addOf('/s3', 's3a.secretKey'), ...json]);
    await show([...addOf('/s4', 's3a.secretKye'), ...json]);
    await show(['mount', 'list', `-Dalluxio.etcd.passwrod=${planted.typo}`, ...json]);
    await show(['mount', 'add', '--path', '/s5', '--ufs-uri', 's3://b', '--option', planted.typo, ...json]);
    await show(['mount', 'list', '-Dalluxio.security.admin.token.file=/none', ...json]);
  }
  const all = shown.join('');
  t.match(all, 's3a.secretKey=xxx');
  t.match(all, '"s3a.secretKey": "xxx"');
  t.match(all, 'alluxio.etcd.password=xxx');
  t.match(
    all,
    /fs ls \/s3\/dir\/a\.csv\n.*(cannot be reached|ECONNREFUSED|127\.0\.0\.1)/,
    'the storage was asked',
  );
});
