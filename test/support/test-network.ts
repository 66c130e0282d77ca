/**
 * A network of hosts for tests, where packets can be dropped: each host is a network namespace, all hang on one bridge. It lives in namespaces of the process
 * that `runInOwnNetwork` starts, so that all of it ends with that process, however it ends. Needs Linux, root and iproute2.
 */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { cleanEnvironment } from './environment.ts';
import { missingProgram, requireProgram } from './programs.ts';

const execute = promisify(execFile);

/** Where a test starts a program. */
export interface TestHost {
  readonly address: string;
  /** The command that runs this one there. */
  command(program: string, args: readonly string[]): readonly string[];
}

export const localHost: TestHost = {
  address: '127.0.0.1',
  command: (program, args) => [program, ...args],
};

export interface OwnNetworkRun {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** Runs a script of ours with its arguments in new namespaces; `onLine` sees what it prints as it comes. */
export async function runInOwnNetwork(
  script: URL,
  args: readonly string[],
  onLine: (line: string) => void = () => undefined,
): Promise<OwnNetworkRun> {
  await demandNamespaces();
  const isolated = [...newNamespaces, process.execPath, script.pathname, ...args];
  // Its input is a pipe that closes with this process: the script ends then, and with it, the first of its process namespace, all that it started.
  const child = spawn('unshare', isolated, { stdio: ['pipe', 'pipe', 'pipe'], env: cleanEnvironment() });
  const lines: string[] = [];
  let errors = '';
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const pieces = (rest + text).split('\n');
    rest = pieces.pop() ?? '';
    lines.push(...pieces);
    for (const line of pieces) onLine(line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors = (errors + text).slice(-20_000)));
  await once(child, 'close');
  return { code: child.exitCode, lines, errors };
}

/** For the script: it goes when whoever started it goes. */
export function endWithStarter(): void {
  process.stdin.on('end', () => process.exit(1)).resume();
}

const newNamespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

async function demandNamespaces(): Promise<void> {
  await requireProgram('ip', 'iproute2');
  await execute('unshare', [...newNamespaces, 'true']).catch((thrown: unknown) => {
    throw missingProgram('network namespaces: Linux, root, and unshare of util-linux', [thrown]);
  });
}

/** Of a host that nobody has. */
const nobodysHardwareAddress = '02:00:00:00:ff:ff';
const bridge = 'bridge0';

export class TestNetwork {
  readonly #names: readonly string[];

  private constructor(names: readonly string[]) {
    this.#names = names;
  }

  /** In a process that `runInOwnNetwork` started, which itself is on the bridge and is never cut off. */
  static async create(names: readonly string[]): Promise<TestNetwork> {
    const network = new TestNetwork(names);
    await mkdir('/run/netns', { recursive: true });
    await execute('mount', ['-t', 'tmpfs', 'tmpfs', '/run/netns']);
    await ip('link set lo up');
    await ip(`link add ${bridge} type bridge`);
    await ip(`addr add 10.77.0.1/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    for (const name of names) await network.#add(name);
    return network;
  }

  host(name: string): TestHost {
    return {
      address: this.#addressOf(name),
      command: (program, args) => ['ip', 'netns', 'exec', name, program, ...args],
    };
  }

  /** From now on what goes from one host to the other is lost on the way, without a word to either. */
  async drop(from: string, to: string): Promise<void> {
    // Frames to a hardware address that nobody has reach every host and are taken by none.
    await ip(
      `-n ${from} neigh replace ${this.#addressOf(to)} lladdr ${nobodysHardwareAddress} nud permanent dev eth0`,
    );
  }

  /** Both directions. */
  async cut(one: string, other: string): Promise<void> {
    await Promise.all([this.drop(one, other), this.drop(other, one)]);
  }

  /** Everything arrives again. */
  async heal(): Promise<void> {
    await Promise.all(this.#names.map((name) => ip(`-n ${name} neigh flush dev eth0 nud permanent`)));
  }

  async #add(name: string): Promise<void> {
    await ip(`netns add ${name}`);
    await ip(`link add to-${name} type veth peer name eth0 netns ${name}`);
    await ip(`link set to-${name} master ${bridge} up`);
    await ip(`-n ${name} addr add ${this.#addressOf(name)}/24 dev eth0`);
    await ip(`-n ${name} link set eth0 up`);
    await ip(`-n ${name} link set lo up`);
  }

  #addressOf(name: string): string {
    const index = this.#names.indexOf(name);
    if (index < 0) throw new Error(`no host ${name}`);
    return `10.77.0.${10 + index}`;
  }
}

async function ip(command: string): Promise<void> {
  await execute('ip', command.split(' '));
}
