/**
 * A load job side by side with what people would use instead to bring a dataset near (P12): `rclone copy` and parallel `curl`, from the same S3 server to the same
 * disk, in turns. And what readers of what is cached feel meanwhile. `npm run bench:load -- --help`.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { constants, loadavg, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { GIB, KIB, MIB } from '@alluxio-ts/common/units';
import { createOwnCgroup } from '../test/support/own-cgroup.ts';
import { installS3Clients } from '../test/support/python-packages.ts';
import { type S3Server, startS3Server } from '../test/support/s3-server.ts';
import { metricOf } from '../test/support/standalone.ts';
import { localHost } from '../test/support/test-network.ts';
import { FullPageCache } from './full-page-cache.ts';
import { LoadGenerator, type LoadResult, type ReaderKind } from './load-generator.ts';
import { rcloneRemoteOf, runLoad } from './load-jobs.ts';
import { descendantsOf, threadsOf, treeCpuSeconds } from './process-cpu.ts';
import { median } from './results.ts';
import { type StandaloneProcess, startStandaloneProcess } from './standalone-process.ts';

const help = `npm run bench:load [-- options]

  --scale 0.1     a part of the dataset (20,000 × 100 KiB and 20 × 256 MiB)
  --rounds 3      rounds, each tool once in each
  --only tools    the tools beside each other; or
  --only readers  what readers feel; some eight minutes a round
  --dir <dir>     where server, copies and cache go (four times the dataset); the system's temporary directory
`;

const smallBytes = 100 * KIB;
const largeBytes = 256 * MIB;
const bucket = 'dataset';
const connectionCount = 32;
/** What the readers read, all of it cached. */
const readFolder = 'read';
const smallReads = { prefix: 'small', count: 100, sizeBytes: smallBytes };
const largeReads = { prefix: 'large', count: 50, sizeBytes: 4 * MIB };
const readerKinds: Readonly<Record<string, ReaderKind>> = {
  '200 requests/s of 100 KiB': { objects: smallReads, connectionCount: 16, ratePerSecond: 200 },
  '100 KiB by 8 connections, as fast as they come': { objects: smallReads, connectionCount: 8 },
  '4 MiB by 8 connections, as fast as they come': { objects: largeReads, connectionCount: 8 },
};
/**
 * Of everything together while readers are measured: less than all the files there are. Files that are written take memory that nothing has used for long, which a machine whose hypervisor takes
 * unused memory away pays for with all of its processors stopped for milliseconds; within a limit, as a container has one, they take what was used just before.
 */
const memoryMaxOf = (scale: number): number => (0.6 + 9.7 * scale) * GIB;
const aloneMs = 15_000;
/** Of a load, which may take long beside readers. */
const besideMs = 60_000;
const execute = promisify(execFile);

interface Plan {
  readonly smallCount: number;
  readonly largeCount: number;
  readonly rounds: number;
  readonly dir: string;
  readonly generator: LoadGenerator;
  readonly pageCache: FullPageCache;
}

