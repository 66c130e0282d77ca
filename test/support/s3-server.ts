/**
 * A real S3 server for tests: SeaweedFS where it can be had, else Ceph, or the one that ALLUXIO_TEST_S3 names. It listens on free ports of
 * 127.0.0.1 and ends with the test, also when the test is killed.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { S3Connection } from '@alluxio-ts/ufs-adapters/s3/connection';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { findCeph } from './ceph.ts';
import { freePorts } from './free-ports.ts';
import { guardOf } from './guard.ts';
import { missingProgram } from './programs.ts';
import type { S3Program, S3Traits, S3User } from './s3-program.ts';
import { findSeaweedFs } from './seaweedfs.ts';
import { localHost, type TestHost } from './test-network.ts';

export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretKey: string;
  readonly region: string;
  readonly traits: S3Traits;
  /** The options of a mount that reaches a bucket of this server. */
  readonly mountOptions: Readonly<Record<string, string>>;
  /** Names have at least three letters. */
  createBucket(name: string): Promise<void>;
  /** Ends the process and removes its files; more than once does no harm. */
  stop(): Promise<void>;
}

const startTimeoutMs = 60_000;
const startTriesMax = 3;
const pollMs = 50;

const region = 'us-east-1';
const owner: S3User = { name: 'test', accessKeyId: 'test-access-key', secretKey: 'test-secret-key' };
/** Somebody whom the server knows, without rights to what the owner makes. */
const stranger: S3User = {
  name: 'stranger',
  accessKeyId: 'stranger-access-key',
  secretKey: 'stranger-secret-key',
};

export interface S3ServerOptions {
  /** What it has to hold; a gigabyte unless given. */
  readonly capacityBytes?: number;
}

/** On a host of a test network, or on this one. */
export async function startS3Server(
  host: TestHost = localHost,
  options: S3ServerOptions = {},
): Promise<S3Server> {
  const program = await findProgram();
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(program, host, options);
    } catch (thrown) {
      // A port that was free a moment ago may be taken by another test.
      if (attempt >= startTriesMax) throw thrown;
    }
  }
}

const finders = new Map([
  ['seaweedfs', findSeaweedFs],
  ['ceph', findCeph],
]);

/** Installs one where that is allowed; fails, and says what is needed, otherwise. */
export async function requireS3Server(): Promise<void> {
  await findProgram();
}

async function findProgram(): Promise<S3Program> {
  const chosen = process.env['ALLUXIO_TEST_S3'];
  const find = finders.get(chosen ?? '');
  if (chosen && !find)
    throw new Error(`ALLUXIO_TEST_S3 is "${chosen}", not one of ${[...finders.keys()].join(', ')}`);
  const causes: unknown[] = [];
  for (const each of find ? [find] : finders.values()) {
    try {
      return await each();
    } catch (thrown) {
      causes.push(thrown);
    }
  }
  throw missingProgram('a real S3 server: SeaweedFS ("weed") or Ceph ("radosgw") on PATH', causes);
}

async function startOnce(program: S3Program, host: TestHost, options: S3ServerOptions): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'alluxio-s3-server-'));
  const running = await spawnServer(program, host, { directory, ...options });
  const endpoint = `http://${host.address}:${running.port}`;
  const mountOptions = {
    's3a.accessKeyId': owner.accessKeyId,
    's3a.secretKey': owner.secretKey,
    'alluxio.underfs.s3.region': region,
    'alluxio.underfs.s3.endpoint': endpoint,
  };
  const createBucket = (name: string): Promise<void> => put(mountOptions, name, undefined);
  const { accessKeyId, secretKey } = owner;
  const { traits } = program;
  const { stop } = running;
  try {
    await untilReady(running.child, async () => {
      await createBucket('ready');
      await put(mountOptions, 'ready', 'object');
    });
  } catch (thrown) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await stop();
    throw new Error(`${program.name} did not start; the end of its log:\n${log.slice(-4000)}`, {
      cause: thrown,
    });
  }
  return { endpoint, accessKeyId, secretKey, region, traits, mountOptions, createBucket, stop };
}

interface RunningServer {
  readonly child: ChildProcess;
  readonly port: number;
  readonly stop: () => Promise<void>;
}

async function spawnServer(
  program: S3Program,
  host: TestHost,
  { directory, ...options }: S3ServerOptions & { readonly directory: string },
): Promise<RunningServer> {
  const [port = 0] = await freePorts(1);
  const dataDirectory = join(directory, 'data');
  await mkdir(dataDirectory);
  const { address } = host;
  const users = [owner, stranger];
  const server = await program.command({ ...options, directory: dataDirectory, address, port, users });
  const [command = '', ...args] = host.command(...server);
  const log = await open(join(directory, 'log'), 'w');
  try {
    // In a process group of its own, which ends as a whole.
    const child = spawn(command, args, {
      cwd: dataDirectory,
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    await once(child, 'spawn');
    const guard = guardOf(groupOf(child), directory);
    let stopped: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      stopped ??= endServer(child, directory);
      await stopped;
      guard.kill('SIGKILL');
    };
    return { child, port, stop };
  } finally {
    await log.close();
  }
}

/** Ends all processes of the group, of which some may have ended, and removes the files. */
async function endServer(child: ChildProcess, directory: string): Promise<void> {
  try {
    process.kill(groupOf(child), 'SIGKILL');
  } catch (thrown) {
    if (!(thrown instanceof Error && 'code' in thrown && thrown.code === 'ESRCH')) throw thrown;
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  // The others of the group may still be making files.
  await rm(directory, { recursive: true, force: true, maxRetries: 20 });
}

/** What `kill` takes for the process group that the child leads. */
function groupOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the server was not started');
  return -pid;
}

async function untilReady(child: ChildProcess, attempt: () => Promise<void>): Promise<void> {
  const deadlineMs = systemClock.monotonic() + startTimeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (thrown) {
      const hasEnded = child.exitCode !== null || child.signalCode !== null;
      if (hasEnded || systemClock.monotonic() > deadlineMs) throw thrown;
      await systemClock.sleep(pollMs);
    }
  }
}

/** Makes a bucket, or an object when a key is given. */
async function put(
  options: Readonly<Record<string, string>>,
  bucket: string,
  key: string | undefined,
): Promise<void> {
  const uri = parseMountUri(`s3://${bucket}/`);
  const connection = new S3Connection(s3UfsOptions({ uri, options, environment: {}, check: true }), {
    clock: systemClock,
  });
  try {
    const call = { action: 'make', request: { method: 'PUT' as const, key }, signal: undefined };
    const response = await connection.send(call);
    const error = response.statusCode === 200 ? undefined : await connection.errorOf(call, response);
    // 409: a try before this one has made it.
    if (error && response.statusCode !== 409) throw error;
  } finally {
    await connection.close();
  }
}
