/**
 * The long versions of the fault tests: `npm run soak -- --help`. Writes lines of progress and a summary; the exit code is 1 when anything failed, 2 where the command line is wrong. The directory of a failed
 * run is kept, and its name said.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { damageStore } from '../../packages/worker/test/page-store-damage.ts';
import { killSizeBytes, killStore } from '../../packages/worker/test/page-store-kill.ts';
import {
  compactEtcd,
  emptyCache,
  emptyEtcd,
  freezeOwner,
  killCoordinator,
  killEtcdLeader,
  killInMidAnswer,
  killWorkers,
  slowOwner,
  splitRings,
} from './cluster-faults.ts';
import { BreakableCluster } from './cluster-load.ts';
import { flipDirectly } from './direct-flips.ts';
import { readThroughFullDisk } from './full-disk.ts';
import { type MemoryLoad, checkMemory, holdMemory } from './memory-load.ts';
import { flipWhileServing } from './served-flips.ts';
import { fuzzHotpath } from './hotpath-fuzz.ts';
import { requireForOwnNetwork } from '../support/host-cluster-needs.ts';
import { runInOwnNetwork } from '../support/test-network.ts';

interface SoakContext {
  readonly dir: string;
  readonly seed: number;
  /** A count, made smaller or larger as the command line says. */
  readonly scaled: (count: number) => number;
  /** How long what has no end of its own goes on. */
  readonly minutes: number;
  readonly report: (line: string) => void;
}

/** Each resolves with what to say in the summary, and rejects when anything went wrong. */
const scenarios: Readonly<Record<string, (context: SoakContext) => Promise<string>>> = {
  kill,
  damage,
  'direct-flips': (context) => flipDirectly({ ...context, count: context.scaled(10_000) }),
  'served-flips': servedFlips,
  'full-disk': (context) => readThroughFullDisk(context.dir),
  cluster,
  partitions,
  million,
  memory,
  fuzz: ({ minutes, report }) => fuzzHotpath({ minutes, report }),
};

const help = `npm run soak [-- options]

  --only damage,kill   some of ${Object.keys(scenarios).join(', ')}; all of them
  --scale 0.1          a part of what is counted: kills, flips, rounds; 1
  --minutes 60         how long what has no end of its own goes on: memory, fuzz; 60
  --seed 7             of what is chosen at random; 20260
  --dir <dir>          where everything goes, some GiB; /var/tmp

npm run soak -- --only kill --scale 0.1
`;

const killCount = 120;
const killBatch = 10;
const damageCount = 10_000;
const damageBatch = 500;
const servedFlipRounds = 30;
const clusterFileCount = 200;
const workerKillCount = 100;
const answerKillCount = 20;
const splitOverwriteCount = 500;
const partitionRoundCount = 5;
const loadedFileCount = 1_000_000;
const slowReaderCount = 1000;
const loadedFileBytes = 1000;
/** Of which a worker's and a coordinator's own needs are more than half. */
const loadHeapMaxMiB = 512;

/** kill -9 at random moments while a process fills and evicts. */
async function kill({ dir, report, scaled, seed }: SoakContext): Promise<string> {
  const count = scaled(killCount);
  let right = 0;
  let evictedCount = 0;
  for (let done = 0; done < count; done += killBatch) {
    const counts = await killStore({ dir, seed: seed + done, count: Math.min(killBatch, count - done) });
    if (counts.wrong + counts.corrupt > 0) throw new Error(`after a kill: ${JSON.stringify(counts)}`);
    if (counts.usedMaxBytes > killSizeBytes) throw new Error(`the bound was passed: ${counts.usedMaxBytes}`);
    right += counts.right;
    evictedCount += counts.evictedCount;
    report(`${Math.min(count, done + killBatch)} of ${count} kills`);
  }
  if (right === 0 || evictedCount === 0) throw new Error('nothing was found again, or nothing evicted');
  return `${count} kills, ${right} pages found again, ${evictedCount} evicted meanwhile, 0 torn or wrong`;
}

/** One job over very many small files, in a process whose heap is bounded; takes 4 KiB of disk for each. */
async function million({ dir, report, scaled }: SoakContext): Promise<string> {
  const count = scaled(loadedFileCount);
  const program = new URL('million-files.ts', import.meta.url).pathname;
  const child = spawn(
    process.execPath,
    [`--max-old-space-size=${loadHeapMaxMiB}`, program, dir, String(count), String(loadedFileBytes)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
    report(text.trim());
  });
  const [exitCode] = (await once(child, 'close')) as [number | null];
  if (exitCode !== 0) throw new Error(`it ended with ${exitCode}: ${errors.slice(-2000)}`);
  const result = JSON.parse(output) as MillionResult;
  const isWhole = result.state === 'SUCCEEDED' && result.shown.processedFiles === count;
  if (!isWhole || result.readCount !== count || result.wrong.length > 0) throw new Error(output);
  const { cpuSeconds, heapMaxMiB, rssMaxMiB, seconds, stateMaxBytes } = result;
  return `${count} files in ${seconds} s (${cpuSeconds} CPU-s), ${rssMaxMiB} MiB at most, ${heapMaxMiB} MiB of heap, ${stateMaxBytes} bytes of state`;
}

interface MillionResult {
  readonly state: string;
  readonly shown: { readonly processedFiles: number };
  readonly readCount: number;
  readonly wrong: readonly string[];
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMaxMiB: number;
  readonly heapMaxMiB: number;
  readonly stateMaxBytes: number;
}

