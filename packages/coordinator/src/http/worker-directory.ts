import type { WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';

/** Who knows the workers. */
export interface WorkerDirectory {
  /** In the order of their ids. */
  list(call: { readonly signal?: AbortSignal }): Promise<readonly WorkerView[]>;
  /** Takes a lost worker off the list. Fails with InvalidArgument for one that is not on it, with StateConflict for one that is online. */
  forget(workerId: string): Promise<void>;
}
