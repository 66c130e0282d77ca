/** What a worker is told, and what it is given to work with. */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import type { ProcessLogger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import type { KvEntry, KvStore } from '@alluxio-ts/common/state/kv-store';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import type { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { Placement } from './cache/placement.ts';
import type { CacheDir } from './page-store/cache-dir.ts';
import type { PageEvents } from './page-store/page-events.ts';
import type { EvictorType } from './page-store/eviction-policies.ts';
import type { PageStore } from './page-store/page-store.ts';
import type { WorkerFacts } from './worker-diagnosis.ts';

export type TransportKind = 'plain' | 'hotpath';
/** `auto`: hotpath where this installation has it, else plain. */
export type TransportChoice = TransportKind | 'auto';

export interface WorkerOptions {
  /** `plain` unless given. */
  readonly transport?: TransportChoice;
  readonly clusterName: string;
  readonly bindHost: string;
  /** Where others reach this worker. */
  readonly hostname: string;
  readonly s3Port: number;
  readonly restPort: number;
  readonly webPort: number;
  readonly metastoreDir: string;
  readonly pageSizeBytes: number;
  /** What the page store keeps by, for shadow caches. */
  readonly evictorType: EvictorType;
  readonly directMemoryBytes: number;
  /** Answers with a body that may be under way at once. */
  readonly answersMax?: number;
  /** So much of a file is fetched ahead of a reader that goes through it in order. */
  readonly readAheadMaxBytes: number;
  /** 0 fetches pages in this thread. */
  readonly fillThreadCount: number;
  /** Pages that load jobs may have under way, and at most half of the memory for them. */
  readonly loadConcurrencyMax: number;
  /** Whether load jobs give way to readers. */
  readonly loadsReadersFirst: boolean;
  readonly maxAgeMs: number;
  readonly staleIfErrorMaxMs: number;
  /** Without one, every file is kept and re-checked after `maxAgeMs`. */
  readonly rulesFile?: { readonly path: string; readonly checkIntervalMs: number };
  /** How often files are looked for whose time in the cache is over by the TTL rules; without it none are dropped. */
  readonly ttlCheckIntervalMs?: number;
  /** Whether `/v1/ufsInfo` gives out the credentials of mounts. */
  readonly exposesCredentials: boolean;
  /** Whether every answer is a line of the log at `info`; otherwise it is one at `debug`. */
  readonly logsAccess: boolean;
  readonly facts: WorkerFacts;
}

/** What a worker is given instead of making it itself. */
export interface WorkerParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: ProcessLogger;
  readonly metrics: Metrics;
  readonly store: KvStore;
  /** The worker's from now on: it closes it. */
  readonly pageStore: PageStore;
  /** Where that store keeps its pages. */
  readonly cacheDirs: readonly CacheDir[];
  /** Of that store, where its pages have places on disk. The worker listens to them from its start on. */
  readonly pageEvents?: PageEvents;
  readonly decodeMount: (entry: KvEntry) => Mount;
  /** `circuit` where the storage of a mount is opened for serving it: fill threads open it with the same. */
  readonly openUfs: (
    uri: MountUri,
    options: Readonly<Record<string, string>>,
    how: { readonly circuit?: SharedArrayBuffer },
  ) => Ufs;
  /** Without it the worker owns every file. */
  readonly cluster?: ClusterParts;
  /** Runs the loads that clients submit at a worker; asked at each of them. Its connections are the caller's to close. */
  readonly coordinator?: () => CoordinatorClient | undefined;
  /** What fill threads need to open the same storages for themselves. */
  readonly ufsOfThreads: {
    /** Mounts of other schemes are read in this thread. */
    readonly schemes: readonly string[];
    readonly localAllowedRoots: readonly string[];
    readonly environment: Readonly<Record<string, string | undefined>>;
    readonly metricsOf: (scheme: string) => UfsMetrics;
    readonly readRate?: ReadRate | undefined;
    readonly hedgesReads?: boolean;
  };
}

/** What makes a worker one of several. */
export interface ClusterParts {
  readonly placement: Placement;
  /** Shared by the workers of the cluster: by it they know each other's requests. */
  readonly secret: string;
  /** As long as a lease: in that time a state store that was away shows again what it has. */
  readonly departureHoldMs: number;
  /** How many workers are alive, as far as this one knows. */
  readonly memberCount: () => number;
  /** Calls back whenever files may have changed their owners. */
  readonly onRingChange?: (listener: () => void) => void;
  /** Whether a client of the S3 API is sent to the owner by a 307 instead of served through this worker. */
  readonly redirectsS3?: boolean;
}
