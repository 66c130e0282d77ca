/**
 * This worker's membership in the cluster and its view of all members. Watched, not polled. When the state store is silent the last known members
 * stay, over a restart too; when it seems to have lost many at once, they stay for a lease time (`departure-guard.ts`).
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { type AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import {
  decodeWorkerEntity,
  livePrefixOf,
  registeredPrefixOf,
  type WorkerEntity,
  type WorkerIdentity,
  workerEntity,
} from '@alluxio-ts/common/protocol/worker-entity';
import type { KvEntry, KvEvent, KvStore } from '@alluxio-ts/common/state/kv-store';
import { DepartureGuard } from './departure-guard.ts';
import { MemberRegistration } from './member-registration.ts';
import { MembersSnapshot } from './members-snapshot.ts';

export interface MembershipOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  /** Of this worker; without one it can only look on (`follow`). */
  readonly identity?: WorkerIdentity;
  /** For how long a worker that does not renew its lease is still taken for alive. */
  readonly failureDetectionTimeoutMs: number;
  /** Without one nothing is remembered over a restart. */
  readonly snapshotFile?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when, after the start, another live worker turns out to have this identity: one of the two must stop. */
  readonly onConflict?: (error: AlluxioError) => void;
}

export interface ClusterMember extends WorkerEntity {
  /** Whether it holds its lease. One that does not is registered, but was lost or left. */
  readonly isLive: boolean;
}

const retryPauseMs = 1000;

/** One of the two prefixes: what the state store shows under it and what is made of that. */
interface MemberSet {
  readonly prefix: string;
  readonly found: Map<string, WorkerEntity>;
  readonly guard: DepartureGuard<WorkerEntity>;
  believed: ReadonlyMap<string, WorkerEntity>;
  timer: AbortController | undefined;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #stop = new AbortController();
  readonly #live: MemberSet;
  readonly #registered: MemberSet;
  readonly #snapshot: MembersSnapshot | undefined;
  readonly #listeners = new Set<() => void>();
  #members: readonly ClusterMember[] = [];
  #self: WorkerEntity | undefined;
  #registration: MemberRegistration | undefined;
  #watching: Promise<unknown> = Promise.resolve();

  constructor(options: MembershipOptions) {
    this.#options = options;
    const setOf = (prefix: string): MemberSet => ({
      prefix,
      found: new Map(),
      guard: new DepartureGuard(options.failureDetectionTimeoutMs),
      believed: new Map(),
      timer: undefined,
    });
    this.#live = setOf(livePrefixOf(options.clusterName));
    this.#registered = setOf(registeredPrefixOf(options.clusterName));
    const { snapshotFile: file } = options;
    this.#snapshot = file === undefined ? undefined : new MembersSnapshot({ ...options, file });
  }

  /** All registered and live workers in the order of their names, which is that of their keys. */
  get members(): readonly ClusterMember[] {
    return this.#members;
  }

  get isRegistered(): boolean {
    return this.#registration?.isRegistered ?? false;
  }

  /** Called after each change of `members`; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes the members that were known last for those of now, until `start` knows better. */
  async recall(): Promise<void> {
    const last = await this.#snapshot?.read();
    if (!last) return;
    this.#begin(this.#live, last.live);
    this.#begin(this.#registered, last.registered);
    this.#publish();
  }

