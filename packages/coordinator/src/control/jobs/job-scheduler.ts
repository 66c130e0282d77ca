/**
 * Runs jobs: takes over those that nobody runs, a few at a time in the order of their submission, and hears when somebody wants one to end. Several
 * coordinators may do so over one state store. When one dies its lease ends, and its jobs go on at another, or at itself after its restart.
 */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import { decodeJob, isEnded, type Job } from '@alluxio-ts/common/protocol/jobs';
import type { KvEvent, KvLease, KvStore, KvWatch } from '@alluxio-ts/common/state/kv-store';
import { removeOldFailedFiles } from './failed-files.ts';
import { FreeRunner } from './free-runner.ts';
import type { ClaimedJob, JobStore } from './job-store.ts';
import { LoadRunner } from './load-runner.ts';
import type { LoadWorkers } from './load-workers.ts';
import { MountedPaths, type MountedPathsOptions } from './mounted-paths.ts';

export interface JobSchedulerOptions extends MountedPathsOptions {
  readonly jobs: JobStore;
  readonly store: KvStore;
  readonly workers: LoadWorkers;
  /** Where the files of failures lie. */
  readonly failuresDir: string;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

type Runner = LoadRunner | FreeRunner;

/** Each has its share of every worker. */
const runningMax = 8;
/** As long as jobs of a dead coordinator stand still, and a moment. */
const leaseTtlMs = 5000;
const retryPauseMs = 1000;

export class JobScheduler {
  readonly #options: JobSchedulerOptions;
  readonly #stop = new AbortController();
  readonly #runners = new Map<string, Runner>();
  readonly #runs = new Set<Promise<void>>();
  #work: Promise<void> = Promise.resolve();
  #lease: KvLease | undefined;
  /** What the watch has shown of jobs that have not ended. */
  #waiting = new Map<string, Job>();
  #claiming: Promise<void> | undefined;
  #isClaimWanted = false;

