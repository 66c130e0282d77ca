/** The workers of a cluster as jobs see them: who they are and what they own as the workers themselves see it, by the same ring; what they do by asking them. */

import { WorkerControlClient } from '@alluxio-ts/common/client/worker-control-client';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FreeResult } from '@alluxio-ts/common/protocol/coordinator-api';
import type { LoadBatch, LoadBatchResult } from '@alluxio-ts/common/protocol/load-batch';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import type { LoadCall, LoadWorkers } from '@alluxio-ts/coordinator/control/jobs/load-workers';
import type { Membership } from '@alluxio-ts/worker/cluster/membership';
import type { RingPlacement } from '@alluxio-ts/worker/cluster/ring-placement';

export interface ClusterLoadWorkersOptions {
  readonly membership: Membership;
  readonly ring: RingPlacement;
  readonly secret: string;
  readonly clock: Clock;
  readonly free: (path: string, call: LoadCall) => Promise<FreeResult>;
}

interface KnownClient {
  readonly address: string;
  readonly client: WorkerControlClient;
}

/** Its connections are the caller's to close. */
export class ClusterLoadWorkers implements LoadWorkers {
  readonly #options: ClusterLoadWorkersOptions;
  readonly #clients = new Map<string, KnownClient>();
  readonly free: LoadWorkers['free'];

  constructor(options: ClusterLoadWorkersOptions) {
    this.#options = options;
    this.free = options.free;
  }

  online(): readonly string[] {
    return this.#options.membership.members.filter(({ isLive }) => isLive).map(({ name }) => name);
  }

  ownerOf(ufsPath: string): string | undefined {
    return this.#options.ring.ownerNameOf(ufsPath);
  }

  /** The ring hears of members first. */
  onChange(listener: () => void): () => void {
    return this.#options.membership.onChange(listener);
  }

  load(workerId: string, batch: LoadBatch, call: LoadCall): Promise<LoadBatchResult> {
    return this.#clientOf(workerId).load(batch, call);
  }

  async roomOf(workerId: string, call: LoadCall) {
    try {
      const { capacityBytes, usedBytes } = await this.#clientOf(workerId).stats(call);
      return { capacityBytes, freeBytes: Math.max(0, capacityBytes - usedBytes) };
    } catch {
      call.signal.throwIfAborted();
      return undefined;
    }
  }

  async close(): Promise<void> {
    const known = [...this.#clients.values()];
    this.#clients.clear();
    await Promise.all(known.map(({ client }) => client.close()));
  }

  /** A worker that came back elsewhere gets another. */
  #clientOf(workerId: string): WorkerControlClient {
    const { clock, membership, secret } = this.#options;
    const member = membership.members.find(({ name }) => name === workerId);
    if (!member) throw new AlluxioError('Unreachable', `${workerId} is no member of the cluster any more`);
    const address = hostAndPortOf(member.address);
    const known = this.#clients.get(workerId);
    if (known?.address === address) return known.client;
    void known?.client.close();
    const { Host: host, HttpServerPort: port } = member.address;
    const client = new WorkerControlClient({ host, port, secret, clock });
    this.#clients.set(workerId, { address, client });
    return client;
  }
}
