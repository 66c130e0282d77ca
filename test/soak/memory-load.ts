/**
 * A worker with small bounds while a thousand clients read slowly and others make it fill without a pause: what it holds of anonymous memory and of socket buffers must stay
 * below the sum that it published at its start, and must not grow.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { formatSize, KIB, MIB, parseSize } from '@alluxio-ts/common/units';
import { cleanEnvironment } from '../support/environment.ts';
import { guardOf } from '../support/guard.ts';
import { createOwnCgroup, type OwnCgroup } from '../support/own-cgroup.ts';
import { requireProgram } from '../support/programs.ts';

const execute = promisify(execFile);
const fillStorm = new URL('fill-storm.ts', import.meta.url).pathname;
const alluxio = new URL('../../packages/cli/bin/alluxio.js', import.meta.url).pathname;

export interface MemoryLoadOptions {
  readonly dir: string;
  readonly transport: 'plain' | 'hotpath';
  readonly streamCount: number;
  readonly seconds: number;
  readonly report: (line: string) => void;
}

export interface MemoryLoad {
  readonly sumBytes: number;
  /** Anonymous memory and socket buffers together, of all samples after the first third. */
  readonly usedMaxBytes: number;
  /** Medians of the middle third of the samples and of the last. */
  readonly usedBeforeBytes: number;
  readonly usedAfterBytes: number;
  readonly socketMaxBytes: number;
  /** What the slow readers got. */
  readonly slowBytes: number;
  /** What was filled meanwhile. */
  readonly filledBytes: number;
}

/** What to say of it. Fails when more was used than the worker had said, or when it grew. */
export function checkMemory(load: MemoryLoad): string {
  const { filledBytes, socketMaxBytes, slowBytes, sumBytes, usedAfterBytes, usedBeforeBytes, usedMaxBytes } =
    load;
  const said = `at most ${formatSize(usedMaxBytes)} (${formatSize(socketMaxBytes)} in sockets) of ${formatSize(sumBytes)}, ${formatSize(usedBeforeBytes)} then ${formatSize(usedAfterBytes)}; slow readers got ${formatSize(slowBytes)}, filled ${formatSize(filledBytes)}`;
  if (usedMaxBytes > sumBytes) throw new Error(`more than it had said: ${said}`);
  if (usedAfterBytes > growthMax * usedBeforeBytes + growthSlackBytes) throw new Error(`it grew: ${said}`);
  if (slowBytes === 0 || filledBytes === 0) throw new Error(`nothing was read: ${said}`);
  return said;
}

/** Of the median of the last third to that of the one before. */
const growthMax = 1.1;
/** What a heap swings by. */
const growthSlackBytes = 96 * MIB;

/** Of the control group: below it a fill storm of several times as much has to go on. */
const limitBytes = 1024 * MIB;
const heapMaxMiB = 384;
const definitions = [
  'alluxio.worker.direct.memory.size=96MB',
  'alluxio.worker.page.store.sizes=384MB',
  'alluxio.worker.metadata.default.max.age=1h',
  'alluxio.worker.fill.threads=1',
  'alluxio.coordinator.web.port=0',
  'alluxio.worker.rest.port=0',
  'alluxio.worker.http.server.port=0',
  'alluxio.worker.web.port=0',
  'alluxio.log.level=info',
];
const hotCount = 2;
/** More than the store holds, so that reading them in turn fills and evicts for ever. */
const coldCount = 12;
const fileBytes = 64 * MIB;
const stormLanes = 2;
/** Places for answers beside those of the slow readers. */
const spareCount = 16;
/** What a slow reader takes a second. */
const pieceBytes = 64 * KIB;
/** One in so many slow readers reads what has to be filled. */
const coldLaneEvery = 50;
const sampleIntervalMs = 1000;
/** Readers as fast as the machine are given something at least so often, however many slow ones there are. */
const standstillMaxMs = 60_000;

export async function holdMemory(options: MemoryLoadOptions): Promise<MemoryLoad> {
  await requireProgram('ss', 'iproute2');
  makeFiles(join(options.dir, 'data'));
  const group = await createOwnCgroup('memory', limitBytes);
  options.report(group ? `in a control group of ${formatSize(limitBytes)}` : 'without a control group');
  const worker = new WatchedWorker(options, group);
  try {
    return await loadWorker(worker, options);
  } finally {
    await worker.stop();
    await group?.remove();
  }
}

