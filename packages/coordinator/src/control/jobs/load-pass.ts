/** One pass over the files of a load job: lists them, hands them out, counts what comes back. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type ErrorCode, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import type { Job, JobFailure } from '@alluxio-ts/common/protocol/jobs';
import type { LoadMode } from '@alluxio-ts/common/protocol/load-batch';
import { GIB } from '@alluxio-ts/common/units';
import { LoadDispatcher, type LoadEvents, type LoadTask } from './load-dispatcher.ts';
import { type LoadItem, loadPagesOf } from './load-source.ts';
import { type Chunk, LoadWindow } from './load-window.ts';
import type { LoadWorkers } from './load-workers.ts';
import type { MountedPaths } from './mounted-paths.ts';
import { WholeListing } from './whole-listing.ts';

export interface LoadPassParts {
  readonly mounted: MountedPaths;
  readonly workers: LoadWorkers;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface LoadPassOptions extends LoadPassParts {
  readonly job: Job;
  readonly mode: LoadMode;
  readonly onFailures: (failures: readonly JobFailure[]) => void;
}

/** Files that are listed and not done: what a job takes of memory, some 400 bytes each. */
const openFilesMax = 20_000;
/** Of a chunk: so many for each worker that all of them find something in it. */
const chunkFilesPerWorker = 500;
const chunkFilesMin = 1000;
const chunkFilesMax = 10_000;
/** What is looked at again after a crash, where files are large. */
const chunkBytesMax = 16 * GIB;
const listTriesMax = 6;
const listPauseMinMs = 500;
const listPauseMaxMs = 10_000;

/** What a listing may fail with and still go on. */
export const passingCodes: readonly ErrorCode[] = [
  'UfsThrottled',
  'UfsTimeout',
  'UfsUnavailable',
  'UfsBadResponse',
  'Overloaded',
  'StateStoreUnavailable',
];

export class LoadPass {
  readonly #options: LoadPassOptions;
  readonly window: LoadWindow;
  /** Of a look: bytes that each worker would have to fetch. */
  readonly missingBytes = new Map<string, number>();
  readonly #listed = Promise.withResolvers<WholeListing | undefined>();
  #dispatcher: LoadDispatcher | undefined;

  constructor(options: LoadPassOptions) {
    const { job, mode, workers, onFailures } = options;
    const wanted = workers.online().length * chunkFilesPerWorker;
    this.#options = options;
    this.window = new LoadWindow({
      cursor: job.cursor,
      counts: job.counts,
      chunkFilesMax: Math.min(chunkFilesMax, Math.max(chunkFilesMin, wanted)),
      chunkBytesMax,
      countsFiles: mode !== 'verify',
      onFailures,
    });
  }

  /** Resolves with what the listing came to when it has ended; with undefined when that takes as long as the loading, did not begin at the begin, or is of a second pass. */
  get listed(): Promise<WholeListing | undefined> {
    return this.#listed.promise;
  }

  /** How many batches a worker has now. */
  runningOf(workerId: string): number {
    return this.#dispatcher?.runningOf(workerId) ?? 0;
  }

  get givingWayCount(): number {
    return this.#dispatcher?.givingWayCount ?? 0;
  }

