/** The seam to the workers that load: one in this process (standalone), or those of a cluster. */

import type { FreeResult } from '@alluxio-ts/common/protocol/coordinator-api';
import type { LoadBatch, LoadBatchResult } from '@alluxio-ts/common/protocol/load-batch';

export interface LoadCall {
  readonly signal: AbortSignal;
}

export interface LoadWorkers {
  /** The workers that are there now. Their ids stay the same when they start again. */
  online(): readonly string[];
  /** The worker that is to cache the file, whether or not it is there; undefined while there is none. */
  ownerOf(ufsPath: string): string | undefined;
  /** Calls back after `online` or owners may have changed; returns what ends that. */
  onChange(listener: () => void): () => void;
  /** Returns soon after the batch's deadline. Fails with Unreachable, or with what the worker says. */
  load(workerId: string, batch: LoadBatch, call: LoadCall): Promise<LoadBatchResult>;
  /** What the worker's cache can hold and what of that is free; undefined when it does not say. */
  roomOf(
    workerId: string,
    call: LoadCall,
  ): Promise<{ readonly capacityBytes: number; readonly freeBytes: number } | undefined>;
  /** Drops what is cached below a path, on every worker. */
  free(path: string, call: LoadCall): Promise<FreeResult>;
}
