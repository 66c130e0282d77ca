/** The servers that are measured, each a process of its own pinned to core 0: nginx from the system, and this repository's standalone worker. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface BenchServer {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  /** Path below which the objects are. */
  readonly folder: string;
  /** Where the REST API gives the objects, and their UFS path. */
  readonly rest?: { readonly port: number; readonly ufsRoot: string };
  stop(): Promise<void>;
}

export const serverCore = 0;
const originCore = 1;
const startDeadlineMs = 30_000;
const pollMs = 50;

/** As in production, but for the ports and the log of the start: at either level an answer writes no line. */
export const workerDefinitions = [
  'alluxio.worker.rest.port=0',
  'alluxio.worker.http.server.port=0',
  'alluxio.worker.web.port=0',
  'alluxio.coordinator.web.port=0',
  'alluxio.log.level=warn',
] as const;

export function startNginx(options: {
  readonly name: string;
  readonly dir: string;
  readonly contentDir: string;
  readonly isNopushOn: boolean;
  readonly core?: number;
}): Promise<BenchServer> {
  const { contentDir, isNopushOn } = options;
  return startNginxWith('nginx.conf.in', { content: contentDir, nopush: isNopushOn ? 'on' : 'off' }, options);
}

/** nginx that passes all on to the server at a port. */
export function startNginxProxy(options: {
  readonly name: string;
  readonly dir: string;
  readonly upstreamPort: number;
  readonly isBufferingOn: boolean;
}): Promise<BenchServer> {
  const { isBufferingOn, upstreamPort } = options;
  const values = { upstream: String(upstreamPort), buffering: isBufferingOn ? 'on' : 'off' };
  return startNginxWith('nginx-proxy.conf.in', values, options);
}

/** Caches in front of an nginx that serves the same files from another core. All is added to `servers`, which is stopped also when this fails. */
export async function startCaches(
  options: { readonly dir: string; readonly contentDir: string; readonly rclone: string },
  servers: BenchServer[],
): Promise<readonly BenchServer[]> {
  const { contentDir, dir, rclone } = options;
  const origin = await startNginx({
    name: 'origin',
    dir: join(dir, 'origin'),
    contentDir,
    isNopushOn: false,
    core: originCore,
  });
  servers.push(origin);
  const add = async (server: Promise<BenchServer>): Promise<BenchServer> => {
    servers.push(await server);
    return server;
  };
  return [
    await add(
      startNginxWith(
        'nginx-slice.conf.in',
        { upstream: String(origin.port) },
        { name: 'nginx slice cache', dir: join(dir, 'slice') },
      ),
    ),
    await add(startVarnish(join(dir, 'varnish'), origin.port)),
    await add(startRclone(rclone, contentDir)),
  ];
}

/** In memory, as it is installed but for the size; its answers carry their age, and live longer than the run. */
export function varnishArguments(dir: string, port: number, originPort: number): readonly string[] {
  const listen = ['-a', `127.0.0.1:${port}`, '-b', `127.0.0.1:${originPort}`];
  return ['-F', '-n', dir, ...listen, '-s', 'malloc,2g', '-t', '3600'];
}

export function rcloneArguments(contentDir: string, port: number): readonly string[] {
  return ['serve', 'http', '--addr', `127.0.0.1:${port}`, '--baseurl', '/bench', '--read-only', contentDir];
}

async function startVarnish(dir: string, originPort: number): Promise<BenchServer> {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  return started('Varnish', spawnPinned('varnishd', varnishArguments(dir, port, originPort)), port);
}

async function startRclone(command: string, contentDir: string): Promise<BenchServer> {
  const port = await freePort();
  return started('rclone serve http', spawnPinned(command, rcloneArguments(contentDir, port)), port);
}

/** Once it listens; stopped when it does not. */
async function started(name: string, child: ChildProcess, port: number): Promise<BenchServer> {
  child.stdout?.resume();
  const server = serverOf(name, child, port);
  try {
    await whenListening(server, child);
  } catch (thrown) {
    await server.stop();
    throw thrown;
  }
  return server;
}

