/** Puts the coordinator's part of a process together and opens its port. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import { mountsGuardKeyOf } from '@alluxio-ts/common/protocol/mounts';
import type { SecretBox } from '@alluxio-ts/common/secret-box';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { ClusterDoctor, type Inspection } from './control/cluster-doctor.ts';
import { MountControl, type MountProbe } from './control/mount-control.ts';
import { RuleControl } from './control/rule-control.ts';
import {
  type AdminAccess,
  type CacheControl,
  createCoordinatorServer,
  type WorkerDirectory,
} from './http/coordinator-server.ts';

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
  readonly cache: CacheControl | undefined;
  readonly workers: WorkerDirectory;
  readonly inspection: Inspection;
  /** Of the process, for `/metrics`. */
  readonly metrics: Metrics;
  readonly version: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
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
  const server = createCoordinatorServer({
    ...options,
    mounts,
    rules: new RuleControl(options),
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
      await server.close();
      cut.abort();
      await deadline;
    },
  };
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
