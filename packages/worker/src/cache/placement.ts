/** Which workers own a file: the first is the owner, further ones its replicas. */

import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';

export interface Placement {
  ownersOf(ufsPath: string): readonly WorkerNetAddress[];
}

/** A worker alone owns everything. */
export class SelfPlacement implements Placement {
  readonly #self: () => WorkerNetAddress;

  constructor(self: () => WorkerNetAddress) {
    this.#self = self;
  }

  ownersOf(): readonly WorkerNetAddress[] {
    return [this.#self()];
  }
}
