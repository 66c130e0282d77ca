/**
 * Receives fills in threads. Each thread opens the storages of mounts for itself from plain data and writes into the pool's slots, whose memory it
 * shares; only the job, its answer and what was counted pass as messages. A thread that dies (out of memory, a crash) fails the fills that it had, and another
 * one takes its place. When none can be started, fills run in this thread from then on.
 */

import { BroadcastChannel } from 'node:worker_threads';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import { MIB } from '@alluxio-ts/common/units';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import type { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import { Piscina } from 'piscina';
import {
  errorOfPlain,
  type FillAnswer,
  type FillTask,
  type FillThreadData,
  type FillThreadMount,
  replayCounts,
} from './fill-message.ts';
import { type FillJob, type FillRunner, LocalFillRunner, type ReceivedPage } from './fill-runner.ts';
import type { ServedMount } from './mount-table.ts';

export interface ThreadFillRunnerOptions {
  readonly slots: SlotPool;
  readonly threadCount: number;
  /** The file that the threads run; it exports `fill`. */
  readonly threadFile: string;
  readonly localAllowedRoots: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** As the storages of this thread have them. */
  readonly readRate?: ReadRate | undefined;
  readonly hedgesReads?: boolean;
  /** Tells this runner's threads from those of another one in the process. */
  readonly id: string;
  /** How to open the mount once more; undefined for one whose storage lives in this thread only: it is read here. */
  readonly openingOf: (mount: ServedMount) => Pick<FillThreadMount, 'options' | 'circuit'> | undefined;
  readonly metricsOf: (scheme: string) => UfsMetrics;
  /** Told of each thread that took the place of one that died. */
  readonly onRestart: () => void;
  /** What the heap of a thread may grow to; 256 MiB unless given. A thread that needs more ends, and with it only its fills. */
  readonly heapMaxBytes?: number;
  readonly logger: Logger;
}

/** It holds connections and chunks, never a page. */
export const fillThreadHeapMaxBytes = 256 * MIB;

/**
 * How many threads a setting means; -1 leaves it to the number of processors. One is enough: it fetches as many bytes as the main thread can send. On
 * two processors it takes half of the main thread's work, 1.1 for 2.2 CPU-s a GiB, but what it takes it needs itself, and warm reads wait no less.
 */
export function fillThreadCountOf(setting: number, processorCount: number): number {
  if (setting >= 0) return setting;
  return processorCount > 2 ? 1 : 0;
}

export class ThreadFillRunner implements FillRunner {
  readonly #options: ThreadFillRunnerOptions;
  readonly #local: LocalFillRunner;
  readonly #pool: Piscina<FillTask, FillAnswer>;
  readonly #gone: BroadcastChannel;
  /** Of each fill that threads have or are to have: what to call when there is no thread any more, and none will come. */
  readonly #asked = new Set<() => void>();
  #isLost = false;
  readonly #mounts = new WeakMap<ServedMount, FillThreadMount>();
  #mountIdNext = 1;

  constructor(options: ThreadFillRunnerOptions) {
    const { environment, hedgesReads = false, id, localAllowedRoots, slots, threadCount } = options;
    this.#options = options;
    this.#local = new LocalFillRunner(slots);
    const goneChannel = `alluxio-fill-${id}`;
    this.#gone = new BroadcastChannel(goneChannel);
    this.#gone.unref();
    const workerData: FillThreadData = {
      slots: slots.shared,
      localAllowedRoots,
      environment: { ...environment },
      threadCount,
      readRate: options.readRate?.shared,
      hedgesReads,
      goneChannel,
    };
    this.#pool = new Piscina<FillTask, FillAnswer>({
      filename: options.threadFile,
      name: 'fill',
      workerData,
      minThreads: threadCount,
      maxThreads: threadCount,
      // No more fills are ever under way than there are slots, so none waits for a thread.
      concurrentTasksPerWorker: slots.slotCount,
      maxQueue: slots.slotCount,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.ceil((options.heapMaxBytes ?? fillThreadHeapMaxBytes) / MIB),
      },
      // A thread has sockets to look after while it has no job.
      atomics: 'disabled',
      recordTiming: false,
    });
    this.#watch();
  }

  async run(mount: ServedMount, job: FillJob): Promise<ReceivedPage> {
    const known = this.#mounts.get(mount) ?? this.#know(mount);
    if (!known) return this.#local.run(mount, job);
    // The next page may be another thread's, which has connections of its own.
    const alone = this.#options.threadCount > 1 ? { ...job, nextBytes: 0 } : job;
    const answer = this.#isLost ? undefined : await this.#ask({ mount: known, job: alone });
    if (!answer) return this.#local.run(mount, job);
    replayCounts(answer.counts, this.#options.metricsOf);
    const { result } = answer;
    if ('code' in result) throw errorOfPlain(result);
    return result;
  }

  mountGone(mount: ServedMount): void {
    const known = this.#mounts.get(mount);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel between threads has none
    if (known) this.#gone.postMessage(known.id);
  }

  async close(): Promise<void> {
    this.#pool.removeAllListeners('workerCreate');
    await this.#pool.destroy();
    this.#gone.close();
  }

  /** Undefined when the job still waited for a thread and none will come. The pool's own signals are no way out: a task that has one gets a thread for itself. */
  #ask(task: FillTask): Promise<FillAnswer | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<FillAnswer | undefined>();
    const giveUp = (): void => resolve(undefined);
    this.#asked.add(giveUp);
    const settle = async (): Promise<void> => {
      try {
        resolve(await this.#pool.run(task));
      } catch (cause) {
        const what = `${task.job.ufsPath}: the thread that fetched it ended; ask again`;
        reject(new AlluxioError('UfsUnavailable', what, { cause }));
      } finally {
        this.#asked.delete(giveUp);
      }
    };
    void settle();
    return promise;
  }

  #know(mount: ServedMount): FillThreadMount | undefined {
    const opening = this.#options.openingOf(mount);
    if (!opening) return undefined;
    const known = { id: this.#mountIdNext++, uri: mount.uri.text, ...opening };
    this.#mounts.set(mount, known);
    return known;
  }

  /** The pool gives up when a new thread dies before it is ready; whatever it still has queued would wait for ever. */
  #loseThreads(): void {
    if (this.#pool.threads.length > 0 || this.#isLost) return;
    this.#isLost = true;
    this.#options.logger.error({}, 'fill-threads-lost');
    for (const giveUp of this.#asked) giveUp();
  }

  #watch(): void {
    const { logger, onRestart, threadCount } = this.#options;
    let createdCount = 0;
    this.#pool.on('workerCreate', () => {
      if (++createdCount <= threadCount) return;
      logger.error({}, 'fill-thread-restarted');
      onRestart();
    });
    // A thread that had no fill; one that had says it by failing them.
    this.#pool.on('error', (thrown: unknown) => {
      logger.error({ error: thrown }, 'fill-thread-ended');
      this.#loseThreads();
    });
  }
}
