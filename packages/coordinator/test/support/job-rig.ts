/** Jobs over a state store in memory and over workers that are real but for their processes: each with a cache of its own, all over one storage in memory. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { isEnded, type Job, type LoadOptions, loadOptionsSchema } from '@alluxio-ts/common/protocol/jobs';
import type { LoadBatch, LoadBatchResult } from '@alluxio-ts/common/protocol/load-batch';
import { encodeMount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import type { Test } from 'tap';
import { FaultyUfs } from '../../../../test/support/faulty-ufs.ts';
import { CacheRig, contentOf } from '../../../worker/test/support/cache-rig.ts';
import { JobControl, type NewLoad } from '../../src/control/jobs/job-control.ts';
import { JobScheduler } from '../../src/control/jobs/job-scheduler.ts';
import { JobStore } from '../../src/control/jobs/job-store.ts';
import type { LoadCall, LoadWorkers } from '../../src/control/jobs/load-workers.ts';

export const clusterName = 'c';
export const mountUri = 'mem://bucket/prefix';

export class JobRig {
  readonly store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  readonly memory = new MemoryUfs({ clock: systemClock });
  /** What the coordinator lists. */
  readonly listed = new FaultyUfs(this.memory);
  readonly workers = new Map<string, CacheRig>();
  readonly jobs: JobStore;
  readonly metrics = new Metrics();
  /** Every batch that a worker was handed. */
  readonly batches: { readonly workerId: string; readonly batch: LoadBatch }[] = [];
  readonly offline = new Set<string>();
  /** Called before a batch reaches its worker; what it throws is what the call fails with. */
  onBatch: ((workerId: string, batch: LoadBatch, call: LoadCall) => Promise<void> | void) | undefined;
  capacityBytes = 1024 ** 4;
  readonly #listeners = new Set<() => void>();
  readonly #directory: string;
  readonly #coordinators = new Set<RigCoordinator>();

  constructor(
    t: Test,
    options: { readonly workerCount?: number; readonly loadConcurrencyMax?: number } = {},
  ) {
    this.#directory = t.testdir();
    this.jobs = new JobStore({ ...this.#parts() });
    for (let index = 0; index < (options.workerCount ?? 2); index++) {
      this.workers.set(
        `worker-${index}`,
        new CacheRig({ ...options, memory: this.memory, filesMax: 100_000 }),
      );
    }
    t.teardown(async () => {
      await Promise.all([...this.#coordinators].map((coordinator) => coordinator.close()));
      await Promise.all([...this.workers.values()].map((worker) => worker.close()));
      await this.store.close();
    });
  }

  async mount(): Promise<void> {
    const value = encodeMount({ schema: 1, path: '/m', ufsUri: mountUri, options: {} });
    await this.store.txn({ put: [{ key: `${mountsPrefixOf(clusterName)}m`, value }] });
  }

  /** `count` files of so many bytes, named so that their order is known. */
  async write(count: number, sizeBytes: number): Promise<readonly string[]> {
    const keys = Array.from({ length: count }, (_, index) => `dir/${String(index).padStart(6, '0')}`);
    for (const [index, key] of keys.entries()) await this.memory.write(key, contentOf(index, sizeBytes));
    return keys;
  }

  /** A coordinator that runs jobs, one of several if called again. */
  start(): RigCoordinator {
    const parts = {
      ...this.#parts(),
      unseal: <T>(mount: T) => mount,
      openUfs: () => this.listed,
    };
    const scheduler = new JobScheduler({
      ...parts,
      jobs: this.jobs,
      workers: this.#seam(),
      failuresDir: this.#directory,
      metrics: this.metrics,
      logger: silentLogger,
    });
    const control = new JobControl({ ...parts, jobs: this.jobs, scheduler, logger: silentLogger });
    scheduler.start();
    const coordinator: RigCoordinator = {
      control,
      close: async () => {
        this.#coordinators.delete(coordinator);
        await scheduler.close();
      },
    };
    this.#coordinators.add(coordinator);
    return coordinator;
  }

  /** Submits a load and resolves with the job as it ended. */
  async load(
    { control }: RigCoordinator,
    given: Omit<Partial<NewLoad>, 'options'> & { readonly options?: Partial<LoadOptions> } = {},
  ): Promise<Job> {
    const options = loadOptionsSchema.parse(given.options ?? {});
    const what = given.index === undefined ? { paths: ['/m/dir'] } : {};
    const { job } = await control.submitLoad({ ...what, ...given, options });
    return control.whenEnded(job.id, { signal: AbortSignal.timeout(20_000) });
  }

  ownerOf(ufsPath: string): string | undefined {
    const online = this.#online();
    let hash = 0;
    for (const char of ufsPath) hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) >>> 0;
    return online[hash % online.length];
  }

  /** Takes a worker away, or brings it back. */
  setOnline(workerId: string, isOnline: boolean): void {
    if (isOnline) this.offline.delete(workerId);
    else this.offline.add(workerId);
    for (const listener of this.#listeners) listener();
  }

  /** Reads from the storage of all workers together, by key. */
  readCounts(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const worker of this.workers.values()) {
      for (const { operation, key } of worker.ufs.calls) {
        if (operation === 'read') counts.set(key, (counts.get(key) ?? 0) + 1);
      }
    }
    return counts;
  }

  async job(id: string): Promise<Job> {
    const job = await this.jobs.get(id);
    if (!job) throw new Error(`no job ${id}`);
    return job;
  }

  /** The one job that there is. */
  async openJob(): Promise<Job> {
    const [job] = (await this.jobs.list()).filter((each) => !isEnded(each));
    if (!job) throw new Error('no open job');
    return job;
  }

  #online(): readonly string[] {
    return [...this.workers.keys()].filter((id) => !this.offline.has(id));
  }

  #parts() {
    return { store: this.store, clusterName, clock: systemClock, random: systemRandom };
  }

  #seam(): LoadWorkers {
    return {
      online: () => this.#online(),
      ownerOf: (ufsPath) => this.ownerOf(ufsPath),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      load: (workerId, batch, call) => this.#load(workerId, batch, call),
      roomOf: async () => ({ capacityBytes: this.capacityBytes, freeBytes: this.capacityBytes }),
      free: async (path) => {
        const key = path.slice(mountUri.length + 1);
        let total = { fileCount: 0, pageCount: 0, freedBytes: 0 };
        for (const worker of this.workers.values()) {
          const freed = await worker.cache.freeBelow(worker.file('').mount, key);
          total = {
            fileCount: total.fileCount + freed.fileCount,
            pageCount: total.pageCount + freed.pageCount,
            freedBytes: total.freedBytes + freed.freedBytes,
          };
        }
        return total;
      },
    };
  }

  async #load(workerId: string, batch: LoadBatch, call: LoadCall): Promise<LoadBatchResult> {
    this.batches.push({ workerId, batch });
    const worker = this.workers.get(workerId);
    if (!worker || this.offline.has(workerId)) throw new AlluxioError('Unreachable', `${workerId} is away`);
    await this.onBatch?.(workerId, batch, call);
    return worker.loader.load(batch, call);
  }
}

export interface RigCoordinator {
  readonly control: JobControl;
  close(): Promise<void>;
}