async function loadWorker(worker: WatchedWorker, options: MemoryLoadOptions): Promise<MemoryLoad> {
  const s3 = await worker.s3();
  const slow = new SlowReaders(s3, options.streamCount);
  await slow.start();
  const storm = new FillStorm(s3);
  try {
    const used: Sample[] = [];
    const endMs = systemClock.monotonic() + options.seconds * 1000;
    for (let count = 0; systemClock.monotonic() < endMs; count++) {
      await pause(sampleIntervalMs);
      used.push(await worker.sample());
      if (count % 15 === 0) options.report(said(used.at(-1), slow, storm));
      slow.check();
      storm.check();
    }
    const third = Math.floor(used.length / 3);
    const settled = used.slice(third);
    return {
      sumBytes: worker.sumBytes(),
      usedMaxBytes: Math.max(...settled.map(({ usedBytes }) => usedBytes)),
      usedBeforeBytes: medianOf(used.slice(third, 2 * third)),
      usedAfterBytes: medianOf(used.slice(2 * third)),
      socketMaxBytes: Math.max(...settled.map(({ socketBytes }) => socketBytes)),
      slowBytes: slow.receivedBytes,
      filledBytes: storm.receivedBytes,
    };
  } finally {
    slow.stop();
    await storm.stop();
  }
}

interface Sample {
  readonly anonymousBytes: number;
  readonly socketBytes: number;
  readonly usedBytes: number;
}

function said(sample: Sample | undefined, slow: SlowReaders, storm: FillStorm): string {
  const { anonymousBytes = 0, socketBytes = 0 } = sample ?? {};
  return [
    `anonymous ${formatSize(anonymousBytes)}`,
    `sockets ${formatSize(socketBytes)}`,
    `slow readers got ${formatSize(slow.receivedBytes)}`,
    `filled ${formatSize(storm.receivedBytes)}`,
  ].join(', ');
}

function medianOf(samples: readonly Sample[]): number {
  const sorted = samples.map(({ usedBytes }) => usedBytes).toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function makeFiles(dir: string): void {
  mkdirSync(dir, { recursive: true });
  const words = new Uint32Array(fileBytes / 4);
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 2_654_435_761);
  for (let file = 0; file < hotCount; file++) writeFileSync(join(dir, `hot-${file}`), words);
  for (let file = 0; file < coldCount; file++) writeFileSync(join(dir, `cold-${file}`), words);
}

class WatchedWorker {
  readonly #child: ChildProcess;
  readonly #guard: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #group: OwnCgroup | undefined;
  #output = '';
  #errors = '';
  #ports: readonly string[] = [];

