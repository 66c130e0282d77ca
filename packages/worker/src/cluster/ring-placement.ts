/**
 * Owners by the hash ring of the members. In dynamic mode the ring is of the live ones, so that a lost worker's files get other owners; in static mode of all
 * registered ones, so that a short absence moves nothing and reads of what the absent one owns go past the cache.
 */

import { buildHashRing, type HashRing, type RingProvider } from '@alluxio-ts/common/hash-ring';
import type { Logger } from '@alluxio-ts/common/logger';
import { hostAndPortOf, type WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import type { WorkerIdentity } from '@alluxio-ts/common/protocol/worker-entity';
import type { Placement } from '../cache/placement.ts';
import type { ClusterMember } from './membership.ts';

export interface RingPlacementOptions {
  readonly provider: RingProvider;
  readonly virtualNodeCount: number;
  /** Whether only live members are on the ring. */
  readonly isDynamic: boolean;
  /** How many owners to name: the first and its replicas. */
  readonly ownerCount: number;
  /** Owns everything while no member is known. */
  readonly self: () => WorkerNetAddress;
  readonly logger: Logger;
}

/** The part of Membership that is read here. */
export interface MemberSource {
  readonly members: readonly ClusterMember[];
  onChange(listener: () => void): () => void;
}

interface RingEntry extends WorkerIdentity {
  readonly name: string;
}

export class RingPlacement implements Placement {
  readonly #options: RingPlacementOptions;
  readonly #source: MemberSource;
  readonly #end: () => void;
  readonly #listeners: (() => void)[] = [];
  #names = '';
  #ring: HashRing<RingEntry>;
  #addresses: ReadonlyMap<string, WorkerNetAddress> = new Map();

  constructor(source: MemberSource, options: RingPlacementOptions) {
    this.#source = source;
    this.#options = options;
    this.#ring = buildHashRing<RingEntry>([], options);
    this.#end = source.onChange(() => this.#update());
    this.#update();
  }

  ownersOf(ufsPath: string): readonly WorkerNetAddress[] {
    const owners = this.#ring.getMultiple(ufsPath, this.#options.ownerCount);
    if (owners.length === 0) return [this.#options.self()];
    return owners.flatMap(({ name }) => this.#addresses.get(name) ?? []);
  }

  /** The name of the owner; undefined while no member is known. */
  ownerNameOf(ufsPath: string): string | undefined {
    return this.#ring.getMultiple(ufsPath, 1)[0]?.name;
  }

  /** Called after the ring or the addresses of its members have changed. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  close(): void {
    this.#end();
  }

  #update(): void {
    const { isDynamic, logger } = this.#options;
    const members = this.#source.members.filter(({ isLive }) => isLive || !isDynamic);
    this.#addresses = new Map(members.map(({ name, address }) => [name, address]));
    const entries = members.map(({ name, identity }) => ({ name, ...identity }));
    const names = JSON.stringify(
      members.map(({ name, identity, address }) => [
        name,
        Buffer.from(identity.identifier).toString('hex'),
        hostAndPortOf(address),
      ]),
    );
    if (names === this.#names) return;
    this.#names = names;
    this.#ring = buildHashRing(entries, this.#options);
    logger.info({ memberCount: members.length }, 'ring-built');
    for (const listener of this.#listeners) listener();
  }
}
