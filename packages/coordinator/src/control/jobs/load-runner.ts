/** Runs one load job from where it stands to its end, saves how far it is, and ends it in one of three ways. */

import { AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import { type Job, jobFailuresKept, type JobFailure, noCounts } from '@alluxio-ts/common/protocol/jobs';
import type { LoadMode } from '@alluxio-ts/common/protocol/load-batch';
import { formatCount } from '@alluxio-ts/common/units';
import { FailedFiles } from './failed-files.ts';
import type { ClaimedJob } from './job-store.ts';
import { LoadPass, type LoadPassParts } from './load-pass.ts';
import { countTotal } from './load-total.ts';

export interface LoadRunnerOptions extends LoadPassParts {
  readonly claimed: ClaimedJob;
  /** Where the files of failures lie. */
  readonly failuresDir: string;
  /** Ends the run without a word in the state store: the lock is lost, or the coordinator stops. */
  readonly signal: AbortSignal;
}

const savePauseMs = 1000;
/** While the state store is away a job goes on; its end waits to be written. */
const endPauseMs = 1000;

/** What is done while a pass runs, until the signal is aborted. */
type Beside = (signal: AbortSignal, pass: LoadPass) => Promise<void>;

export class LoadRunner {
  readonly #options: LoadRunnerOptions;
  readonly #failedFiles: FailedFiles;
  /** Ends the job: its reason is a stop that somebody asked for, the lock that is lost, or why the job cannot go on. */
  readonly #end = new AbortController();
  #isStopped = false;
  #job: Job;
  #pass: LoadPass | undefined;

  constructor(options: LoadRunnerOptions) {
    const { job } = options.claimed;
    this.#options = options;
    this.#failedFiles = new FailedFiles({ dir: options.failuresDir, jobId: job.id, logger: options.logger });
    this.#job = job;
  }

  /** As it stands this moment. */
  get job(): Job {
    if (!this.#pass) return this.#job;
    const { cursor, counts, shown } = this.#pass.window;
    return { ...this.#job, cursor, counts, shown, givingWayWorkers: this.#pass.givingWayCount };
  }

  runningOf(workerId: string): number {
    return this.#pass?.runningOf(workerId) ?? 0;
  }

  /** The job is to end as STOPPED. */
  stop(): void {
    this.#isStopped = true;
    this.#end.abort(new AlluxioError('StateConflict', 'the job was stopped'));
  }

  /** Resolves when the job has ended and that is saved. Rejects with the signal's reason, and with StateConflict when the job was taken over. */
  async run(): Promise<void> {
    const { clock, logger, claimed, signal } = this.#options;
    const { id, state, cursor } = this.#job;
    logger.info({ jobId: id, isResumed: state !== 'WAITING' }, 'job-started');
    this.#job = {
      ...this.#job,
      state: cursor.pass === 'verify' ? 'VERIFYING' : 'RUNNING',
      startedMs: this.#job.startedMs ?? clock.now(),
    };
    await claimed.save(this.#job, { signal });
    const over = new AbortController();
    const saving = this.#saveNowAndThen(AbortSignal.any([signal, over.signal]));
    const outcome = await this.#outcome();
    over.abort();
    await saving;
    signal.throwIfAborted();
    await this.#failedFiles.settled();
    const ended: Job = { ...this.job, ...outcome, givingWayWorkers: 0, endedMs: clock.now() };
    await this.#saveEnd(ended);
    // Not before: whoever sees that it has ended may submit the same again, and is not to be given this one.
    this.#job = ended;
    logger.info({ jobId: id, state: this.#job.state, ...this.#job.shown }, 'job-ended');
  }

  async #outcome(): Promise<Pick<Job, 'state' | 'failure'>> {
    try {
      await this.#passes();
      return this.#result();
    } catch (thrown) {
      if (this.#isStopped) return { state: 'STOPPED' };
      const { code, message } = toAlluxioError(thrown);
      if (code === 'Internal')
        this.#options.logger.error({ jobId: this.#job.id, error: thrown }, 'job-failed');
      return { state: 'FAILED', failure: { code, message } };
    }
  }

  /** SUCCEEDED says that every file is in. */
  #result(): Pick<Job, 'state' | 'failure'> {
    const { counts, failures } = this.job;
    const last = failures.at(-1);
    if (counts.failedFiles === 0 || !last) return { state: 'SUCCEEDED' };
    return {
      state: 'FAILED',
      failure: {
        code: last.code,
        message: `${formatCount(counts.failedFiles, 'file')} failed, the last one: ${last.message}`,
      },
    };
  }

  async #passes(): Promise<void> {
    const { dryRun, loadMetadataOnly, verify } = this.#job.options;
    if (this.#job.cursor.pass === 'load') {
      const mode = dryRun ? 'look' : loadMetadataOnly ? 'metadata' : 'load';
      const pass = await this.#runPass(mode, (signal, { listed }) => this.#count(listed, signal));
      if (dryRun) await this.#findMissingRoom(pass);
      if (!verify || mode !== 'load' || pass.window.counts.failedFiles > 0) return;
      this.#job = { ...this.job, state: 'VERIFYING', cursor: { pass: 'verify', source: 0 } };
    }
    await this.#runPass('verify');
  }

  /** A dry run that was interrupted begins anew: what it has seen of the workers is nowhere else. */
  async #runPass(mode: LoadMode, beside?: Beside): Promise<LoadPass> {
    const ended = new AbortController();
    const signal = AbortSignal.any([this.#options.signal, this.#end.signal, ended.signal]);
    const job = mode === 'look' ? anew(this.#job) : this.#job;
    const onFailures = (failures: readonly JobFailure[]) => this.#keepFailures(failures);
    const pass = new LoadPass({ ...this.#options, job, mode, onFailures });
    this.#pass = pass;
    const other = beside?.(signal, pass).catch((thrown: unknown) => ended.abort(thrown));
    try {
      await pass.run({ signal });
      await other;
      signal.throwIfAborted();
      return pass;
    } finally {
      ended.abort(new AlluxioError('StateConflict', 'the pass is over'));
      await other;
      const { cursor, counts, shown } = pass.window;
      this.#job = { ...this.#job, cursor, counts, shown };
      this.#pass = undefined;
    }
  }

  /** Once for a job; not where the total is not wanted, and not of an index, whose files nobody has looked at. */
  async #count(listed: LoadPass['listed'], signal: AbortSignal): Promise<void> {
    const { index, options, total } = this.#job;
    if (options.partialListing || index !== undefined || total?.isComplete) return;
    const onCounted = (counted: NonNullable<Job['total']>) => {
      this.#job = { ...this.#job, total: counted };
    };
    await countTotal({ ...this.#options, job: this.#job, listed, onCounted }, { signal });
  }

  async #findMissingRoom({ missingBytes }: LoadPass): Promise<void> {
    let missingRoomBytes = 0;
    for (const [workerId, bytes] of missingBytes) {
      const room = await this.#options.workers.roomOf(workerId, this.#options);
      missingRoomBytes += Math.max(0, bytes - (room?.freeBytes ?? 0));
    }
    this.#job = { ...this.#job, missingRoomBytes };
  }

  #keepFailures(failures: readonly JobFailure[]): void {
    this.#failedFiles.append(failures);
    this.#job = {
      ...this.#job,
      failedFilesPath: this.#failedFiles.path,
      failures: [...this.#job.failures, ...failures].slice(-jobFailuresKept),
    };
  }

  async #saveNowAndThen(signal: AbortSignal): Promise<void> {
    const { claimed, clock, logger } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(savePauseMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        await claimed.save(this.job, { signal });
        if (claimed.job.isStopping) this.stop();
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasErrorCode(thrown, 'StateConflict')) this.#end.abort(thrown);
        else logger.warn({ jobId: this.#job.id, error: thrown }, 'job-not-saved');
      }
    }
  }

  async #saveEnd(ended: Job): Promise<void> {
    const { claimed, clock, logger, signal } = this.#options;
    for (;;) {
      try {
        await claimed.save(ended, { signal });
        return;
      } catch (thrown) {
        if (signal.aborted || !hasErrorCode(thrown, 'StateStoreUnavailable')) throw thrown;
        logger.warn({ jobId: this.#job.id, error: thrown }, 'job-not-saved');
        await clock.sleep(endPauseMs, { signal });
      }
    }
  }
}

function anew(job: Job): Job {
  return { ...job, cursor: { pass: 'load', source: 0 }, counts: noCounts };
}