interface Took {
  readonly tool: string;
  readonly round: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(help);
else if (values.only !== undefined && values.only !== 'tools' && values.only !== 'readers') {
  process.stderr.write(`--only ${values.only}: say tools or readers\n`);
  process.exitCode = 2;
} else await main(values);

async function main({ only, ...asked }: typeof values): Promise<void> {
  const dir = mkdtempSync(join(asked.dir, 'alluxio-load-bench-'));
  const [scale, rounds] = [Number(asked.scale), Number(asked.rounds)];
  const plan = {
    smallCount: Math.round(20_000 * scale),
    largeCount: Math.max(1, Math.round(20 * scale)),
    rounds,
    dir,
    generator: LoadGenerator.build(import.meta.dirname),
    pageCache: new FullPageCache(dir),
  };
  const datasetBytes = plan.smallCount * smallBytes + plan.largeCount * largeBytes;
  process.env['PATH'] = `${await installS3Clients()}/bin:${process.env['PATH'] ?? ''}`;
  const server = await startS3Server(localHost, { capacityBytes: 2 * datasetBytes });
  try {
    await server.createBucket(bucket);
    await upload(server, plan, (source) => makeDataset(source, plan));
    const took: Took[] = [];
    const loads = [{ verify: false }, { verify: true }, { verify: true, isAgain: true }];
    const tools = only === 'readers' ? [] : [rclone, curl, ...loads.map(alluxioLoad)];
    for (let round = 0; round < rounds; round++) {
      // Each begins once in a while.
      for (let turn = 0; turn < tools.length; turn++) {
        const tool = tools[(round + turn) % tools.length];
        if (!tool) continue;
        const one = await tool(server, plan, round);
        took.push(one);
        process.stderr.write(`${JSON.stringify(one)}\n`);
      }
    }
    if (took.length > 0) process.stdout.write(`${tableOf(took, datasetBytes)}\n`);
    if (only === 'tools') return;
    await upload(server, plan, (source) => {
      mkdirSync(join(source, readFolder));
      for (const reads of [smallReads, largeReads])
        plan.generator.makeObjects(join(source, readFolder), reads);
    });
    const felt: (readonly Felt[])[] = [];
    const group = await createOwnCgroup('load-bench', memoryMaxOf(scale));
    if (!group)
      process.stderr.write('no control group can be made: the memory of what follows has no bound\n');
    try {
      for (const pid of descendantsOf(process.pid)) {
        yieldAll(pid);
        await group?.take(pid);
      }
      await group?.take(process.pid);
      for (let round = 0; round < rounds; round++) {
        felt.push(await readTimes(server, plan, datasetBytes));
      }
    } finally {
      await group?.remove();
    }
    process.stdout.write(`${readersTable(felt)}\n`);
    process.stdout.write(
      `load average ${loadavg()
        .map((each) => each.toFixed(1))
        .join(' ')}\n`,
    );
  } finally {
    await server.stop();
    plan.pageCache.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Brings files that are made in a directory into the bucket. */
async function upload(
  server: S3Server,
  { dir }: Plan,
  make: (source: string) => Promise<void> | void,
): Promise<void> {
  const source = join(dir, 'source');
  mkdirSync(source);
  await make(source);
  const remote = rcloneRemoteOf(server, bucket);
  await execute('rclone', ['copy', '--transfers', '16', '--s3-no-check-bucket', source, remote]);
  rmSync(source, { recursive: true });
}

/** What the tools bring near: bytes that do not repeat within what any tool could keep of them. */
async function makeDataset(source: string, { largeCount, smallCount }: Plan): Promise<void> {
  for (const folder of ['small', 'large']) mkdirSync(join(source, folder));
  const bytes = Buffer.alloc(16 * MIB);
  for (let at = 0, state = 1; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, at);
  }
  for (let index = 0; index < smallCount; index++) {
    const from = (index * 7919) % (bytes.length - smallBytes);
    writeFileSync(join(source, 'small', nameOf(index)), bytes.subarray(from, from + smallBytes));
  }
  for (let index = 0; index < largeCount; index++) {
    const file = await open(join(source, 'large', nameOf(index)), 'w');
    for (let piece = 0; piece < largeBytes / bytes.length; piece++) {
      bytes.writeUInt32LE(index * 1000 + piece, 0);
      await file.write(bytes);
    }
    await file.close();
  }
}

function nameOf(index: number): string {
  return `object-${String(index).padStart(6, '0')}.bin`;
}

async function rclone(server: S3Server, plan: Plan, round: number): Promise<Took> {
  const target = join(plan.dir, 'rclone');
  const args = [
    'copy',
    '--transfers',
    String(connectionCount),
    '--checkers',
    '16',
    rcloneRemoteOf(server, bucket),
    target,
  ];
  return timed('rclone copy', { plan, round, target }, () =>
    spawn('rclone', args, { stdio: ['ignore', 'ignore', 'inherit'] }),
  );
}

async function curl(server: S3Server, plan: Plan, round: number): Promise<Took> {
  const { dir, largeCount, smallCount } = plan;
  const target = join(dir, 'curl');
  const paths = [
    ...Array.from({ length: smallCount }, (_, index) => `small/${nameOf(index)}`),
    ...Array.from({ length: largeCount }, (_, index) => `large/${nameOf(index)}`),
  ];
  const config = join(dir, 'curl.conf');
  const lines = paths.map(
    (path) => `url = "${server.endpoint}/${bucket}/${path}"\noutput = "${target}/${path}"\n`,
  );
  writeFileSync(config, lines.join(''));
  const credentials = `${server.accessKeyId}:${server.secretKey}`;
  const args =
    `--silent --show-error --fail --create-dirs --parallel --parallel-max ${connectionCount} --aws-sigv4 aws:amz:${server.region}:s3 --user ${credentials} --config ${config}`.split(
      ' ',
    );
  return timed('curl --parallel', { plan, round, target }, () => spawn('curl', args, { stdio: 'ignore' }));
}

async function timed(
  tool: string,
  { plan, round, target }: { readonly plan: Plan; readonly round: number; readonly target: string },
  start: () => ChildProcess,
): Promise<Took> {
  await settle();
  plan.pageCache.fill();
  const begunMs = performance.now();
  const child = start();
  const watch = watchCpu(child.pid ?? 0);
  const [code] = (await once(child, 'close')) as [number | null];
  const seconds = (performance.now() - begunMs) / 1000;
  const cpuSeconds = watch.stop();
  if (code !== 0) throw new Error(`${tool} ended with ${code}`);
  rmSync(target, { recursive: true });
  return { tool, round, seconds, cpuSeconds };
}

/** Of a process that will be gone when it has ended: as it was seen last. */
function watchCpu(pid: number): { stop(): number } {
  let seconds = 0;
  const timer = setInterval(() => {
    seconds = Math.max(seconds, treeCpuSeconds(pid));
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      return seconds;
    },
  };
}

async function settle(): Promise<void> {
  await execute('sync');
  await systemClock.sleep(1000);
}

interface LoadKind {
  readonly verify: boolean;
  /** Whether the process has loaded the same before, and forgotten it: workers run for weeks, but compile their code when they use it first. */
  readonly isAgain?: boolean;
}

function alluxioLoad({ isAgain = false, verify }: LoadKind) {
  return async (server: S3Server, plan: Plan, round: number): Promise<Took> => {
    const tool = `alluxio job load${verify ? ' --verify' : ''}${isAgain ? ', not its first' : ''}`;
    const running = await startAlluxio(server, plan);
    try {
      if (isAgain) {
        await runLoad(running.client, '/dataset', { verify });
        await running.client.formatCache();
      }
      await settle();
      plan.pageCache.fill();
      const cpuBefore = treeCpuSeconds(running.pid);
      const begunMs = performance.now();
      await runLoad(running.client, '/dataset', { verify });
      const seconds = (performance.now() - begunMs) / 1000;
      return { tool, round, seconds, cpuSeconds: treeCpuSeconds(running.pid) - cpuBefore };
    } finally {
      await running.stop();
    }
  };
}

function startAlluxio(server: S3Server, { dir }: Plan): Promise<StandaloneProcess> {
  return startStandaloneProcess({
    workDir: join(dir, 'work'),
    definitions: ['alluxio.worker.page.store.sizes=32GB'],
    mount: {
      path: '/dataset',
      ufsUri: `s3://${bucket}/`,
      options: {
        ...server.mountOptions,
        ...(server.traits.ordersByBytes ? {} : { 'alluxio.underfs.s3.list.ordered': 'false' }),
      },
    },
  });
}

/** The S3 server, which would be on another machine, gets the processor only where nobody else wants it. */
function yieldAll(pid: number): void {
  for (const thread of threadsOf(pid)) setPriority(thread, constants.priority.PRIORITY_LOW);
}

/** What readers felt, and what was copied or loaded meanwhile. */
interface Felt {
  readonly kind: string;
  readonly beside: string;
  readonly times: LoadResult;
  readonly besideBytes: number;
}

/** Readers of each kind with nothing else, while another process copies the dataset, while a job loads it, and with nothing else again. */
async function readTimes(server: S3Server, plan: Plan, datasetBytes: number): Promise<readonly Felt[]> {
  const running = await startAlluxio(server, plan);
  const target = { port: Number(new URL(running.s3).port), folder: `/dataset/${readFolder}` };
  // What is loaded is forgotten, what is read is here, and all code is warm.
  const prepare = async (kind: ReaderKind): Promise<void> => {
    await running.client.formatCache();
    await plan.generator.sweep(target, kind.objects);
    await settle();
    await readBeside(kind, () => systemClock.sleep(10_000));
  };
  const readBeside = async (kind: ReaderKind, work: () => Promise<unknown>): Promise<LoadResult> => {
    const reader = plan.generator.startReader(target, kind);
    await work();
    return reader.stop();
  };
  const idle = async (): Promise<number> => {
    await systemClock.sleep(aloneMs);
    return 0;
  };
  // Each with the bytes that it copied or loaded.
  const beside: Readonly<Record<string, () => Promise<number>>> = {
    nothing: idle,
    'rclone copy': async () => {
      const copies = join(plan.dir, 'beside');
      const args = ['copy', '--transfers', String(connectionCount), rcloneRemoteOf(server, bucket), copies];
      await once(spawn('rclone', args, { stdio: 'ignore' }), 'close');
      rmSync(copies, { recursive: true });
      return datasetBytes;
    },
    'a load': async () => {
      const loadedBytes = (): Promise<number> =>
        metricOf(running.web, 'alluxio_distributed_load_data_loaded_from_ufs_bytes_total');
      const before = await loadedBytes();
      await runLoad(running.client, '/dataset', { stopAfterMs: besideMs });
      return (await loadedBytes()) - before;
    },
    'nothing again': idle,
  };
  try {
    await runLoad(running.client, '/dataset');
    const felt: Felt[] = [];
    for (const [kindName, kind] of Object.entries(readerKinds)) {
      for (const [name, work] of Object.entries(beside)) {
        let besideBytes = 0;
        await prepare(kind);
        const times = await readBeside(kind, async () => (besideBytes = await work()));
        felt.push({ kind: kindName, beside: name, times, besideBytes });
        process.stderr.write(`${JSON.stringify(felt.at(-1))}\n`);
      }
    }
    return felt;
  } finally {
    await running.stop();
  }
}

/** One line a round, a kind of readers and a situation: the times of different rounds are not mixed. The ratio is to the better time with nothing else. */
function readersTable(rounds: readonly (readonly Felt[])[]): string {
  const rows = rounds.flatMap((felt, round) =>
    felt.map(({ beside, besideBytes, kind, times }) => {
      const alone = felt.filter((each) => each.kind === kind && each.beside.startsWith('nothing'));
      const aloneUs = Math.min(...alone.map((each) => each.times.p99Us));
      const { late99Us, p50Us, p99Us, requests, wallSeconds } = times;
      const ms = [late99Us, p50Us, p99Us].map((us) => (us / 1000).toFixed(2));
      const rate = (besideBytes / MIB / wallSeconds).toFixed(1);
      const cells = [round + 1, kind, beside, requests, wallSeconds.toFixed(1), rate, ...ms];
      return `| ${cells.join(' | ')} | ${(p99Us / aloneUs).toFixed(1)} |`;
    }),
  );
  return [
    '| round | hits read | beside | requests | s | MiB/s beside | late p99 ms | p50 ms | p99 ms | × alone |',
    '|---|---|---|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

function tableOf(took: readonly Took[], datasetBytes: number): string {
  const tools = [...new Set(took.map(({ tool }) => tool))];
  const peers = took.filter(({ tool }) => !tool.startsWith('alluxio'));
  const rows = tools.map((tool) => {
    const own = took.filter((one) => one.tool === tool);
    const ratios = own.map((one) => {
      const best = Math.min(
        ...peers.filter(({ round }) => round === one.round).map(({ seconds }) => seconds),
      );
      return best / one.seconds;
    });
    const seconds = median(own.map((one) => one.seconds));
    const cells = [
      seconds.toFixed(1),
      (datasetBytes / MIB / seconds).toFixed(0),
      median(own.map((one) => one.cpuSeconds)).toFixed(1),
      `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
    ];
    return `| ${tool} | ${cells.join(' | ')} |`;
  });
  return ['| tool | s | MiB/s | CPU-s | × the better peer |', '|---|---|---|---|---|', ...rows].join('\n');
}
