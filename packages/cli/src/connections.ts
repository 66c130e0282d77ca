/** How commands reach the processes: the coordinator by the options, a worker through the coordinator. */

import { loadToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { WorkerClient } from '@alluxio-ts/common/client/worker-client';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { optionsOf, type ProgramOptions } from './context.ts';

export async function withCoordinator<T>(
  context: ProgramOptions,
  run: (client: CoordinatorClient) => Promise<T>,
): Promise<T> {
  const options = optionsOf(context);
  const token = await loadToken(options.get('alluxio.security.admin.token.file'));
  const client = new CoordinatorClient({
    host: options.get('alluxio.coordinator.hostname'),
    port: options.get('alluxio.coordinator.web.port'),
    ...(token === undefined ? {} : { token }),
  });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

export interface WorkerConnection {
  readonly worker: WorkerClient;
  /** What the coordinator says of it. */
  readonly view: WorkerView;
  readonly coordinator: CoordinatorClient;
}

/** Any worker that is there will do: it knows the owners of files. Fails with Unreachable when there is none. */
export async function withWorker<T>(
  context: ProgramOptions,
  run: (connection: WorkerConnection) => Promise<T>,
): Promise<T> {
  return withCoordinator(context, async (coordinator) => {
    const workers = await coordinator.listWorkers();
    const view = workers.find(({ status }) => status === 'ONLINE');
    if (!view) {
      throw new AlluxioError(
        'Unreachable',
        `the coordinator knows no worker that is online (${workers.length} offline); start one, "alluxio info nodes" shows them`,
      );
    }
    const { Host, HttpServerPort } = view.address;
    const worker = new WorkerClient({ host: Host, port: HttpServerPort });
    try {
      return await run({ worker, view, coordinator });
    } finally {
      await worker.close();
    }
  });
}