  /** Resolves when every file is done or has failed. Rejects with the signal's reason, or with what the listing failed with; nothing is under way then. */
  async run({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { job, mode } = this.#options;
    const dispatcher = new LoadDispatcher({
      ...this.#options,
      jobId: job.id,
      mode,
      batchFilesMax: job.options.batchSize,
      bandwidthBytesPerSecond: job.options.bandwidth,
      signal,
      events: this.#events(),
    });
    this.#dispatcher = dispatcher;
    try {
      await this.#handOut(dispatcher, signal);
      this.window.endOfListing();
      await this.window.whenOpenAtMost(0, { signal });
    } finally {
      this.#listed.resolve(undefined);
      await dispatcher.close();
    }
  }

  async #handOut(dispatcher: LoadDispatcher, signal: AbortSignal): Promise<void> {
    const { job, workers, metrics, mode } = this.#options;
    let tasks: LoadTask[] = [];
    let chunk: Chunk | undefined;
    const { source, after } = this.window.cursor;
    const isFromBegin = source === 0 && after === undefined;
    let whole = isFromBegin && mode !== 'verify' ? new WholeListing(workers) : undefined;
    if (!whole) this.#listed.resolve(undefined);
    for await (const page of this.#pages(signal)) {
      if (mode !== 'verify') metrics.add('alluxio_distributed_load_job_scanned_total', {}, page.length);
      for (const item of page) {
        whole?.add(item);
        const { chunk: into, isFull } = this.window.add({ ...item, sizeBytes: item.sizeBytes ?? 0 });
        chunk = into;
        const { sizeBytes, ufsPath, version } = item;
        tasks.push({ chunk: into, ufsPath, sizeBytes, version, fromPage: 0, failureCount: 0, strayCount: 0 });
        // Enough for a whole batch for each worker, as a rule.
        if (!isFull && tasks.length < job.options.batchSize * Math.max(1, workers.online().length)) continue;
        dispatcher.add(into, tasks);
        tasks = [];
        if (this.window.openFiles > openFilesMax) {
          whole = undefined;
          this.#listed.resolve(undefined);
        }
        await this.window.whenOpenAtMost(openFilesMax, { signal });
      }
    }
    this.#listed.resolve(whole);
    if (chunk) dispatcher.add(chunk, tasks);
  }

  /** Goes on with the listing where it broke off, a few times in a row. */
  async *#pages(signal: AbortSignal): AsyncGenerator<readonly LoadItem[]> {
    const { clock, job, logger } = this.#options;
    let { cursor } = this.window;
    let failureCount = 0;
    for (;;) {
      try {
        for await (const page of loadPagesOf(job, cursor, { ...this.#options, signal })) {
          yield page;
          cursor = page.at(-1)?.cursor ?? cursor;
          failureCount = 0;
        }
        return;
      } catch (thrown) {
        signal.throwIfAborted();
        if (!hasErrorCode(thrown, ...passingCodes) || ++failureCount >= listTriesMax) throw thrown;
        logger.warn({ jobId: job.id, error: thrown }, 'job-listing-interrupted');
        await clock.sleep(Math.min(listPauseMaxMs, listPauseMinMs * 2 ** failureCount), { signal });
      }
    }
  }

  #events(): LoadEvents {
    const { metrics, mode } = this.#options;
    const isVerifying = mode === 'verify';
    return {
      dispatched: ({ counts }, fileCount) => {
        counts.dispatchedFiles += fileCount;
        metrics.add('alluxio_distributed_load_job_dispatched_size_total', {}, fileCount);
      },
      answered: ({ chunk, sizeBytes }, workerId, result) => {
        const heldBytes = isVerifying ? 0 : result.heldBytes;
        chunk.counts[isVerifying ? 'repairedBytes' : 'loadedBytes'] += result.loadedBytes;
        chunk.counts.heldBytes += heldBytes;
        chunk.counts.scannedBytes += isVerifying ? 0 : result.learnedBytes;
        metrics.add('alluxio_distributed_load_job_loaded_bytes_total', {}, result.loadedBytes);
        metrics.add('alluxio_distributed_load_job_skipped_total', {}, heldBytes);
        if (mode === 'look') this.#note(workerId, sizeBytes + result.learnedBytes - result.heldBytes);
        this.#finish(chunk, result.doneFiles);
      },
      failed: ({ chunk, ufsPath }, { code, message }, worker) => {
        chunk.counts.failedFiles++;
        chunk.failures.push({ path: ufsPath, code, message });
        metrics.add('alluxio_distributed_load_job_failure_total', { reason: code, worker }, 1);
        this.#finish(chunk, 1);
      },
      retried: ({ counts }, reason, worker, fileCount) => {
        counts.retriedFiles += fileCount;
        metrics.add('alluxio_distributed_load_job_failure_total', { reason, worker }, 1);
      },
    };
  }

  #finish(chunk: Chunk, fileCount: number): void {
    const { metrics, mode } = this.#options;
    if (mode !== 'verify') metrics.add('alluxio_distributed_load_job_processed_total', {}, fileCount);
    this.window.finish(chunk, fileCount);
  }

  #note(workerId: string, bytes: number): void {
    this.missingBytes.set(workerId, (this.missingBytes.get(workerId) ?? 0) + bytes);
  }
}