/** Flips, cuts, swaps and more, in turn while the store is closed and while it runs. */
async function damage({ dir, report, scaled, seed }: SoakContext): Promise<string> {
  const count = scaled(damageCount);
  const totals = { right: 0, miss: 0, corrupt: 0 };
  for (let done = 0; done < count; done += damageBatch) {
    const batchDir = join(dir, String(done));
    mkdirSync(batchDir);
    const batch = {
      dir: batchDir,
      seed: seed + done,
      count: Math.min(damageBatch, count - done),
      pageCount: 30,
    };
    const counts = await damageStore(batch);
    for (const finding of ['right', 'miss', 'corrupt'] as const) totals[finding] += counts[finding];
    rmSync(batchDir, { recursive: true, force: true });
    report(`${done + batch.count} of ${count} damages`);
  }
  return `${count} damages, pages read after each: ${JSON.stringify(totals)}, 0 wrong`;
}

/** By both transports, so the addon must have been built. */
async function servedFlips({ dir, report, scaled, seed }: SoakContext): Promise<string> {
  const figures: string[] = [];
  for (const transport of ['plain', 'hotpath'] as const) {
    const transportDir = join(dir, transport);
    mkdirSync(transportDir);
    const run = { dir: transportDir, transport, seed, rounds: scaled(servedFlipRounds) };
    const { answerCount, corruptCount, flipCount, tableCount } = await flipWhileServing(run);
    const said = `${transport}: ${flipCount} flips, ${corruptCount} bad pages, ${answerCount} answers (${tableCount} by the table), 0 wrong`;
    figures.push(said);
    report(said);
  }
  return figures.join('\n          ');
}

/** By both transports, one after the other; the time is for both. */
async function memory({ dir, minutes, report, scaled }: SoakContext): Promise<string> {
  const figures: string[] = [];
  for (const transport of ['plain', 'hotpath'] as const) {
    const transportDir = join(dir, transport);
    const load: MemoryLoad = await holdMemory({
      dir: transportDir,
      transport,
      streamCount: scaled(slowReaderCount),
      seconds: 30 * minutes,
      report: (line) => report(`${transport}: ${line}`),
    });
    figures.push(`${transport}: ${checkMemory(load)}`);
    rmSync(transportDir, { recursive: true, force: true });
  }
  return figures.join('\n          ');
}

/** One cluster, broken in every way in turn; etcd last, since what it lost stays lost. */
async function cluster({ dir, report, scaled }: SoakContext): Promise<string> {
  const broken = await BreakableCluster.start(dir, clusterFileCount, { isTimed: true });
  const figures: string[] = [];
  try {
    for (const [name, run] of Object.entries({
      'kill -9': () => killWorkers(broken, scaled(workerKillCount)),
      'kill in mid-answer': () => killInMidAnswer(broken, scaled(answerKillCount)),
      coordinator: () => killCoordinator(broken),
      'two rings': () => splitRings(broken, scaled(splitOverwriteCount)),
      'frozen owner': () => freezeOwner(broken),
      'slow owner': () => slowOwner(broken),
      'empty cache': () => emptyCache(broken),
      'etcd leader': () => killEtcdLeader(broken),
      'etcd compacted': () => compactEtcd(broken),
      'etcd emptied': () => emptyEtcd(broken),
    })) {
      const said = await run();
      figures.push(`${name}: ${said}`);
      report(`${name}: ${said}`);
    }
  } finally {
    await broken.stop();
  }
  return figures.join('\n          ');
}

/** Members lose each other, each in turn. */
async function partitions({ dir, report, scaled }: SoakContext): Promise<string> {
  const script = new URL('./partitions.ts', import.meta.url);
  const args = ['--dir', dir, '--rounds', String(scaled(partitionRoundCount)), '--timed'];
  await requireForOwnNetwork();
  const { code, lines, errors } = await runInOwnNetwork(script, args, report);
  if (code !== 0) throw new Error(errors);
  return lines.join('\n          ');
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: Object.keys(scenarios).join(',') },
      seed: { type: 'string', default: '20260' },
      scale: { type: 'string', default: '1' },
      minutes: { type: 'string', default: '60' },
      dir: { type: 'string', default: '/var/tmp' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const names = values.only.split(',');
  const unknown = names.filter((name) => !Object.hasOwn(scenarios, name));
  if (unknown.length > 0) {
    process.stderr.write(`no scenario ${unknown.join(', ')}\n\n${help}`);
    return 2;
  }
  const seed = Number(values.seed);
  const scale = Number(values.scale);
  const summary: string[] = [];
  let failedCount = 0;
  for (const name of names) {
    const run = scenarios[name];
    if (!run) continue;
    const dir = mkdtempSync(join(values.dir, `alluxio-soak-${name}-`));
    const startedMs = systemClock.monotonic();
    const elapsed = (): string => `${((systemClock.monotonic() - startedMs) / 1000).toFixed(1)} s`;
    try {
      const said = await run({
        dir,
        seed,
        minutes: Number(values.minutes),
        scaled: (count) => Math.max(1, Math.round(count * scale)),
        report: (line) => console.log(`${name}: ${line} (${elapsed()})`),
      });
      summary.push(`ok      ${name}: ${said} (${elapsed()})`);
      rmSync(dir, { recursive: true, force: true });
    } catch (thrown) {
      failedCount++;
      console.error(thrown);
      summary.push(`FAILED  ${name}, seed ${seed}, files in ${dir}: ${String(thrown)}`);
    }
  }
  console.log(`\n${summary.join('\n')}\n${summary.length - failedCount} passed, ${failedCount} failed`);
  return failedCount === 0 ? 0 : 1;
}

process.exitCode = await main();
