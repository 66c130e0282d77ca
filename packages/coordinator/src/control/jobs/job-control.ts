/** Submits jobs, finds them, has them stopped: what the API and the command line are given. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import {
  defaultLoadOptions,
  isEnded,
  type Job,
  type JobKind,
  type JobState,
  type LoadOptions,
  noCounts,
  subjectOf,
} from '@alluxio-ts/common/protocol/jobs';
import type { JobScheduler } from './job-scheduler.ts';
import type { JobStore } from './job-store.ts';
import { MountedPaths, type MountedPathsOptions } from './mounted-paths.ts';

export interface JobControlOptions extends MountedPathsOptions {
  readonly jobs: JobStore;
  readonly scheduler: JobScheduler;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface JobCall {
  readonly signal?: AbortSignal;
}

/** Paths of the namespace or of under storages; exactly one of the two. */
export interface JobSubject {
  readonly paths?: readonly string[];
  readonly index?: string;
}

export interface NewLoad extends JobSubject {
  readonly alias?: string;
  readonly options: LoadOptions;
}

/** One of them says which job; of several about the same the newest is meant. */
export interface JobSelector extends JobSubject {
  readonly id?: string;
  readonly alias?: string;
}

export interface JobFilter {
  readonly kind?: JobKind;
  readonly state?: JobState;
  /** Only jobs behind this one. */
  readonly lastId?: string;
  readonly count?: number;
}

const endPollMs = 300;

export class JobControl {
  readonly #options: JobControlOptions;

  constructor(options: JobControlOptions) {
    this.#options = options;
  }

  /** The job, or the one that does the same already. Fails with MountNotFound, InvalidArgument, Overloaded. */
  async submitLoad(
    load: NewLoad,
    call: JobCall = {},
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const subject = await this.#canonical(load, call, { mustBeMounted: true });
    return this.#submit({ kind: 'LOAD', ...subject, options: load.options }, load.alias, call);
  }

  async submitFree(
    path: string,
    call: JobCall = {},
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const subject = await this.#canonical({ paths: [path] }, call, { mustBeMounted: true });
    return this.#submit({ kind: 'FREE', ...subject, options: defaultLoadOptions }, undefined, call);
  }

  /** Undefined when there is none, or none any more. */
  async find(kind: JobKind, selector: JobSelector, call: JobCall = {}): Promise<Job | undefined> {
    if (selector.id !== undefined) {
      const job = await this.#options.jobs.get(selector.id, call);
      return job && this.#live(job);
    }
    const subject =
      selector.alias === undefined
        ? subjectOf(await this.#canonical(selector, call, { mustBeMounted: false }))
        : undefined;
    const jobs = await this.#options.jobs.list(call);
    const found = jobs.findLast(
      (job) =>
        job.kind === kind &&
        (subject === undefined ? job.alias === selector.alias : subjectOf(job) === subject),
    );
    return found && this.#live(found);
  }

  /** In the order of their submission. */
  async list(filter: JobFilter = {}, call: JobCall = {}): Promise<readonly Job[]> {
    const { count = Number.POSITIVE_INFINITY, kind, lastId, state } = filter;
    const jobs = await this.#options.jobs.list(call);
    const from = lastId === undefined ? 0 : jobs.findIndex(({ id }) => id === lastId) + 1;
    return jobs
      .slice(from)
      .map((job) => this.#live(job))
      .filter((job) => (kind ?? job.kind) === job.kind && (state ?? job.state) === job.state)
      .slice(0, count);
  }

  /** The job that is about to end; undefined when there is none that has not ended. */
  async stop(kind: JobKind, selector: JobSelector, call: JobCall = {}): Promise<Job | undefined> {
    const job = await this.find(kind, selector, call);
    if (!job || isEnded(job) || !(await this.#options.jobs.requestStop(job.id, call))) return undefined;
    this.#options.logger.info({ jobId: job.id }, 'job-stop-requested');
    return job;
  }

  /** The job once it has ended. Rejects with the signal's reason; the job goes on. Fails with JobNotFound. */
  async whenEnded(id: string, call: { readonly signal: AbortSignal }): Promise<Job> {
    for (;;) {
      try {
        const job = await this.#options.jobs.get(id, call);
        if (!job) throw new AlluxioError('JobNotFound', `there is no job ${id} any more`);
        if (isEnded(job)) return job;
      } catch (thrown) {
        if (!hasErrorCode(thrown, 'StateStoreUnavailable')) throw thrown;
      }
      await this.#options.clock.sleep(endPollMs, call);
    }
  }

  async #submit(
    what: Pick<Job, 'kind' | 'paths' | 'index' | 'options'>,
    alias: string | undefined,
    call: JobCall,
  ): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const { clock, jobs, logger, random } = this.#options;
    const submitted = await jobs.submit(
      {
        schema: 1,
        id: random.uuid(),
        ...what,
        ...(alias === undefined ? {} : { alias }),
        state: 'WAITING',
        isStopping: false,
        submittedMs: clock.now(),
        cursor: { pass: 'load', source: 0 },
        counts: noCounts,
        shown: noCounts,
        failures: [],
      },
      call,
    );
    const { id, kind } = submitted.job;
    if (submitted.isNew) logger.info({ jobId: id, kind, subject: subjectOf(submitted.job) }, 'job-submitted');
    return { ...submitted, job: this.#live(submitted.job) };
  }

  #live(job: Job): Job {
    return isEnded(job) ? job : (this.#options.scheduler.running(job.id) ?? job);
  }

  /** However a path is written, a job is known by its full UFS path. What is not mounted (any more) stays as it is. */
  async #canonical(
    { index, paths = [] }: JobSubject,
    call: JobCall,
    { mustBeMounted }: { readonly mustBeMounted: boolean },
  ): Promise<Pick<Job, 'paths' | 'index'>> {
    if ((index === undefined) === (paths.length === 0)) {
      throw new AlluxioError('InvalidArgument', 'say what is meant: by one or more paths, or by an index');
    }
    const mounted = new MountedPaths(this.#options);
    const canonical = async (path: string): Promise<string> => {
      try {
        return await mounted.canonical(path, call);
      } catch (thrown) {
        if (!mustBeMounted && hasErrorCode(thrown, 'MountNotFound')) return path;
        throw thrown;
      }
    };
    if (index !== undefined) return { paths: [], index: await canonical(index) };
    const found: string[] = [];
    for (const path of paths) found.push(await canonical(path));
    return { paths: found };
  }
}
