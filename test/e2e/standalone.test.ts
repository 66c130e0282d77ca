/** `alluxio standalone` as a user starts it: a process of its own, its output, its signals, its second start. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { cleanEnvironment } from '../support/environment.ts';
import { requireProgram } from '../support/programs.ts';
import { workDirOf } from '../support/work-dir.ts';

const execute = promisify(execFile);
const alluxio = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;

const freePorts = [
  'coordinator.web.port',
  'worker.rest.port',
  'worker.http.server.port',
  'worker.web.port',
].map((name) => `-Dalluxio.${name}=0`);

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

class Process {
  readonly child: ChildProcess;
  output = '';
  errors = '';
  readonly ended: Promise<Ended>;
  #wake: () => void = () => undefined;

  constructor(workDir: string, args: readonly string[]) {
    this.child = spawn(process.execPath, [alluxio, 'standalone', `-Dalluxio.work.dir=${workDir}`, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.#wake();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.errors += text;
    });
    this.ended = once(this.child, 'close').then(([code, signal]) => {
      this.#wake();
      return { code, signal };
    });
  }

  /** Resolves with the output once it has this text; rejects when the process ended without. */
  async until(text: string): Promise<string> {
    while (!this.output.includes(text)) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        throw new Error(`ended before "${text}": ${this.errors}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.output;
  }

  /** Resolves with where the S3 API is, once everything runs. */
  async s3(): Promise<string> {
    return this.#addressAfter(await this.until('Ctrl-C stops it'), 'S3 API');
  }

  coordinatorPort(): string {
    return new URL(this.#addressAfter(this.output, 'Coordinator')).port;
  }

  async stop(signal: NodeJS.Signals): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }

  #addressAfter(text: string, label: string): string {
    return new RegExp(`^${label} +(http://\\S+)`, 'm').exec(text)?.[1] ?? '';
  }
}

async function withProcess(
  workDir: string,
  args: readonly string[],
  use: (running: Process) => Promise<void>,
): Promise<void> {
  const running = new Process(workDir, [...freePorts, ...args]);
  try {
    await use(running);
  } finally {
    running.child.kill('SIGKILL');
    await running.ended;
  }
}

async function get(url: string) {
  const response = await fetch(url);
  return {
    status: response.status,
    cache: response.headers.get('x-alluxio-cache'),
    text: await response.text(),
  };
}

async function cli(workDir: string, port: string, args: readonly string[]) {
  const options = [`-Dalluxio.work.dir=${workDir}`, `-Dalluxio.coordinator.web.port=${port}`];
  return execute(process.execPath, [alluxio, ...args, ...options], { env: cleanEnvironment() }).catch(
    (thrown: { stdout: string; stderr: string }) => thrown,
  );
}

t.test('the printed curl line reads the sample, and the second start is warm', async (t) => {
  await requireProgram('curl', 'curl');
  const workDir = workDirOf(t);
  await withProcess(workDir, [], async (running) => {
    await running.s3();
    const line = /^ +(curl .*)$/m.exec(running.output)?.[1] ?? '';
    const { stdout } = await execute('sh', ['-c', `${line} --silent`]);
    t.match(stdout, /^HTTP\/1\.1 200 OK\r\n/);
    t.match(stdout, /\r\nx-alluxio-cache: miss\r\n/);
    t.match(stdout, /\r\n\r\nHello from alluxio-ts\./);
    t.strictSame(await running.stop('SIGINT'), { code: 0, signal: null });
    t.match(running.output, /stopped\n$/);
  });
  await withProcess(workDir, [], async (running) => {
    t.equal((await get(`${await running.s3()}/sample/hello.txt`)).cache, 'hit');
    await running.stop('SIGKILL');
  });
  await withProcess(workDir, [], async (running) => {
    const s3 = await running.s3();
    t.equal((await get(`${s3}/sample/hello.txt`)).cache, 'hit', 'after kill -9 too');
  });
});

t.test(
  'a mount of the command line and one of the API are there after a restart, and go when removed',
  async (t) => {
    const root = workDirOf(t, { one: { 'a.txt': 'one' }, two: { 'b.txt': 'two' }, work: {} });
    const workDir = join(root, 'work');
    const args = [
      '--mount',
      `/one=${join(root, 'one')}`,
      `-Dalluxio.ufs.local.allowed.roots=${join(root, 'two')}`,
    ];
    await withProcess(workDir, args, async (running) => {
      const s3 = await running.s3();
      t.equal((await get(`${s3}/one/a.txt`)).text, 'one');
      const port = running.coordinatorPort();
      const added = await cli(workDir, port, [
        'mount',
        'add',
        '--path',
        '/two',
        '--ufs-uri',
        join(root, 'two'),
      ]);
      t.match(added.stdout, /^Mounted /);
      t.equal((await get(`${s3}/two/b.txt`)).text, 'two');
      const refused = await cli(workDir, port, ['mount', 'add', '--path', '/etc', '--ufs-uri', '/etc']);
      t.match(refused.stderr, /^alluxio: .*\/etc.*alluxio\.ufs\.local\.allowed\.roots.*\n$/);
      await running.stop('SIGTERM');
    });
    await withProcess(workDir, [], async (running) => {
      const s3 = await running.s3();
      t.equal((await get(`${s3}/one/a.txt`)).text, 'one', 'also without --mount');
      t.equal((await get(`${s3}/two/b.txt`)).text, 'two');
      const port = running.coordinatorPort();
      t.match(
        (await cli(workDir, port, ['mount', 'list'])).stdout,
        /^Listing all mount points\n.* on \/one\/ properties=\{\}\n/,
      );
      await cli(workDir, port, ['mount', 'remove', '--path', '/two']);
      t.equal((await get(`${s3}/two/b.txt`)).status, 404);
    });
  },
);

t.test('a taken port and a directory in use are one line each that names it', async (t) => {
  const workDir = workDirOf(t);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  for (const name of [
    'worker.rest.port',
    'worker.http.server.port',
    'worker.web.port',
    'coordinator.web.port',
  ]) {
    const others = freePorts.filter((each) => !each.includes(`${name}=`));
    const taken = new Process(workDir, [
      ...others,
      `-Dalluxio.${name}=${port}`,
      '-Dalluxio.log.level=silent',
    ]);
    t.strictSame(await taken.ended, { code: 1, signal: null });
    t.match(taken.errors, new RegExp(`^alluxio: port ${port} .*\\n$`), name);
  }
  server.close();
  await withProcess(workDir, [], async (running) => {
    await running.s3();
    const second = new Process(workDir, [...freePorts, '-Dalluxio.log.level=silent']);
    t.strictSame(await second.ended, { code: 1, signal: null });
    t.match(second.errors, /^alluxio: the directory .*state is in use by another alluxio process.*\n$/);
    t.equal((await get(`${await running.s3()}/sample/hello.txt`)).status, 200, 'the first goes on');
  });
});

t.test('wrong input is one line that says what is wrong, and changes nothing', async (t) => {
  const workDir = workDirOf(t);
  const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
    [['--mount', '/x=/no/such/directory'], /no\/such\/directory/],
    [['--mount', '/x=ftp://host/dir'], /ftp/],
    [['--mount', '/x/y=/tmp'], /\/x\/y/],
    [['--mount', 'nonsense'], /--mount/],
    [['-Dalluxio.worker.page.store.page.size=3MB'], /page\.size/],
    [['-Dalluxio.worker.page.stroe.sizes=1GB'], /alluxio\.worker\.page\.store\.sizes/],
    [
      ['--mount', '/s3=s3://bucket/', '--option', 'alluxio.underfs.s3.regoin=x'],
      /alluxio\.underfs\.s3\.region/,
    ],
  ];
  for (const [args, message] of cases) {
    const failed = new Process(workDir, [...freePorts, ...args, '-Dalluxio.log.level=silent']);
    t.equal((await failed.ended).code, 1);
    t.match(failed.errors, /^alluxio: [^\n]*\n$/, 'one line');
    t.match(failed.errors, message);
  }
});