  constructor(options: JobSchedulerOptions) {
    this.#options = options;
    const { metrics, workers } = options;
    metrics.onScrape(() => {
      metrics.set('alluxio_active_job_count', { type: 'running' }, this.#runners.size);
      const waiting = [...this.#waiting.values()].filter(({ state }) => state === 'WAITING').length;
      metrics.set('alluxio_active_job_count', { type: 'waiting' }, waiting);
      for (const worker of workers.online()) {
        const count = [...this.#runners.values()].reduce((sum, runner) => sum + runner.runningOf(worker), 0);
        metrics.set('alluxio_worker_job_task_count', { worker }, count);
      }
    });
  }

  start(): void {
    this.#work = this.#watch();
  }

  /** The job as it stands this moment, when it runs here. */
  running(id: string): Job | undefined {
    return this.#runners.get(id)?.job;
  }

  /** Jobs that run here are left where they stand, for whoever takes them over. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the coordinator is closing'));
    await this.#work;
    await this.#claiming;
    await Promise.all(this.#runs);
    await this.#lease?.revoke().catch(() => undefined);
  }

  async #watch(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#followBoth(await this.#list());
      } catch (thrown) {
        if (signal.aborted) return;
        logger.warn({ error: thrown }, 'jobs-watch-interrupted');
      }
      await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
    }
  }

  async #list(): Promise<number> {
    const { jobs, store } = this.#options;
    const { entries, revision } = await store.list(jobs.prefix, this.#stop);
    this.#waiting = new Map();
    for (const { key, value } of entries) this.#seen(key, value);
    this.#claim();
    return revision + 1;
  }

  /** When one of the two watches ends, so does the other: both begin again from a new list. */
  async #followBoth(fromRevision: number): Promise<void> {
    const { jobs, store } = this.#options;
    const { signal } = this.#stop;
    const follow = async (prefix: string, take: (events: readonly KvEvent[]) => void): Promise<void> => {
      const watch = store.watch(prefix, { fromRevision, signal });
      watches.push(watch);
      for await (const events of watch.events) take(events);
    };
    const watches: KvWatch[] = [];
    const following = [
      follow(jobs.prefix, (events) => this.#jobsChanged(events)),
      follow(jobs.locksPrefix, (events) => this.#locksChanged(events)),
    ];
    try {
      await Promise.race(following);
    } finally {
      for (const watch of watches) watch.close();
      await Promise.allSettled(following);
    }
  }

  #jobsChanged(events: readonly KvEvent[]): void {
    for (const event of events) {
      if (event.kind === 'put') this.#seen(event.entry.key, event.entry.value);
      else this.#waiting.delete(event.key.slice(this.#options.jobs.prefix.length));
    }
    this.#claim();
  }

  /** A lock that goes leaves a job to be taken over. */
  #locksChanged(events: readonly KvEvent[]): void {
    if (events.some(({ kind }) => kind === 'delete')) this.#claim();
  }

  #seen(key: string, value: string): void {
    const { jobs, logger } = this.#options;
    const id = key.slice(jobs.prefix.length);
    try {
      const job = decodeJob(key, value);
      if (isEnded(job)) this.#waiting.delete(id);
      else this.#waiting.set(id, job);
      if (job.isStopping) this.#runners.get(id)?.stop();
    } catch (thrown) {
      logger.error({ key, error: thrown }, 'job-not-readable');
    }
  }

  /** One round at a time; what changes meanwhile makes another. */
  #claim(): void {
    this.#isClaimWanted = true;
    this.#claiming ??= this.#claimAll().finally(() => {
      this.#claiming = undefined;
    });
  }

  async #claimAll(): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#stop;
    while (this.#isClaimWanted && !signal.aborted) {
      this.#isClaimWanted = false;
      try {
        await this.#claimSome();
      } catch (thrown) {
        if (signal.aborted) return;
        logger.warn({ error: thrown }, 'jobs-not-claimed');
        this.#isClaimWanted = true;
        await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
      }
    }
  }

  async #claimSome(): Promise<void> {
    const { jobs } = this.#options;
    const open = [...this.#waiting.values()].toSorted((one, other) => one.submittedMs - other.submittedMs);
    for (const { id } of open) {
      if (this.#runners.size >= runningMax) return;
      if (this.#runners.has(id)) continue;
      const lease = await this.#leaseNow();
      const claimed = await jobs.claim(id, lease, this.#stop);
      if (claimed) this.#run(claimed, lease);
    }
  }

  async #leaseNow(): Promise<KvLease> {
    if (!this.#lease || this.#lease.lost.aborted) {
      this.#lease = await this.#options.store.lease(leaseTtlMs, this.#stop);
      this.#lease.lost.addEventListener('abort', () => this.#claim(), { once: true });
    }
    return this.#lease;
  }

  #run(claimed: ClaimedJob, lease: KvLease): void {
    const { id, kind } = claimed.job;
    void removeOldFailedFiles(this.#options.failuresDir, this.#options.clock.now());
    const signal = AbortSignal.any([this.#stop.signal, lease.lost]);
    const mounted = new MountedPaths(this.#options);
    const runner =
      kind === 'LOAD'
        ? new LoadRunner({ ...this.#options, mounted, claimed, signal })
        : new FreeRunner({ ...this.#options, claimed, signal });
    this.#runners.set(id, runner);
    if (claimed.job.isStopping) runner.stop();
    const work = async (): Promise<void> => {
      await this.#toItsEnd(runner, claimed, signal);
      this.#runners.delete(id);
      await mounted.close();
      this.#runs.delete(run);
      if (!this.#stop.signal.aborted) this.#claim();
    };
    const run = work();
    this.#runs.add(run);
  }

  async #toItsEnd(runner: Runner, claimed: ClaimedJob, signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const { id } = claimed.job;
    try {
      await runner.run();
    } catch (thrown) {
      if (hasErrorCode(thrown, 'StateConflict')) logger.warn({ jobId: id, error: thrown }, 'job-taken-over');
      else if (!signal.aborted) logger.error({ jobId: id, error: thrown }, 'job-run-failed');
      else logger.info({ jobId: id }, 'job-left');
      // At a close the lease goes with all locks under it.
      if (!signal.aborted) await claimed.release().catch(() => undefined);
    }
  }
}
