/** Puts the coordinator's part of a process together and opens its port. */

import { BoundedLogFile } from '@alluxio-ts/common/bounded-log-file';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { ProcessLogger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import { mountsGuardKeyOf } from '@alluxio-ts/common/protocol/mounts';
import type { SecretBox } from '@alluxio-ts/common/secret-box';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { ClusterDoctor, type Inspection } from './control/cluster-doctor.ts';
import { JobControl } from './control/jobs/job-control.ts';
import { JobScheduler, type JobSchedulerOptions } from './control/jobs/job-scheduler.ts';
import { JobStore } from './control/jobs/job-store.ts';
import type { LoadWorkers } from './control/jobs/load-workers.ts';
import { ConfControl } from './control/conf-control.ts';
import { MountControl, type MountProbe } from './control/mount-control.ts';
import { RuleControl } from './control/rule-control.ts';
import { TtlControl } from './control/ttl-control.ts';
import type { CacheControl } from './http/cache-handlers.ts';
import type { AdminAccess } from './http/caller-check.ts';
import { createCoordinatorServer } from './http/coordinator-server.ts';
import type { WorkerLogs } from './http/log-handlers.ts';
import type { WorkerDirectory } from './http/worker-directory.ts';

export interface CoordinatorOptions {
  /** Stays the caller's: closed after the coordinator. */
  readonly store: KvStore;
  readonly clusterName: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly probe: MountProbe;
  readonly box: SecretBox | undefined;
  readonly admin: AdminAccess;
  /** By which members of the cluster are known; undefined where there are none. */
  readonly peerSecret?: string;
  /** Where changing calls are recorded beside the log; an empty path is nowhere. */
  readonly auditFile?: { readonly path: string; readonly sizeMaxBytes: number };
  readonly cache: CacheControl | undefined;
  readonly workers: WorkerDirectory;
  /** What jobs need; without it none are run. */
  readonly jobs?: JobParts;
  /** Undefined where no worker can be reached. */
  readonly workerLogs?: WorkerLogs;
  readonly inspection: Inspection;
  /** Of the process, for `/metrics`. */
  readonly metrics: Metrics;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: ProcessLogger;
}

export interface JobParts extends Pick<JobSchedulerOptions, 'openUfs' | 'unseal' | 'failuresDir'> {
  readonly workers: LoadWorkers;
}

export interface Coordinator {
  readonly host: string;
  readonly port: number;
  /** For whoever adds mounts within the process, such as `--mount` of standalone. */
  readonly mounts: MountControl;
  /** Takes no more requests and lets those in flight finish, at most until the deadline. */
  close(): Promise<void>;
}

const readyDeadlineMs = 2000;
const closeDeadlineMs = 10_000;

/** Fails with PortTaken naming the port and its option, or InvalidOptions when the address is not one of this machine. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { store, clusterName, clock, logger } = options;
  const mounts = new MountControl(options);
  const { auditFile: audit, ...rest } = options;
  const auditFile = audit && audit.path !== '' ? new BoundedLogFile({ ...audit, logger }) : undefined;
  const jobs = options.jobs && jobsOf(options, options.jobs);
  const server = createCoordinatorServer({
    ...rest,
    jobs: jobs?.control,
    ...(auditFile ? { auditFile } : {}),
    mounts,
    rules: new RuleControl(options),
    ttl: new TtlControl(options),
    conf: new ConfControl(options),
    doctor: new ClusterDoctor({
      inspection: options.inspection,
      mounts,
      isAdminOpen: options.admin.kind === 'open',
    }),
    checkReady: async () => {
      await store.get(mountsGuardKeyOf(clusterName), { signal: AbortSignal.timeout(readyDeadlineMs) });
    },
  });
  try {
    await server.listen({ host: options.host, port: options.port });
  } catch (thrown) {
    await server.close();
    throw listenError(options, thrown);
  }
  const address = server.server.address();
  const port = address !== null && typeof address === 'object' ? address.port : options.port;
  jobs?.scheduler.start();
  logger.info({ host: options.host, port }, 'coordinator-started');
  if (options.admin.kind === 'open') {
    logger.warn(
      {
        option: 'alluxio.security.admin.open',
        meaning: 'anyone who reaches the coordinator may change it',
      },
      'admin-open-to-everyone',
    );
  }
  return {
    host: options.host,
    port,
    mounts,
    close: async () => {
      const cut = new AbortController();
      const deadline = clock.sleep(closeDeadlineMs, { signal: cut.signal }).then(
        () => server.server.closeAllConnections(),
        () => undefined,
      );
      await Promise.race([server.close(), deadline]);
      await jobs?.scheduler.close();
      // A disk that hangs does not hold the process.
      await Promise.race([auditFile?.close(), deadline]);
      cut.abort();
      await deadline;
    },
  };
}

function jobsOf(
  options: CoordinatorOptions,
  parts: JobParts,
): { readonly control: JobControl; readonly scheduler: JobScheduler } {
  const jobs = new JobStore(options);
  const scheduler = new JobScheduler({ ...options, ...parts, jobs });
  return { scheduler, control: new JobControl({ ...options, ...parts, jobs, scheduler }) };
}

function listenError({ host, port }: CoordinatorOptions, thrown: unknown): AlluxioError {
  const errno = errnoOf(thrown);
  if (errno === 'EADDRINUSE') {
    return new AlluxioError(
      'PortTaken',
      `port ${port} on ${host} is taken; stop what listens there, or set alluxio.coordinator.web.port`,
      { cause: thrown },
    );
  }
  return new AlluxioError(
    'InvalidOptions',
    `the coordinator cannot listen on ${host} port ${port} (${errno ?? 'unknown'}); check alluxio.bind.host and alluxio.coordinator.web.port`,
    { cause: thrown },
  );
}