t.test('a cache directory that cannot be used is said, and reads go to the storage', async (t) => {
  const root = workDirOf(t, { file: 'not a directory', work: {} });
  await withProcess(
    join(root, 'work'),
    [`-Dalluxio.worker.page.store.dirs=${join(root, 'file')}`],
    async (running) => {
      const s3 = await running.s3();
      const read = await get(`${s3}/sample/hello.txt`);
      t.equal(read.cache, 'bypass-disk');
      t.match(read.text, /^Hello/);
      t.match(running.errors, /"event":"cache-dir-not-used"/);
      await running.stop('SIGTERM');
    },
  );
});

t.test('Ctrl-C lets a download finish, and a second one ends at once', async (t) => {
  const root = workDirOf(t, { data: {}, work: {} });
  const bytes = Buffer.alloc(64 * 1024 * 1024, 'x');
  await writeFile(join(root, 'data', 'large'), bytes);
  const args = ['--mount', `/data=${join(root, 'data')}`];
  const startDownload = async (s3: string) => {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(s3).port) });
    socket.write('GET /data/large HTTP/1.1\r\nhost: h\r\n\r\n');
    await once(socket, 'readable');
    return socket;
  };
  await withProcess(join(root, 'work'), args, async (running) => {
    const socket = await startDownload(await running.s3());
    running.child.kill('SIGINT');
    await running.until('finishing');
    let received = 0;
    for await (const chunk of socket) received += (chunk as Buffer).length;
    t.ok(received > bytes.length, 'all of it came');
    t.equal((await running.ended).code, 0);
  });
  await withProcess(join(root, 'work'), args, async (running) => {
    const socket = await startDownload(await running.s3());
    running.child.kill('SIGINT');
    await running.until('finishing');
    t.equal((await running.stop('SIGINT')).signal, 'SIGINT');
    socket.destroy();
  });
});

t.test('a secret is found in no output, no list and no file', async (t) => {
  const workDir = workDirOf(t);
  const secret = 'verySecretKey0123456789';
  await mkdir(workDir, { recursive: true });
  await withProcess(workDir, ['-Dalluxio.log.level=debug'], async (running) => {
    const s3 = await running.s3();
    const options = [
      's3a.accessKeyId=AKID',
      `s3a.secretKey=${secret}`,
      'alluxio.underfs.s3.endpoint=http://127.0.0.1:1',
    ];
    const add = [
      'mount',
      'add',
      '--path',
      '/s3',
      '--ufs-uri',
      's3://bucket/',
      ...options.flatMap((each) => ['--option', each]),
    ];
    const port = running.coordinatorPort();
    const texts: string[] = [];
    for (const args of [add, [...add, '--no-check'], ['mount', 'list'], ['conf', 'get']]) {
      const { stdout, stderr } = await cli(workDir, port, args);
      texts.push(stdout, stderr);
    }
    t.match(texts.join(''), /s3a\.secretKey=xxx/);
    texts.push((await get(`${s3}/s3/key`)).text);
    texts.push((await get(`http://127.0.0.1:${port}/api/v1/mounts`)).text);
    await running.stop('SIGTERM');
    texts.push(running.output, running.errors);
    t.notOk(
      texts.some((text) => text.includes(secret)),
      'in no output',
    );
    for (const name of await readdir(workDir, { recursive: true })) {
      const content = await readFile(join(workDir, name)).catch(() => undefined);
      if (content?.includes(secret)) t.fail(`${name} holds the secret`);
    }
  });
});
