/**
 * Hands files to the workers that own them, some batches at a time to each, and again whatever comes back undone: at least once, which costs nothing, since a worker
 * fetches only what it does not have. Files of a worker that went are handed to their next owners.
 */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type {
  LoadBatch,
  LoadBatchResult,
  LoadFailure,
  LoadMode,
} from '@alluxio-ts/common/protocol/load-batch';
import type { LoadWorkers } from './load-workers.ts';
import type { Chunk } from './load-window.ts';

/** A file on its way. */
export interface LoadTask {
  readonly chunk: Chunk;
  readonly ufsPath: string;
  readonly sizeBytes: number | undefined;
  readonly version: string | undefined;
  fromPage: number;
  failureCount: number;
  /** How often a worker has said that it is another's. */
  strayCount: number;
}

export interface LoadDispatcherOptions {
  readonly jobId: string;
  readonly mode: LoadMode;
  readonly batchFilesMax: number;
  /** Of all workers together; 0 is no limit. */
  readonly bandwidthBytesPerSecond: number;
  readonly workers: LoadWorkers;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly events: LoadEvents;
}

export interface LoadEvents {
  /** A batch was answered by its worker; `sizeBytes` is the size of the files that are done, where it was known before. */
  answered(
    batch: { readonly chunk: Chunk; readonly sizeBytes: number },
    workerId: string,
    result: LoadBatchResult,
  ): void;
  /** A file failed and will not be tried again. */
  failed(task: LoadTask, failure: Pick<LoadFailure, 'code' | 'message'>, workerId: string): void;
  /** A file, or a call for many, failed and will be tried again. */
  retried(chunk: Chunk, code: string, workerId: string, fileCount: number): void;
  dispatched(chunk: Chunk, fileCount: number): void;
}

/** While one batch is answered the worker has another. */
const batchesPerWorker = 2;
/** After so long a worker answers and is given what is left again: by it progress is seen, a stop is heard, and jobs share a worker. */
const batchDeadlineMs = 2000;
/** Far beyond the deadline, and what a page may take: such a worker hangs. */
const answerTimeoutMs = 60_000;
const fileTriesMax = 5;
const pauseMinMs = 500;
const pauseMaxMs = 15_000;
/** A worker that is there but fails every call for so long fails its files too. */
const workerFailureMaxMs = 60_000;
const strayPauseMs = 500;
/** While a ring changes some workers know it before others; for a minute, not for ever. */
const strayTriesMax = 120;

interface Batch {
  readonly chunk: Chunk;
  readonly tasks: LoadTask[];
  /** On the monotonic clock. */
  readonly notBeforeMs: number;
}

interface WorkerLane {
  readonly queue: Batch[];
  readonly running: Set<AbortController>;
  failingSinceMs: number | undefined;
  failureCount: number;
  /** As its last batch told. */
  givesWay: boolean;
}

export class LoadDispatcher {
  readonly #options: LoadDispatcherOptions;
  readonly #lanes = new Map<string, WorkerLane>();
  readonly #calls = new Set<Promise<void>>();
  readonly #end: () => void;
  #timer: AbortController | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;

  constructor(options: LoadDispatcherOptions) {
    this.#options = options;
    this.#end = options.workers.onChange(() => this.#replace());
  }

  /** Files of one chunk. How many there may be at a time is the caller's to bound. */
  add(chunk: Chunk, tasks: readonly LoadTask[]): void {
    this.#enqueue(chunk, tasks, 0);
    this.#pump();
  }

  /** How many batches a worker has now. */
  runningOf(workerId: string): number {
    return this.#lanes.get(workerId)?.running.size ?? 0;
  }

