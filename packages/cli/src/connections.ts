/** How commands reach the processes: the coordinator by the options, a worker through the coordinator. */

import { loadToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import type { ClientCallOptions } from '@alluxio-ts/common/client/remote-process';
import { systemClock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { optionsOf, type ProgramOptions, tell } from './context.ts';
import { OnlineWorkers } from './online-workers.ts';

/** A coordinator that is there says so at once; with the start of the command a person waits less than two seconds to hear that it is not. */
const coordinatorDeadlineMs = 1000;

/** Fails with Unreachable soon when nobody is there, however long the calls of the command may take; a caller with a signal has its own bound. */
export async function withCoordinator<T>(
  context: ProgramOptions,
  run: (client: CoordinatorClient) => Promise<T>,
  call: ClientCallOptions = {},
): Promise<T> {
  const options = optionsOf(context);
  const token = await loadToken(options.get('alluxio.security.admin.token.file'));
  const client = new CoordinatorClient({
    host: options.get('alluxio.coordinator.hostname'),
    port: options.get('alluxio.coordinator.web.port'),
    ...(token === undefined ? {} : { token }),
  });
  try {
    if (!call.signal) await client.health({ deadlineMs: coordinatorDeadlineMs });
    return await run(client);
  } finally {
    await client.close();
  }
}

export interface WorkerConnection {
  readonly worker: OnlineWorkers;
  /** What the coordinator says of one of them. */
  readonly view: WorkerView;
  readonly coordinator: CoordinatorClient;
}

/** Any worker that is there will do: it knows the owners of files. Fails with Unreachable when there is none. */
export async function withWorker<T>(
  context: ProgramOptions,
  run: (connection: WorkerConnection) => Promise<T>,
  call: ClientCallOptions = {},
): Promise<T> {
  const runOnWorkers = async (coordinator: CoordinatorClient): Promise<T> => {
    const workers = await coordinator.listWorkers(call);
    const online = workers.filter(({ status }) => status === 'ONLINE');
    // Those that have just answered the coordinator first.
    online.sort((one, other) => Number(one.stats === undefined) - Number(other.stats === undefined));
    const [view] = online;
    if (!view) {
      throw new AlluxioError(
        'Unreachable',
        `the coordinator knows no worker that is online (${workers.length} offline); start one, "alluxio info nodes" shows them`,
      );
    }
    const worker = new OnlineWorkers({
      addresses: online.map(({ address }) => address),
      clock: systemClock,
      notice: (text) => tell(context, text),
    });
    try {
      return await run({ worker, view, coordinator });
    } finally {
      await worker.close();
    }
  };
  return withCoordinator(context, runOnWorkers, call);
}