async function startNginxWith(
  templateName: string,
  values: Readonly<Record<string, string>>,
  options: { readonly name: string; readonly dir: string; readonly core?: number },
): Promise<BenchServer> {
  const { core = serverCore, dir, name } = options;
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const template = readFileSync(join(import.meta.dirname, templateName), 'utf8');
  const config = fill(template, { ...values, dir, user: userInfo().username, port: String(port) });
  const configFile = join(dir, 'nginx.conf');
  writeFileSync(configFile, config);
  return started(
    name,
    spawnPinned('nginx', ['-p', dir, '-c', configFile, '-e', join(dir, 'error.log')], core),
    port,
  );
}

export async function startWorker(options: {
  readonly name: string;
  readonly dir: string;
  readonly contentDir: string;
  readonly repositoryDir: string;
  /** `name=value`, beside those that every worker here gets. */
  readonly definitions: readonly string[];
}): Promise<BenchServer> {
  mkdirSync(options.dir, { recursive: true });
  const main = join(options.repositoryDir, 'packages', 'cli', 'bin', 'alluxio.js');
  const definitions = [
    ...workerDefinitions,
    `alluxio.work.dir=${options.dir}`,
    `alluxio.ufs.local.allowed.roots=${options.contentDir}`,
    ...options.definitions,
  ].map((definition) => `-D${definition}`);
  const child = spawnPinned(process.execPath, [
    main,
    'standalone',
    '--mount',
    `/bench=${options.contentDir}`,
    ...definitions,
  ]);
  try {
    const ports = await portsOf(child);
    const rest = { port: ports.rest, ufsRoot: `file://${options.contentDir}` };
    return { ...serverOf(options.name, child, ports.s3), rest };
  } catch (thrown) {
    await stopOf(child)();
    throw thrown;
  }
}

export function spawnPinned(command: string, args: readonly string[], core = serverCore): ChildProcess {
  // taskset becomes the command, so the child's process id is the server's.
  return spawn('taskset', ['-c', String(core), command, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function serverOf(name: string, child: ChildProcess, port: number): BenchServer {
  return { name, pid: child.pid ?? 0, port, folder: '/bench', stop: stopOf(child) };
}

export function stopOf(child: ChildProcess): () => Promise<void> {
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await exited;
  };
}

/** The ports in the banner's lines of the two APIs. */
async function portsOf(child: ChildProcess): Promise<{ readonly s3: number; readonly rest: number }> {
  const lines = await untilStdout(child, /^S3 API .*\nREST API .*$/m);
  const [s3 = 0, rest = 0] = [...lines.matchAll(/http:\/\/[^\s/]+:(\d+)/g)].map(([, port]) => Number(port));
  return { s3, rest };
}

/** What of the output of a process matches first. */
export async function untilStdout(child: ChildProcess, pattern: RegExp): Promise<string> {
  const signal = AbortSignal.timeout(startDeadlineMs);
  return new Promise((resolve, reject) => {
    let text = '';
    signal.addEventListener('abort', () => reject(new Error('the worker did not start in time')));
    child.once('exit', (code) => reject(new Error(`the worker ended with ${code} before it had started`)));
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const found = pattern.exec(text)?.[0];
      if (found !== undefined) resolve(found);
    });
  });
}

async function whenListening(server: BenchServer, child: ChildProcess): Promise<void> {
  for (let waitedMs = 0; waitedMs < startDeadlineMs; waitedMs += pollMs) {
    if (child.exitCode !== null)
      throw new Error(`${server.name} ended with ${child.exitCode}; its error log says why`);
    if (await isListening(server.port)) return;
    await delay(pollMs);
  }
  throw new Error(`${server.name} does not listen on ${server.port}`);
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** nginx cannot tell which port it took, so one that is free now is taken for it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replaceAll(/@([a-z]+)@/g, (whole, name: string) => values[name] ?? whole);
}
