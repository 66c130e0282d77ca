/** `alluxio exec basicIOTest`: reads files through the cluster for a while, and says how fast that was. */

import { WorkerClient } from '@alluxio-ts/common/client/worker-client';
import { type Clock, type Random, systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatCount, formatSize } from '@alluxio-ts/common/units';
import { type JsonFlag, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import { ExitStatus, type ProgramOptions, tell } from './context.ts';
import { OnlineWorkers } from './online-workers.ts';
import { onPath } from './path-failures.ts';

interface BasicIoFlags extends JsonFlag {
  readonly path: string;
  readonly threads: number;
  readonly seconds: number;
}

/** What is drawn from. */
const filesMax = 10_000;
/** Latencies that are kept; of more a fair sample. */
const samplesMax = 100_000;
const liveEveryMs = 1000;

export async function runBasicIoTest(context: ProgramOptions, flags: BasicIoFlags): Promise<void> {
  const views = await withCoordinator(context, (client) => client.listWorkers());
  const online = views.filter(({ status }) => status === 'ONLINE');
  if (online.length === 0) {
    throw new AlluxioError('Unreachable', 'no worker is online; "alluxio info nodes" shows them');
  }
  const workers = online.map(
    ({ address: { Host, HttpServerPort } }) => new WorkerClient({ host: Host, port: HttpServerPort }),
  );
  try {
    const files = await onPath(flags.path, () => filesBelow(context, online, flags.path));
    const counts = new IoCounts(systemRandom);
    const tookMs = await readForAWhile({ workers, files, counts, clock: systemClock, context }, flags);
    await tellSummary(context, flags, {
      fileCount: files.length,
      workerCount: workers.length,
      tookMs,
      counts,
    });
    if (counts.failedCount > 0) throw new ExitStatus(1);
  } finally {
    await Promise.all(workers.map((worker) => worker.close()));
  }
}

async function filesBelow(
  context: ProgramOptions,
  online: readonly WorkerView[],
  path: string,
): Promise<readonly FileInfo[]> {
  const addresses = online.map(({ address }) => address);
  const workers = new OnlineWorkers({
    addresses,
    clock: systemClock,
    notice: (text) => tell(context, text),
  });
  const files: FileInfo[] = [];
  try {
    for await (const file of workers.list(path, { isRecursive: true })) {
      if (file.mType === 'file' && file.mLength > 0) files.push(file);
      if (files.length >= filesMax) break;
    }
  } finally {
    await workers.close();
  }
  if (files.length === 0) {
    throw new AlluxioError('FileNotFound', `below ${path} there is no file with bytes to read`);
  }
  return files;
}

/** What the reads come to. */
class IoCounts {
  readonly #random: Random;
  readonly #firstByteMs: number[] = [];
  readonly outcomes = new Map<string, number>();
  readCount = 0;
  failedCount = 0;
  bytes = 0;
  /** What the first one that failed says. */
  failure: string | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  begun(outcome: string, firstByteMs: number): void {
    this.readCount++;
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
    if (this.#firstByteMs.length < samplesMax) this.#firstByteMs.push(firstByteMs);
    else {
      // Each of all has the same chance to be kept.
      const at = Math.floor(this.#random.next() * this.readCount);
      if (at < samplesMax) this.#firstByteMs[at] = firstByteMs;
    }
  }

  failed(thrown: unknown): void {
    this.failedCount++;
    this.failure ??= toAlluxioError(thrown).message;
  }

  get hitCount(): number {
    return [...this.outcomes].reduce((sum, [name, count]) => sum + (name.startsWith('hit') ? count : 0), 0);
  }

  /** Of the time to the first byte, in milliseconds; 0 when nothing was read. */
  percentile(share: number): number {
    const sorted = this.#firstByteMs.toSorted((one, other) => one - other);
    return round(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0);
  }
}

interface Reading {
  readonly workers: readonly WorkerClient[];
  readonly files: readonly FileInfo[];
  readonly counts: IoCounts;
  readonly clock: Clock;
  readonly context: ProgramOptions;
}

/** Resolves with how long it took. */
async function readForAWhile(reading: Reading, { threads, seconds }: BasicIoFlags): Promise<number> {
  const { clock } = reading;
  const begunMs = clock.monotonic();
  const over = new AbortController();
  const timer = clock.sleep(seconds * 1000).then(() => over.abort());
  const readers = Array.from({ length: threads }, (_, index) => readOn(reading, index, over.signal));
  await Promise.all([...readers, timer, showLive(reading, begunMs, over.signal)]);
  return clock.monotonic() - begunMs;
}

async function readOn(
  { workers, files, counts, clock }: Reading,
  first: number,
  over: AbortSignal,
): Promise<void> {
  for (let turn = first; !over.aborted; turn++) {
    const worker = workers[turn % workers.length];
    const file = files[Math.floor(systemRandom.next() * files.length)];
    if (!worker || !file) return;
    const begunMs = clock.monotonic();
    let isFirst = true;
    try {
      const { body, headers } = await worker.read(file, { signal: over });
      for await (const chunk of body) {
        if (isFirst) counts.begun(headers.get('x-alluxio-cache') ?? 'unknown', clock.monotonic() - begunMs);
        isFirst = false;
        counts.bytes += chunk.length;
      }
    } catch (thrown) {
      if (over.aborted) return;
      counts.failed(thrown);
      // A cluster that refuses at once is not to be asked without end.
      await clock.sleep(100);
    }
  }
}

async function showLive(
  { clock, context, counts }: Reading,
  begunMs: number,
  over: AbortSignal,
): Promise<void> {
  if (!context.isTerminal) return;
  while (!over.aborted) {
    await clock.sleep(liveEveryMs, { signal: over }).catch(() => undefined);
    const tookMs = clock.monotonic() - begunMs;
    const rate = formatSize((counts.bytes / tookMs) * 1000);
    const line = `${Math.round(tookMs / 1000)} s: ${rate}/s, ${counts.readCount} reads, ${counts.failedCount} failed`;
    context.stderr.write(`\r${line.padEnd(70)}`);
  }
  context.stderr.write('\n');
}

interface Summary {
  readonly fileCount: number;
  readonly workerCount: number;
  readonly tookMs: number;
  readonly counts: IoCounts;
}

async function tellSummary(context: ProgramOptions, flags: BasicIoFlags, summary: Summary): Promise<void> {
  const { counts, fileCount, tookMs, workerCount } = summary;
  const perSecond = (count: number): number => (count / tookMs) * 1000;
  const hitRatio = counts.readCount === 0 ? 0 : counts.hitCount / counts.readCount;
  const { bytes, failedCount, readCount } = counts;
  const data = {
    path: flags.path,
    threads: flags.threads,
    durationMs: Math.round(tookMs),
    workerCount,
    fileCount,
    bytes,
    bytesPerSecond: Math.round(perSecond(bytes)),
    requestCount: readCount,
    requestsPerSecond: round(perSecond(readCount)),
    failedCount,
    firstByteP50Ms: counts.percentile(0.5),
    firstByteP99Ms: counts.percentile(0.99),
    hitRatio: Math.round(hitRatio * 10_000) / 10_000,
    outcomes: Object.fromEntries([...counts.outcomes].toSorted(([one], [other]) => (one < other ? -1 : 1))),
    ...(counts.failure === undefined ? {} : { failure: counts.failure }),
  };
  const outcomes = Object.entries(data.outcomes).map(([name, count]) => `${name} ${count}`);
  const lines = [
    `Read ${flags.path} for ${round(tookMs / 1000)} s: ${formatCount(fileCount, 'file')}, ${formatCount(workerCount, 'worker')}, ${formatCount(flags.threads, 'thread')}`,
    `Throughput: ${formatSize(data.bytesPerSecond)}/s (${formatSize(bytes)})`,
    `Requests: ${data.requestsPerSecond}/s (${readCount}, ${failedCount} failed)`,
    `First byte: p50 ${data.firstByteP50Ms} ms, p99 ${data.firstByteP99Ms} ms`,
    `Hits: ${(100 * hitRatio).toFixed(2)}% of requests${outcomes.length === 0 ? '' : ` (${outcomes.join(', ')})`}`,
    ...(counts.failure === undefined ? [] : [`The first failure: ${counts.failure}`]),
  ];
  await print(context, flags, { data, text: `${lines.join('\n')}\n` });
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