  /**
   * Registers and resolves with the members at hand: those of the state store, or the last known ones when it does not answer; then it is
   * asked until it does. Throws AlreadyExists when another live worker has this identity.
   */
  async start(address: WorkerNetAddress): Promise<void> {
    const { identity, failureDetectionTimeoutMs: leaseTtlMs, onConflict = () => undefined } = this.#options;
    if (!identity) throw new Error('whoever has no identity is no member');
    const self = workerEntity(identity, address);
    this.#self = self;
    const registration = new MemberRegistration({ ...this.#options, leaseTtlMs, onConflict }, self);
    await registration.start();
    this.#registration = registration;
    await this.follow();
  }

  /** Looks on, and resolves with the members at hand, without being one of them. */
  async follow(): Promise<void> {
    const sets = [this.#live, this.#registered];
    const revisions = await Promise.all(sets.map((set) => this.#tryList(set)));
    this.#publish();
    this.#watching = Promise.all(sets.map((set, index) => this.#watch(set, revisions[index])));
  }

  /** Leaves the cluster: the others see this worker go at once instead of when its lease is over. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the membership is closed'));
    for (const set of [this.#live, this.#registered]) set.timer?.abort();
    await Promise.all([this.#registration?.close(), this.#watching]);
    await this.#snapshot?.settled();
  }

  #begin(set: MemberSet, entities: readonly WorkerEntity[]): void {
    const known = new Map(entities.map((entity) => [entity.name, entity]));
    set.believed = set.guard.update(known, this.#options.clock.monotonic()).members;
  }

  async #tryList(set: MemberSet): Promise<number | undefined> {
    try {
      return await this.#list(set);
    } catch (thrown) {
      this.#options.logger.warn({ prefix: set.prefix, error: thrown }, 'members-not-listed');
      return undefined;
    }
  }

  /** The revision from which to watch. */
  async #list(set: MemberSet): Promise<number> {
    const list = await this.#options.store.list(set.prefix, { signal: this.#stop.signal });
    set.found.clear();
    for (const entry of list.entries) this.#set(set, entry);
    this.#checkSelf(set, list.revision);
    this.#believe(set);
    return list.revision + 1;
  }

  async #watch(set: MemberSet, fromRevision: number | undefined): Promise<void> {
    const { store, clock, logger } = this.#options;
    const { signal } = this.#stop;
    for (let revision = fromRevision; !signal.aborted; ) {
      try {
        if (revision === undefined) {
          revision = await this.#list(set);
          this.#publish();
        }
        for await (const events of store.watch(set.prefix, { fromRevision: revision, signal }).events) {
          for (const event of events) revision = this.#apply(set, event) + 1;
          this.#checkSelf(set, revision - 1);
          this.#believe(set);
          this.#publish();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasErrorCode(thrown, 'StateConflict')) revision = undefined;
        logger.warn({ prefix: set.prefix, error: thrown }, 'members-watch-interrupted');
      }
      await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
    }
  }

  #apply(set: MemberSet, event: KvEvent): number {
    if (event.kind === 'put') {
      this.#set(set, event.entry);
      return event.entry.modRevision;
    }
    set.found.delete(event.key.slice(set.prefix.length));
    return event.modRevision;
  }

  /** The key names the member, whatever its value says. */
  #set(set: MemberSet, entry: KvEntry): void {
    const name = entry.key.slice(set.prefix.length);
    try {
      set.found.set(name, { ...decodeWorkerEntity(entry.key, entry.value), name });
    } catch (thrown) {
      this.#options.logger.error({ key: entry.key, error: thrown }, 'member-not-readable');
      set.found.delete(name);
    }
  }

  /** Takes in what was found, as far as it is believed; what is held is looked at again when its time is over. */
  #believe(set: MemberSet): void {
    const { clock, logger } = this.#options;
    const now = clock.monotonic();
    const { members, held, heldUntil } = set.guard.update(new Map(set.found), now);
    set.believed = members;
    if (heldUntil === undefined) {
      set.timer?.abort();
      set.timer = undefined;
      return;
    }
    if (set.timer) return;
    logger.warn({ prefix: set.prefix, held: held.length, forMs: heldUntil - now }, 'member-departures-held');
    const timer = new AbortController();
    set.timer = timer;
    clock.sleep(heldUntil - now, { signal: timer.signal }).then(
      () => {
        set.timer = undefined;
        this.#believe(set);
        this.#publish();
      },
      () => undefined,
    );
  }

  #checkSelf(set: MemberSet, revision: number): void {
    const self = this.#self;
    if (set !== this.#live || !self) return;
    const found = set.found.get(self.name)?.address;
    const isOwn = found?.Host === self.address.Host && found.HttpServerPort === self.address.HttpServerPort;
    if (!isOwn) this.#registration?.displaced(revision);
  }

  #publish(): void {
    const all = new Map<string, ClusterMember>();
    for (const entity of this.#registered.believed.values())
      all.set(entity.name, { ...entity, isLive: false });
    for (const entity of this.#live.believed.values()) all.set(entity.name, { ...entity, isLive: true });
    const members = [...all.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
    if (JSON.stringify(members) === JSON.stringify(this.#members)) return;
    this.#members = members;
    const liveCount = members.filter(({ isLive }) => isLive).length;
    this.#options.logger.info({ liveCount, registeredCount: members.length }, 'members-changed');
    this.#snapshot?.write({
      live: [...this.#live.believed.values()],
      registered: [...this.#registered.believed.values()],
    });
    for (const listener of this.#listeners) listener();
  }
}