  /** Workers that have batches and do less for them than they could, for the sake of readers. */
  get givingWayCount(): number {
    return [...this.#lanes.values()].filter(({ givesWay, running }) => givesWay && running.size > 0).length;
  }

  /** Resolves when no call is under way any more; none is begun after it was called. */
  async close(): Promise<void> {
    this.#end();
    this.#timer?.abort();
    for (const lane of this.#lanes.values()) {
      lane.queue.length = 0;
      for (const call of lane.running) call.abort(new Error('the job has ended'));
    }
    await Promise.all(this.#calls);
  }

  #enqueue(chunk: Chunk, tasks: readonly LoadTask[], pauseMs: number, isFirst = false): void {
    const { batchFilesMax, clock, workers } = this.#options;
    const notBeforeMs = pauseMs === 0 ? Number.NEGATIVE_INFINITY : clock.monotonic() + pauseMs;
    const byOwner = Map.groupBy(tasks, ({ ufsPath }) => workers.ownerOf(ufsPath) ?? '');
    for (const [owner, owned] of byOwner) {
      const lane = this.#laneOf(owner);
      for (let from = 0; from < owned.length; from += batchFilesMax) {
        const batch = { chunk, tasks: owned.slice(from, from + batchFilesMax), notBeforeMs };
        if (isFirst) lane.queue.unshift(batch);
        else lane.queue.push(batch);
      }
    }
  }

  #laneOf(workerId: string): WorkerLane {
    const lane = this.#lanes.get(workerId) ?? {
      queue: [],
      running: new Set(),
      failingSinceMs: undefined,
      failureCount: 0,
      givesWay: false,
    };
    this.#lanes.set(workerId, lane);
    return lane;
  }

  /** The workers or the owners have changed. */
  #replace(): void {
    const online = new Set(this.#options.workers.online());
    const queued: Batch[] = [];
    for (const [workerId, lane] of this.#lanes) {
      queued.push(...lane.queue.splice(0));
      if (online.has(workerId)) continue;
      for (const call of lane.running) call.abort(new Error('the worker has gone'));
    }
    for (const { chunk, tasks } of queued) this.#enqueue(chunk, tasks, 0);
    this.#pump();
  }

  #pump(): void {
    const { clock, signal, workers } = this.#options;
    if (signal.aborted) return;
    const now = clock.monotonic();
    for (const workerId of workers.online()) {
      const lane = this.#lanes.get(workerId);
      if (!lane) continue;
      while (lane.running.size < this.#batchesPerWorker) {
        const index = lane.queue.findIndex(({ notBeforeMs }) => notBeforeMs <= now);
        const [batch] = index < 0 ? [] : lane.queue.splice(index, 1);
        if (!batch) break;
        this.#begin(workerId, lane, batch);
      }
      if (lane.running.size < this.#batchesPerWorker) {
        for (const { notBeforeMs } of lane.queue) this.#wakeAt(notBeforeMs);
      }
    }
  }

  /** A share of the bandwidth is a worker's for one batch at a time. */
  get #batchesPerWorker(): number {
    return this.#options.bandwidthBytesPerSecond > 0 ? 1 : batchesPerWorker;
  }

  #wakeAt(atMs: number): void {
    const { clock } = this.#options;
    if (atMs >= this.#timerAtMs) return;
    this.#timer?.abort();
    const timer = new AbortController();
    this.#timer = timer;
    this.#timerAtMs = atMs;
    clock.sleep(Math.max(0, atMs - clock.monotonic()), { signal: timer.signal }).then(
      () => {
        this.#timerAtMs = Number.POSITIVE_INFINITY;
        this.#pump();
      },
      () => undefined,
    );
  }

  #begin(workerId: string, lane: WorkerLane, batch: Batch): void {
    const cut = new AbortController();
    lane.running.add(cut);
    const call = this.#call(workerId, batch, cut.signal)
      .then(
        (result) => this.#takeResult(workerId, lane, batch, result),
        (thrown: unknown) => this.#takeFailure(workerId, lane, batch, thrown),
      )
      .finally(() => {
        lane.running.delete(cut);
        this.#calls.delete(call);
        this.#pump();
      });
    this.#calls.add(call);
  }

  async #call(workerId: string, { chunk, tasks }: Batch, cut: AbortSignal): Promise<LoadBatchResult> {
    const { bandwidthBytesPerSecond, events, jobId, mode, signal, workers } = this.#options;
    events.dispatched(chunk, tasks.length);
    const batch: LoadBatch = {
      jobId,
      mode,
      files: tasks.map(({ fromPage, sizeBytes, ufsPath, version }) => ({
        ufsPath,
        fromPage,
        ...(sizeBytes === undefined ? {} : { sizeBytes }),
        ...(version === undefined ? {} : { version }),
      })),
      listedAgeMs: Math.max(0, this.#options.clock.monotonic() - chunk.listedAtMs),
      deadlineMs: batchDeadlineMs,
      bandwidthBytesPerSecond: bandwidthBytesPerSecond / Math.max(1, workers.online().length),
    };
    return workers.load(workerId, batch, {
      signal: AbortSignal.any([signal, cut, AbortSignal.timeout(answerTimeoutMs)]),
    });
  }

  #takeResult(workerId: string, lane: WorkerLane, { chunk, tasks }: Batch, result: LoadBatchResult): void {
    if (this.#options.signal.aborted) return;
    lane.failingSinceMs = undefined;
    lane.failureCount = 0;
    lane.givesWay = result.givesWay;
    const sizeBytes = doneBytesOf(tasks, result);
    this.#options.events.answered({ chunk, sizeBytes }, workerId, result);
    const unfinished = result.unfinished.flatMap(({ index, fromPage }) => {
      const task = tasks[index];
      if (task) task.fromPage = fromPage;
      return task ?? [];
    });
    // Before what was never begun, so that files end in the order in which they began.
    this.#enqueue(chunk, unfinished, 0, true);
    this.#takeStrayed(
      chunk,
      result.strayed.flatMap((index) => tasks[index] ?? []),
      workerId,
    );
    for (const failure of result.failed) {
      const task = tasks[failure.index];
      if (task) this.#takeFileFailure(task, failure, workerId);
    }
  }

  #takeStrayed(chunk: Chunk, tasks: readonly LoadTask[], workerId: string): void {
    const again: LoadTask[] = [];
    for (const task of tasks) {
      if (++task.strayCount < strayTriesMax) again.push(task);
      else this.#options.events.failed(task, notItsOwn(workerId), workerId);
    }
    this.#enqueue(chunk, again, strayPauseMs);
  }

  #takeFileFailure(task: LoadTask, failure: LoadFailure, workerId: string): void {
    const { events } = this.#options;
    task.fromPage = failure.fromPage;
    task.failureCount++;
    if (!failure.mayPass || task.failureCount >= fileTriesMax) {
      events.failed(task, failure, workerId);
      return;
    }
    events.retried(task.chunk, failure.code, workerId, 1);
    this.#enqueue(task.chunk, [task], this.#pauseOf(task.failureCount));
  }

  /** The worker did not answer, or refused: its files are given to whoever owns them by then. */
  #takeFailure(workerId: string, lane: WorkerLane, { chunk, tasks }: Batch, thrown: unknown): void {
    const { clock, events, signal } = this.#options;
    if (signal.aborted) return;
    const error = toAlluxioError(thrown);
    const now = clock.monotonic();
    lane.failingSinceMs ??= now;
    lane.failureCount++;
    if (this.#isHopeless(lane, error, now)) {
      for (const task of tasks) events.failed(task, error, workerId);
      return;
    }
    events.retried(chunk, error.code, workerId, tasks.length);
    this.#enqueue(chunk, tasks, this.#pauseOf(lane.failureCount));
  }

  #isHopeless(lane: WorkerLane, error: AlluxioError, now: number): boolean {
    if (error.code === 'InvalidArgument') return true;
    return now - (lane.failingSinceMs ?? now) > workerFailureMaxMs;
  }

  #pauseOf(failureCount: number): number {
    const ceiling = Math.min(pauseMaxMs, pauseMinMs * 2 ** (failureCount - 1));
    return ceiling * (0.5 + 0.5 * this.#options.random.next());
  }
}

function notItsOwn(workerId: string): Pick<LoadFailure, 'code' | 'message'> {
  const hint = 'have all processes the same options of the hash ring? "alluxio info doctor" tells';
  return { code: 'StateConflict', message: `${workerId} says that another worker owns the file; ${hint}` };
}

function doneBytesOf(tasks: readonly LoadTask[], { failed, strayed, unfinished }: LoadBatchResult): number {
  const others = new Set([...strayed, ...[...failed, ...unfinished].map(({ index }) => index)]);
  return tasks.reduce((sum, { sizeBytes = 0 }, index) => (others.has(index) ? sum : sum + sizeBytes), 0);
}
