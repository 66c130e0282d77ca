/** The processes of a cluster for tests: coordinator and workers on free ports of 127.0.0.1, with their directories below one root. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';
import { guardOf } from './guard.ts';
import { localHost, type TestHost } from './test-network.ts';

const execute = promisify(execFile);
const alluxio = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;

export type Role = 'coordinator' | 'worker';

export interface MemberOptions {
  readonly role: Role;
  /** Its work directory. */
  readonly workDir: string;
  /** `-Dname=value`, for every process of the cluster. */
  readonly common: readonly string[];
  /** `-Dname=value`; what is no port here gets a free one. */
  readonly ports?: readonly string[];
  /** The host of a test network that it runs on; this one when none is named. */
  readonly host?: TestHost;
  /** More for its environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

const portNames = ['coordinator.web.port', 'worker.rest.port', 'worker.http.server.port', 'worker.web.port'];

export class Member {
  readonly #command: readonly string[];
  readonly #environment: Readonly<Record<string, string>>;
  #child: ChildProcess;
  output = '';
  errors = '';

  constructor({ role, workDir, common, ports = [], host = localHost, environment = {} }: MemberOptions) {
    const chosen = portNames.map(
      (port) => ports.find((each) => each.includes(port)) ?? `-Dalluxio.${port}=0`,
    );
    this.#environment = environment;
    this.#command = host.command(process.execPath, [
      alluxio,
      'process',
      'start',
      role,
      `-Dalluxio.work.dir=${workDir}`,
      `-Dalluxio.bind.host=${host.address}`,
      ...chosen,
      '-Dalluxio.worker.page.store.sizes=1GB',
      ...common,
    ]);
    this.#child = this.#spawn();
  }

  /** Resolves with the URL behind this label in the line that says that it runs. */
  async url(label: 'S3' | 'REST' | 'web' | 'at'): Promise<string> {
    while (!/ is running.*\n/.test(this.output)) {
      if (this.#child.exitCode !== null) throw new Error(`ended at start: ${this.errors}`);
      await Promise.race([once(this.#child.stdout ?? this.#child, 'data'), once(this.#child, 'exit')]);
    }
    return new RegExp(`${label} (http://[^,\\s]+)`).exec(this.output)?.[1] ?? '';
  }

  async restPort(): Promise<string> {
    return new URL(await this.url('REST')).port;
  }

  /** The ports that it has, so that it can be started again as the same. */
  async ports(): Promise<readonly string[]> {
    const portOf = (url: string): string => new URL(url).port;
    return [
      `-Dalluxio.worker.rest.port=${portOf(await this.url('S3'))}`,
      `-Dalluxio.worker.http.server.port=${portOf(await this.url('REST'))}`,
    ];
  }

  /** Resolves with the exit code when it has ended by itself, all of its output here. */
  async ended(): Promise<number | null> {
    if (!this.#child.stdout?.closed || this.#child.exitCode === null) await once(this.#child, 'close');
    return this.#child.exitCode;
  }

  /** Stops it where it is, its sockets open, as a frozen machine does. */
  freeze(): void {
    this.#child.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child.kill('SIGCONT');
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const ended = once(this.#child, 'close');
    this.#child.kill(signal);
    await ended;
    return this.#child.exitCode;
  }

  #spawn(): ChildProcess {
    const [program = '', ...args] = this.#command;
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...cleanEnvironment(), ...this.#environment },
    });
    if (child.pid !== undefined) {
      const guard = guardOf(child.pid, '');
      child.once('exit', () => guard.kill('SIGKILL'));
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.errors += text));
    return child;
  }
}

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** What Node is given to run a command against this coordinator. */
export async function commandLine(
  coordinator: Member,
  common: readonly string[],
  args: readonly string[],
): Promise<readonly string[]> {
  const { hostname, port } = new URL(await coordinator.url('at'));
  const where = [`-Dalluxio.coordinator.hostname=${hostname}`, `-Dalluxio.coordinator.web.port=${port}`];
  return [alluxio, ...args, ...common, ...where];
}

/** Runs a command against this coordinator; a command that fails gives its output too. */
export async function runCommand(
  coordinator: Member,
  common: readonly string[],
  args: readonly string[],
): Promise<CommandOutput> {
  const line = await commandLine(coordinator, common, args);
  return execute(process.execPath, line, { env: cleanEnvironment() }).catch(
    (thrown: CommandOutput) => thrown,
  );
}

/** What every process of a cluster below `root` is told. */
export function commonDefinitions(root: string, endpoints: readonly string[]): readonly string[] {
  return [
    `-Dalluxio.etcd.endpoints=${endpoints.join(',')}`,
    `-Dalluxio.cluster.secret.file=${join(root, 'shared', 'secret')}`,
    `-Dalluxio.security.key.file=${join(root, 'shared', 'key')}`,
    `-Dalluxio.security.admin.token.file=${join(root, 'shared', 'token')}`,
    `-Dalluxio.ufs.local.allowed.roots=${join(root, 'data')}`,
    '-Dalluxio.worker.failure.detection.timeout=3s',
  ];
}

/** Resolves when it holds; the test's own time is the bound. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}
