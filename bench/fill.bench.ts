/**
 * What a GiB costs that a worker fetches from an S3 server over plain HTTP, checks and writes: CPU time of the process, by kind of thread, beside what receiving and
 * writing the same bytes cost alone. `npm run bench:fill -- --help`.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { GIB, MIB } from '@alluxio-ts/common/units';
import { installS3Clients } from '../test/support/python-packages.ts';
import { type S3Server, startS3Server } from '../test/support/s3-server.ts';
import { localHost } from '../test/support/test-network.ts';
import { FullPageCache } from './full-page-cache.ts';
import { rcloneRemoteOf, runLoad } from './load-jobs.ts';
import { threadCpuSeconds } from './process-cpu.ts';
import { median } from './results.ts';
import { type StandaloneProcess, startStandaloneProcess } from './standalone-process.ts';

const help = `npm run bench:fill [-- options]

  --rounds 5      rounds, of 2 GiB each
  --dir <dir>     where server and cache go (12 GiB); the system's temporary directory
`;

const bucket = 'dataset';
const objectCount = 8;
const objectBytes = 256 * MIB;
const roundBytes = objectCount * objectBytes;
/** In which a process that stood still hears of what was closed meanwhile. */
const hearingMs = 200;
const execute = promisify(execFile);

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(help);
else await main(Number(values.rounds), values.dir);

interface Place {
  readonly dir: string;
  readonly pageCache: FullPageCache;
}

/** CPU seconds a GiB. */
interface Costs {
  readonly receiving: number;
  readonly writing: number;
  readonly filling: number;
  /** Of `filling`, by the name of the threads. */
  readonly threads: ReadonlyMap<string, number>;
}

async function main(rounds: number, parentDir: string): Promise<void> {
  const dir = mkdtempSync(join(parentDir, 'alluxio-fill-bench-'));
  process.env['PATH'] = `${await installS3Clients()}/bin:${process.env['PATH'] ?? ''}`;
  const pageCache = new FullPageCache(dir);
  const server = await startS3Server(localHost, { capacityBytes: 3 * roundBytes });
  try {
    await server.createBucket(bucket);
    await fill(server, dir);
    const running = await startStandaloneProcess({
      workDir: join(dir, 'work'),
      definitions: ['alluxio.worker.page.store.sizes=8GB'],
      mount: { path: '/dataset', ufsUri: `s3://${bucket}/`, options: server.mountOptions },
    });
    try {
      await load(running);
      const costs: Costs[] = [];
      for (let round = 0; round < rounds; round++) {
        costs.push(await measure(running, server, { dir, pageCache }));
        process.stderr.write(`round ${round + 1} of ${rounds}\n`);
      }
      process.stdout.write(`${tableOf(costs)}\n\nload average ${loadavg()[0]?.toFixed(1)} at the end\n`);
    } finally {
      await running.stop();
    }
  } finally {
    await server.stop();
    pageCache.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function fill(server: S3Server, dir: string): Promise<void> {
  const source = join(dir, 'source');
  mkdirSync(source);
  for (let object = 0; object < objectCount; object++) {
    await writeFile(join(source, `object-${object}.bin`), object);
  }
  await execute('rclone', ['copy', '--s3-no-check-bucket', source, rcloneRemoteOf(server, bucket)]);
  rmSync(source, { recursive: true });
}

/** Bytes that no storage can keep as fewer. */
async function writeFile(path: string, seed: number): Promise<void> {
  const piece = Buffer.alloc(MIB);
  const file = await open(path, 'w');
  for (let index = 0; index < objectBytes / MIB; index++) {
    for (let at = 0; at < MIB; at += 32)
      createHash('sha256').update(`${seed}.${index}.${at}`).digest().copy(piece, at);
    await file.write(piece);
  }
  await file.close();
}

/** Fetches everything once more. */
async function load({ client }: StandaloneProcess): Promise<void> {
  await client.formatCache();
  await runLoad(client, '/dataset', {});
}

async function measure(
  running: StandaloneProcess,
  server: S3Server,
  { dir, pageCache }: Place,
): Promise<Costs> {
  const settle = async (): Promise<void> => {
    await execute('sync');
    pageCache.fill();
    await systemClock.sleep(hearingMs);
  };
  await running.client.formatCache();
  await settle();
  const receiving = await receive(server);
  await settle();
  const writing = await write(dir);
  await settle();
  const before = threadCpuSeconds(running.pid);
  await load(running);
  const gib = roundBytes / GIB;
  const threads = new Map<string, number>();
  for (const [name, seconds] of threadCpuSeconds(running.pid))
    threads.set(name, (seconds - (before.get(name) ?? 0)) / gib);
  return { receiving, writing, filling: sumOf(threads.values()), threads };
}

/** What curl takes for the same bytes, thrown away: of its own process alone. */
async function receive({ accessKeyId, endpoint, region, secretKey }: S3Server): Promise<number> {
  const urls = Array.from(
    { length: objectCount },
    (_, object) => `${endpoint}/${bucket}/object-${object}.bin`,
  );
  const args = `--silent --show-error --fail --aws-sigv4 aws:amz:${region}:s3 --user ${accessKeyId}:${secretKey}`;
  const outputs = urls.flatMap((url) => ['--output', '/dev/null', url]);
  return secondsOf(['curl', ...args.split(' '), ...outputs]);
}

/** What writing the same bytes to a new file takes, in pieces of a page. */
async function write(dir: string): Promise<number> {
  const path = join(dir, 'written');
  const seconds = await secondsOf([
    'dd',
    'if=/dev/zero',
    `of=${path}`,
    'bs=4M',
    `count=${roundBytes / (4 * MIB)}`,
    'status=none',
  ]);
  rmSync(path);
  return seconds;
}

/** CPU seconds a GiB of a program that handles a round's bytes. */
async function secondsOf(command: readonly string[]): Promise<number> {
  const { stderr } = await execute('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$@"', 'bash', ...command]);
  return sumOf(stderr.trim().split(/\s+/).map(Number)) / (roundBytes / GIB);
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const each of numbers) sum += each;
  return sum;
}

function tableOf(costs: readonly Costs[]): string {
  const names = [...new Set(costs.flatMap(({ threads }) => [...threads.keys()]))];
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ['curl to /dev/null: receiving alone', costs.map(({ receiving }) => receiving)],
    ['dd into a new file: writing alone', costs.map(({ writing }) => writing)],
    ['alluxio job load: received, checked, written, indexed', costs.map(({ filling }) => filling)],
    ...names.map((name) => [`of it ${name}`, costs.map(({ threads }) => threads.get(name) ?? 0)] as const),
  ];
  const lines = rows
    .filter(([, each]) => median(each) >= 0.01)
    .map(
      ([what, each]) =>
        `| ${what} | ${median(each).toFixed(2)} (${Math.min(...each).toFixed(2)}–${Math.max(...each).toFixed(2)}) |`,
    );
  return ['| what | CPU-s/GiB |', '|---|---|', ...lines].join('\n');
}
