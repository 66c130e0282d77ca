/**
 * Ten thousand connections that were answered once and stand idle: the others are answered as fast as without them, what each takes of memory is bounded, and all end when their time
 * is over, or with the server. Server and clients are processes of their own: each takes a descriptor for each connection.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { openFilesMaxOf } from '@alluxio-ts/common/process-facts';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import t, { type Test } from 'tap';

/** Of any process here: Node has raised its soft limit to the hard one. */
const openFilesMax = openFilesMaxOf(await readFile('/proc/self/limits', 'utf8')) ?? 1024;
const idleCount = Math.min(10_000, Math.floor((openFilesMax - 500) / 100) * 100);

const asksPerRound = 200;
const rounds = 5;
/** What a connection may take of the server's own memory. The kernel's part is the same for both. */
const connectionMaxBytes = { plain: 40_000, hotpath: 12_000 } as const;

type Kind = keyof typeof connectionMaxBytes;

/** A program of test/support; its soft limit of descriptors is the one that shells have. */
class Program<Message extends object> {
  readonly #child: ChildProcess;
  readonly #waiting: ((message: Message) => void)[] = [];
  readonly #early: Message[] = [];

  constructor(t: Test, name: string, args: readonly string[], limit = '-S -n 1024') {
    const file = fileURLToPath(new URL(`support/${name}.ts`, import.meta.url));
    const command = ['-c', `ulimit ${limit} && exec "$0" "$@"`, process.execPath, file, ...args];
    this.#child = spawn('sh', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child.on('message', (message: Message) => {
      const wake = this.#waiting.shift();
      if (wake) wake(message);
      else this.#early.push(message);
    });
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  next(): Promise<Message> {
    const early = this.#early.shift();
    if (early) return Promise.resolve(early);
    return Promise.race([
      new Promise<Message>((resolve) => {
        this.#waiting.push(resolve);
      }),
      once(this.#child, 'exit').then(([code]) => {
        throw new Error(`the process ended with ${code}`);
      }),
    ]);
  }

  ask(what: string): Promise<Message> {
    this.#child.send(what);
    return this.next();
  }

  send(what: string): void {
    this.#child.send(what);
  }
}

interface Served {
  readonly port?: number;
  readonly rssBytes?: number;
}

interface Clients {
  readonly event: 'open' | 'used' | 'ended';
  readonly endedCount: number;
}

async function startServer(t: Test, kind: Kind, keepAliveMs: number, limit?: string) {
  const server = new Program<Served>(t, 'idle-server', [kind, String(keepAliveMs)], limit);
  const { port = 0 } = await server.next();
  const clients = (): Program<Clients> =>
    new Program<Clients>(t, 'idle-clients', [String(port), String(idleCount)]);
  return { server, port, clients };
}

/** The median of a round, of the best round: the machine has other work. */
async function medianMs(port: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const medians: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const times: number[] = [];
    for (let count = 0; count < asksPerRound; count++) {
      const begunMs = performance.now();
      await new Promise<void>((resolve, reject) => {
        const asked = request({ port, host: '127.0.0.1', agent }, (response) => {
          response.resume().once('end', resolve);
        });
        asked.once('error', reject).end();
      });
      times.push(performance.now() - begunMs);
    }
    times.sort((one, other) => one - other);
    medians.push(times[times.length >> 1] ?? 0);
  }
  agent.destroy();
  return Math.min(...medians);
}

function describeIdle(kind: Kind): void {
  t.test(
    `${kind}: ${idleCount} idle connections slow nobody down, cost little, and end with the server`,
    async (t) => {
      const { clients, port, server } = await startServer(t, kind, 600_000);
      const beforeMs = await medianMs(port);
      const { rssBytes: beforeBytes = 0 } = await server.ask('memory');
      const idle = clients();
      t.strictSame(await idle.next(), { event: 'open', endedCount: 0 });
      const { rssBytes = 0 } = await server.ask('memory');
      const withIdleMs = await medianMs(port);
      const eachBytes = Math.round((rssBytes - beforeBytes) / idleCount);
      t.comment(
        `${eachBytes} bytes each; a request took ${beforeMs.toFixed(3)} ms before, ${withIdleMs.toFixed(3)} with them`,
      );
      t.ok(eachBytes < connectionMaxBytes[kind], `${eachBytes} bytes each`);
      t.ok(withIdleMs < 2 * beforeMs + 1, `${withIdleMs} ms after ${beforeMs}`);
      t.strictSame(
        await idle.ask('use'),
        { event: 'used', endedCount: 0 },
        'they are answered like any other',
      );
      server.send('close');
      t.strictSame(await idle.next(), { event: 'ended', endedCount: idleCount });
    },
  );

  t.test(`${kind}: ${idleCount} idle connections end when their time is over`, async (t) => {
    const { clients } = await startServer(t, kind, 8000);
    const idle = clients();
    t.match(await idle.next(), { event: 'open' });
    t.strictSame(await idle.next(), { event: 'ended', endedCount: idleCount });
  });
}

/** More clients than a server of so few descriptors can have. */
const scarceLimit = 200;
const crowdCount = 300;

function describeScarcity(kind: Kind): void {
  t.test(
    `${kind}: without a descriptor left who comes is closed at once, the others are answered`,
    async (t) => {
      const { port } = await startServer(t, kind, 600_000, `-n ${scarceLimit}`);
      const crowd: Socket[] = [];
      t.teardown(() => crowd.forEach((socket) => socket.destroy()));
      const outcomes = Array.from({ length: crowdCount }, () => {
        const socket = connect({ port, host: '127.0.0.1' });
        crowd.push(socket);
        socket.on('error', () => undefined);
        socket.write('GET / HTTP/1.1\r\nhost: h\r\n\r\n');
        return new Promise<string>((resolve) => {
          socket.once('data', () => resolve('answered'));
          socket.once('close', () => resolve('closed'));
        });
      });
      const all = await Promise.all(outcomes);
      const answeredCount = all.filter((outcome) => outcome === 'answered').length;
      t.comment(`${answeredCount} of ${crowdCount} answered`);
      t.ok(answeredCount > 100 && answeredCount < scarceLimit);
      for (const socket of crowd) socket.destroy();
      const isAnswered = (): Promise<boolean> =>
        fetch(`http://127.0.0.1:${port}/`).then(
          ({ status }) => status === 200,
          () => false,
        );
      while (!(await isAnswered()));
    },
  );
}

t.comment(`${openFilesMax} descriptors`);
t.ok(idleCount >= 1000, 'a process has descriptors for a thousand connections');
const kinds: readonly Kind[] = isHotpathBuilt() ? ['plain', 'hotpath'] : ['plain'];
for (const kind of kinds) {
  describeIdle(kind);
  describeScarcity(kind);
}
if (!isHotpathBuilt()) t.pass('the addon was not built: there is no cargo here');
