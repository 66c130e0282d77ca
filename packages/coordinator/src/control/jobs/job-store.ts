/**
 * Jobs in the state store. An entry is changed by the job's runner alone, which holds the job's lock under a lease: a runner that was stopped past its lease
 * finds the lock gone, and none of its writes succeeds. Beside it anybody may ask for a job's end.
 */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import {
  decodeJob,
  encodeJob,
  isEnded,
  type Job,
  jobLocksPrefixOf,
  jobsGuardKeyOf,
  jobsPrefixOf,
} from '@alluxio-ts/common/protocol/jobs';
import type { KvCallOptions, KvEntry, KvLease, KvStore } from '@alluxio-ts/common/state/kv-store';
import { additionGuard } from '../addition-guard.ts';

export interface JobStoreOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** What of ended jobs is kept. */
const endedJobsMax = 1000;
const endedJobsMaxAgeMs = 7 * 24 * 3_600_000;
/** Of jobs that have not ended. */
const openJobsMax = 1000;
const triesMax = 5;

export class JobStore {
  readonly #options: JobStoreOptions;

  constructor(options: JobStoreOptions) {
    this.#options = options;
  }

  /** In the order of their submission. What is not readable is left out. */
  async list(call: KvCallOptions = {}): Promise<readonly Job[]> {
    const { entries } = await this.#options.store.list(this.prefix, call);
    return entries.flatMap((entry) => readable(entry) ?? []).toSorted(bySubmission);
  }

