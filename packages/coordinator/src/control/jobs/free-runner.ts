/** Runs a job that drops what is cached below paths. What is in the under storage stays as it is. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { type Job, type JobCounts, sumOfCounts } from '@alluxio-ts/common/protocol/jobs';
import { withRetries } from '@alluxio-ts/common/retry';
import type { ClaimedJob } from './job-store.ts';
import type { LoadWorkers } from './load-workers.ts';

export interface FreeRunnerOptions {
  readonly claimed: ClaimedJob;
  readonly workers: LoadWorkers;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const triesMax = 5;
const pauseMinMs = 500;
const pauseMaxMs = 10_000;

export class FreeRunner {
  readonly #options: FreeRunnerOptions;
  #job: Job;

  constructor(options: FreeRunnerOptions) {
    this.#options = options;
    this.#job = options.claimed.job;
  }

  get job(): Job {
    return this.#job;
  }

  runningOf(): number {
    return 0;
  }

  /** What was begun is short, and is ended. */
  stop(): void {}

  async run(): Promise<void> {
    const { claimed, clock, logger, signal } = this.#options;
    this.#job = { ...this.#job, state: 'RUNNING', startedMs: this.#job.startedMs ?? clock.now() };
    await claimed.save(this.#job, { signal });
    let outcome: Pick<Job, 'state' | 'failure'>;
    try {
      for (const path of this.#job.paths) {
        const counts = sumOfCounts(this.#job.counts, await this.#free(path));
        this.#job = { ...this.#job, counts, shown: counts };
      }
      outcome = { state: 'SUCCEEDED' };
    } catch (thrown) {
      signal.throwIfAborted();
      const { code, message } = toAlluxioError(thrown);
      outcome = { state: 'FAILED', failure: { code, message } };
    }
    const ended: Job = { ...this.#job, ...outcome, endedMs: clock.now() };
    await claimed.save(ended, { signal });
    // Not before, as with a load.
    this.#job = ended;
    logger.info({ jobId: this.#job.id, state: this.#job.state, ...this.#job.shown }, 'job-ended');
  }

  async #free(path: string): Promise<Partial<JobCounts>> {
    const freed = await withRetries({ ...this.#options, triesMax, pauseMinMs, pauseMaxMs }, () =>
      this.#options.workers.free(path, this.#options),
    );
    return { processedFiles: freed.fileCount, freedPages: freed.pageCount, freedBytes: freed.freedBytes };
  }
}