  constructor({ dir, streamCount, transport }: MemoryLoadOptions, group: OwnCgroup | undefined) {
    this.#group = group;
    const args = [
      `--max-old-space-size=${heapMaxMiB}`,
      alluxio,
      'standalone',
      '--mount',
      `/data=${join(dir, 'data')}`,
      ...[
        ...definitions,
        `alluxio.work.dir=${dir}`,
        `alluxio.worker.transport=${transport}`,
        `alluxio.worker.answers.max=${streamCount + spareCount}`,
      ].map((definition) => `-D${definition}`),
    ];
    const [program, ...rest] = group?.command(process.execPath, args) ?? [process.execPath, ...args];
    this.#child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() });
    if (this.#child.pid === undefined) throw new Error('it was not started');
    this.#guard = guardOf(this.#child.pid, '');
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(0, 100_000);
    });
    this.#closed = once(this.#child, 'close');
  }

  async s3(): Promise<string> {
    while (!this.#output.includes('Ctrl-C stops it')) {
      if (this.#hasEnded()) throw new Error(`ended at start: ${this.#errors}`);
      await pause(50);
    }
    this.#ports = [...this.#output.matchAll(/http:\/\/[^:\s]+:(\d+)/g)].map(([, port = '']) => port);
    return /^S3 API +(http:\/\/\S+)/m.exec(this.#output)?.[1] ?? '';
  }

  sumBytes(): number {
    const line = this.#errors.split('\n').find((each) => each.includes('"event":"memory-sum"'));
    if (line === undefined) throw new Error('it told no memory sum');
    return parseSize((JSON.parse(line) as { readonly sum: string }).sum);
  }

  async sample(): Promise<Sample> {
    if (this.#hasEnded()) {
      const killCount = await this.#group?.killCount();
      throw new Error(
        `the worker has ended, ${killCount} killed for want of memory: ${this.#errors.slice(-2000)}`,
      );
    }
    const rollup = await readFile(`/proc/${this.#child.pid}/smaps_rollup`, 'utf8');
    const anonymousBytes = Number(/^Anonymous: +(\d+) kB/m.exec(rollup)?.[1] ?? 0) * KIB;
    const socketBytes = await this.#socketBytes();
    return { anonymousBytes, socketBytes, usedBytes: anonymousBytes + socketBytes };
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    this.#guard.kill('SIGKILL');
  }

  #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What the kernel holds for the connections at the worker's ports, of the worker's side. */
  async #socketBytes(): Promise<number> {
    const filter = this.#ports.map((port) => `sport = :${port}`).join(' or ');
    const { stdout } = await execute('ss', ['-tmnH', `( ${filter} )`], { maxBuffer: 64 * MIB });
    let bytes = 0;
    for (const [, received = '', , forward = '', queued = ''] of stdout.matchAll(
      /skmem:\(r(\d+),rb\d+,t(\d+),tb\d+,f(\d+),w(\d+)/g,
    )) {
      bytes += Number(received) + Number(forward) + Number(queued);
    }
    return bytes;
  }
}

/** Each takes a piece of 64 KiB a second, of files that are in the store and of some that are not. */
class SlowReaders {
  readonly #s3: string;
  readonly #count: number;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #timers: NodeJS.Timeout[] = [];
  #isStopped = false;
  #failure: unknown;
  receivedBytes = 0;

  constructor(s3: string, count: number) {
    this.#s3 = s3;
    this.#count = count;
  }

  async start(): Promise<void> {
    for (let file = 0; file < hotCount; file++) await readWhole(`${this.#s3}/data/hot-${file}`);
    for (let lane = 0; lane < this.#count; lane++) this.#read(lane);
  }

  check(): void {
    if (this.#failure) throw this.#failure;
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#agent.destroy();
  }

  #read(lane: number): void {
    if (this.#isStopped) return;
    const name =
      lane % coldLaneEvery === 0 ? `cold-${(lane / coldLaneEvery) % coldCount}` : `hot-${lane % hotCount}`;
    const begunMs = systemClock.monotonic();
    const fail = (cause: unknown): void => {
      const afterMs = Math.round(systemClock.monotonic() - begunMs);
      if (!this.#isStopped) this.#failure ??= new Error(`${name} failed after ${afterMs} ms`, { cause });
    };
    get(`${this.#s3}/data/${name}`, { agent: this.#agent }, (response) => {
      if (response.statusCode !== 200) fail(new Error(`answered ${response.statusCode}`));
      this.#take(response, lane, fail);
    }).on('error', fail);
  }

  #take(response: IncomingMessage, lane: number, fail: (thrown: unknown) => void): void {
    response.on('error', fail);
    const timer = setInterval(() => {
      const piece = response.read(Math.min(pieceBytes, response.readableLength || 1)) as Buffer | null;
      this.receivedBytes += piece?.length ?? 0;
    }, 1000);
    this.#timers.push(timer);
    response.on('end', () => {
      clearInterval(timer);
      this.#read(lane);
    });
  }
}

/** Reads one file after the other that the store does not have, as fast as it can, in a process of its own. */
class FillStorm {
  readonly #child: ChildProcess;
  #output = '';
  #errors = '';
  #seen = { bytes: 0, atMs: systemClock.monotonic() };

  constructor(s3: string) {
    const args = [fillStorm, `${s3}/data/cold-`, String(coldCount), String(stormLanes)];
    // It ends with its input.
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output = (this.#output + text).slice(-200);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#errors += text));
  }

  get receivedBytes(): number {
    return Number(this.#output.trimEnd().split('\n').at(-1));
  }

  check(): void {
    if (this.#child.exitCode !== null) throw new Error(`the fills ended: ${this.#errors}`);
    const nowMs = systemClock.monotonic();
    const bytes = this.receivedBytes;
    if (bytes !== this.#seen.bytes) this.#seen = { bytes, atMs: nowMs };
    if (nowMs - this.#seen.atMs > standstillMaxMs)
      throw new Error(`the fills stand still since ${formatSize(bytes)}`);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.stdin?.end();
    await closed;
  }
}

async function readWhole(url: string): Promise<void> {
  const response = await fetch(url);
  if (response.status !== 200) throw new Error(`${url} was answered ${response.status}`);
  await response.arrayBuffer();
}
