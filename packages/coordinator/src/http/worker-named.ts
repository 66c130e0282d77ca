import { AlluxioError } from '@alluxio-ts/common/errors';
import { isWorkerNamed, type WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';

/** By id, by host, or by host and port of the REST API. Throws InvalidArgument when there is none, or more than one. */
export function workerNamed(name: string, workers: readonly WorkerView[]): WorkerView {
  const found = workers.filter((worker) => isWorkerNamed(name, worker));
  const [first] = found;
  if (first && found.length === 1) return first;
  const ids = workers.map(({ id, address }) => `${id} (${hostAndPortOf(address)})`);
  const fault = found.length === 0 ? 'no worker is called' : 'several workers are at';
  throw new AlluxioError(
    'InvalidArgument',
    `${fault} "${name.slice(0, 200)}"; name one of: ${ids.join(', ') || 'there are none'}`,
  );
}