  get prefix(): string {
    return jobsPrefixOf(this.#options.clusterName);
  }

  get locksPrefix(): string {
    return jobLocksPrefixOf(this.#options.clusterName);
  }

  async get(id: string, call: KvCallOptions = {}): Promise<Job | undefined> {
    const entry = await this.#options.store.get(this.#keyOf(id), call);
    return entry && decodeJob(entry.key, entry.value);
  }

  /**
   * Adds the job, unless one that has not ended does the same or has its alias: then that one. Ended jobs beyond the bound go. Fails with Overloaded when too
   * many have not ended.
   */
  async submit(job: Job, call: KvCallOptions = {}): Promise<{ readonly job: Job; readonly isNew: boolean }> {
    const { store, clusterName } = this.#options;
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const guard = await additionGuard(this.#options, jobsGuardKeyOf(clusterName), call);
      const jobs = await this.list(call);
      const open = jobs.filter((each) => !isEnded(each));
      const same = open.find((each) => isSame(each, job));
      if (same) return { job: same, isNew: false };
      if (open.length >= openJobsMax) {
        throw new AlluxioError(
          'Overloaded',
          `${openJobsMax} jobs have not ended, their bound; stop some, or wait`,
        );
      }
      const put = [{ key: this.#keyOf(job.id), value: encodeJob(job) }, guard.put];
      const gone = this.#outdated(jobs).map(({ id }) => this.#keyOf(id));
      const { succeeded } = await store.txn({ compare: [guard.compare], put, delete: gone }, call);
      if (succeeded) return { job, isNew: true };
    }
    throw new AlluxioError('StateConflict', 'others keep submitting jobs; look again, then repeat');
  }

  /** Has a job end that has not: at once when nobody runs it, else by its runner. False when it had ended already. */
  async requestStop(id: string, call: KvCallOptions = {}): Promise<boolean> {
    const { store, clock } = this.#options;
    const key = this.#keyOf(id);
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const entry = await store.get(key, call);
      const job = entry && decodeJob(entry.key, entry.value);
      if (!job || isEnded(job)) return false;
      const lock = await store.get(this.#lockKeyOf(id), call);
      const stopped: Job = lock
        ? { ...job, isStopping: true }
        : { ...job, isStopping: true, state: 'STOPPED', endedMs: clock.now() };
      const compare = [
        { key, modRevision: entry.modRevision },
        { key: this.#lockKeyOf(id), modRevision: lock?.modRevision ?? 0 },
      ];
      const { succeeded } = await store.txn({ compare, put: [{ key, value: encodeJob(stopped) }] }, call);
      if (succeeded) return true;
    }
    throw new AlluxioError('StateConflict', `the job ${id} keeps changing; repeat`);
  }

  /** Takes the job over for as long as the lease holds; undefined when somebody else has it or it has ended. */
  async claim(id: string, lease: KvLease, call: KvCallOptions = {}): Promise<ClaimedJob | undefined> {
    const { store } = this.#options;
    const key = this.#keyOf(id);
    const lockKey = this.#lockKeyOf(id);
    const entry = await store.get(key, call);
    const job = entry && readable(entry);
    if (!job || isEnded(job)) return undefined;
    const { succeeded, revision } = await store.txn(
      {
        compare: [
          { key: lockKey, modRevision: 0 },
          { key, modRevision: entry.modRevision },
        ],
        put: [{ key: lockKey, value: JSON.stringify({ schema: 1, lease: lease.id }), lease }],
      },
      call,
    );
    if (!succeeded) return undefined;
    return new ClaimedJob(store, {
      key,
      lockKey,
      lockRevision: revision,
      job,
      modRevision: entry.modRevision,
    });
  }

  #outdated(jobs: readonly Job[]): readonly Job[] {
    const ended = jobs.filter(isEnded).toSorted((one, other) => (other.endedMs ?? 0) - (one.endedMs ?? 0));
    const oldestMs = this.#options.clock.now() - endedJobsMaxAgeMs;
    // A transaction takes so many keys at a time; the rest goes with the next submission.
    return ended
      .filter(({ endedMs }, index) => index >= endedJobsMax - 1 || (endedMs ?? 0) < oldestMs)
      .slice(0, 64);
  }

  #keyOf(id: string): string {
    return this.prefix + id;
  }

  #lockKeyOf(id: string): string {
    return this.locksPrefix + id;
  }
}

interface Claim {
  readonly key: string;
  readonly lockKey: string;
  readonly lockRevision: number;
  readonly job: Job;
  readonly modRevision: number;
}

/** A job in the hands of its runner. */
export class ClaimedJob {
  readonly #store: KvStore;
  readonly #claim: Claim;
  #job: Job;
  #modRevision: number;

  constructor(store: KvStore, claim: Claim) {
    this.#store = store;
    this.#claim = claim;
    this.#job = claim.job;
    this.#modRevision = claim.modRevision;
  }

  /** As it was saved last. */
  get job(): Job {
    return this.#job;
  }

  /**
   * Saves it, and gives it up when it has ended. That somebody has asked for its end meanwhile is kept, and shows in `job`. Fails with StateConflict when
   * the lock is not ours any more: then nothing was written, and somebody else may run the job.
   */
  async save(job: Job, call: KvCallOptions = {}): Promise<void> {
    const { key, lockKey, lockRevision } = this.#claim;
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const value: Job = { ...job, isStopping: job.isStopping || this.#job.isStopping };
      const { succeeded, revision } = await this.#store.txn(
        {
          compare: [
            { key: lockKey, modRevision: lockRevision },
            { key, modRevision: this.#modRevision },
          ],
          put: [{ key, value: encodeJob(value) }],
          delete: isEnded(value) ? [lockKey] : [],
        },
        call,
      );
      if (succeeded) {
        this.#job = value;
        this.#modRevision = revision;
        return;
      }
      const lock = await this.#store.get(lockKey, call);
      const entry = await this.#store.get(key, call);
      if (lock?.modRevision !== lockRevision || !entry) break;
      this.#job = decodeJob(entry.key, entry.value);
      this.#modRevision = entry.modRevision;
    }
    throw new AlluxioError('StateConflict', `the job ${job.id} is not this coordinator's any more`);
  }

  /** Lets somebody else have it. */
  async release(call: KvCallOptions = {}): Promise<void> {
    const { lockKey, lockRevision } = this.#claim;
    const compare = [{ key: lockKey, modRevision: lockRevision }];
    await this.#store.txn({ compare, delete: [lockKey] }, call);
  }
}

function isSame(one: Job, other: Job): boolean {
  if (one.alias !== undefined && one.alias === other.alias) return true;
  return (
    one.kind === other.kind && one.index === other.index && one.paths.join('\n') === other.paths.join('\n')
  );
}

function bySubmission(one: Job, other: Job): number {
  return one.submittedMs - other.submittedMs || (one.id < other.id ? -1 : 1);
}

/** One entry that a newer version wrote does not hide the others. */
function readable({ key, value }: KvEntry): Job | undefined {
  try {
    return decodeJob(key, value);
  } catch {
    return undefined;
  }
}
