/** How a worker is, asked of its disks and of the storages of its mounts when somebody wants to know. */

import type { Clock } from '@alluxio-ts/common/clock';
import { processFacts } from '@alluxio-ts/common/process-facts';
import type { WorkerTransport } from '@alluxio-ts/common/protocol/coordinator-api';
import {
  faultOf,
  type MemorySum,
  type MountProbe,
  type WorkerDiagnosis,
} from '@alluxio-ts/common/protocol/diagnosis';
import { SingleFlight } from '@alluxio-ts/common/single-flight';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { MountTable, ServedMount } from './cache/mount-table.ts';
import { type CacheDir, diagnoseCacheDir } from './page-store/cache-dir.ts';

/** What a worker is told of itself, to tell others. */
export interface WorkerFacts {
  readonly version: string;
  /** Of its options. */
  readonly notices: readonly string[];
  /** The options that must be the same on all workers. */
  readonly configuration: Readonly<Record<string, string>>;
}

export interface WorkerDoctorOptions extends WorkerFacts {
  readonly cacheDirs: readonly CacheDir[];
  readonly mounts: MountTable;
  /** Opens the storage of a mount once more, as at its addition: one that is open may know its directory from before. */
  readonly openUfs: (mount: ServedMount) => Ufs;
  /** For how long reads of a mount have failed without asking its storage; undefined when they ask. */
  readonly leftAloneMsOf: (mount: ServedMount) => number | undefined;
  readonly memory: MemorySum;
  readonly connectionsMax: number;
  readonly transport: WorkerTransport;
  readonly clock: Clock;
}

/** Whoever asks waits for all mounts: below the time that the coordinator waits for a worker. */
const probeTimeoutMs = 5000;

export class WorkerDoctor {
  readonly #options: WorkerDoctorOptions;
  /** However many ask at once, a disk or a storage is asked once. */
  readonly #running = new SingleFlight<'diagnosis' | 'diagnosis with disks', WorkerDiagnosis>();

  constructor(options: WorkerDoctorOptions) {
    this.#options = options;
  }

  /** Measuring the disks writes to them, 32 MiB each. Never fails for what it finds. */
  diagnose({ measuresDisks }: { readonly measuresDisks: boolean }): Promise<WorkerDiagnosis> {
    const kind = measuresDisks ? 'diagnosis with disks' : 'diagnosis';
    return this.#running.run(kind, () => this.#diagnose(measuresDisks));
  }

  async #diagnose(measuresSpeed: boolean): Promise<WorkerDiagnosis> {
    const { cacheDirs, clock, configuration, connectionsMax, memory, mounts, transport } = this.#options;
    const [dirs, probes] = await Promise.all([
      Promise.all(cacheDirs.map((cacheDir) => diagnoseCacheDir(cacheDir, { clock, measuresSpeed }))),
      Promise.all(mounts.list().map((mount) => probe(mount, this.#options))),
    ]);
    // Last, since the clock of now is one of the facts.
    const facts = await processFacts(this.#options);
    return {
      ...facts,
      configuration: { ...configuration },
      connectionsMax,
      memory,
      transport,
      dirs,
      mounts: probes,
    };
  }
}

async function probe(
  mount: ServedMount,
  { clock, leftAloneMsOf, openUfs }: WorkerDoctorOptions,
): Promise<MountProbe> {
  const leftAloneMs = leftAloneMsOf(mount);
  const begunMs = clock.monotonic();
  const fault = await probeNew(() => openUfs(mount), clock).then(() => undefined, faultOf);
  const durationMs = Math.round(clock.monotonic() - begunMs);
  return {
    path: mount.path,
    ufsUri: mount.uri.text,
    durationMs,
    ...(fault ? { fault } : {}),
    ...(leftAloneMs === undefined ? {} : { leftAloneMs }),
  };
}

async function probeNew(open: () => Ufs, clock: Clock): Promise<void> {
  const ufs = open();
  try {
    await probeUfs(ufs, { clock, timeoutMs: probeTimeoutMs });
  } finally {
    await ufs.close();
  }
}
