/**
 * Keeps this worker in the state store: under its name among the live ones, with a lease, and among the registered ones, for good. After a lost
 * lease it registers anew, for as long as it takes.
 *
 * An identity has one live holder. Whoever finds another address under the name waits for as long as a lease lives: a holder that is gone
 * (this very worker before it was moved, most often) has vanished by then, and one that is still there is a copy of the identity file.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import {
  decodeWorkerEntity,
  encodeWorkerEntity,
  livePrefixOf,
  registeredPrefixOf,
  type WorkerEntity,
} from '@alluxio-ts/common/protocol/worker-entity';
import type { KvEntry, KvLease, KvStore } from '@alluxio-ts/common/state/kv-store';

export interface MemberRegistrationOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly leaseTtlMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when, after the start, another live worker turns out to have this identity: one of the two must stop. */
  readonly onConflict: (error: AlluxioError) => void;
}

const retryPauseMs = 1000;

/** Somebody else changes the keys of one worker only while that worker joins or is removed. */
const triesMax = 5;

/** etcd looks at its leases twice a second, and may give them more time after it chose a new leader. */
const expiryDelayMs = 2000;

export class MemberRegistration {
  readonly #options: MemberRegistrationOptions;
  readonly #entity: WorkerEntity;
  readonly #stop = new AbortController();
  #lease: KvLease | undefined;
  #registeredRevision = 0;
  #displaced = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: MemberRegistrationOptions, entity: WorkerEntity) {
    this.#options = options;
    this.#entity = entity;
  }

  get isRegistered(): boolean {
    return this.#lease !== undefined && !this.#lease.lost.aborted && !this.#displaced.signal.aborted;
  }

  /**
   * Resolves when registered, or when the state store does not answer: then it is tried again until it does. Throws AlreadyExists when
   * another live worker has this identity.
   */
  async start(): Promise<void> {
    try {
      await this.#register();
    } catch (thrown) {
      if (!hasErrorCode(thrown, 'StateStoreUnavailable')) throw thrown;
      this.#options.logger.warn({ worker: this.#entity.name, error: thrown }, 'worker-not-registered');
    }
    this.#running = this.#keepRegistered();
  }

  /** For whoever sees, at this revision, the live key gone or changed by somebody else: registers again. */
  displaced(revision: number): void {
    // What was seen before the registration was this worker's own coming and going.
    if (this.#lease && revision > this.#registeredRevision) this.#displaced.abort();
  }

  /** Leaves the live ones at once; the place among the registered ones stays. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the worker leaves the cluster'));
    await this.#running;
    await this.#lease?.revoke().catch((thrown: unknown) => {
      this.#options.logger.warn({ error: thrown }, 'worker-lease-not-revoked');
    });
  }

  async #keepRegistered(): Promise<void> {
    const { clock, logger } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        if (!this.isRegistered) await this.#register();
        await this.#untilLost();
      } catch (thrown) {
        if (this.#stop.signal.aborted) return;
        logger.warn({ worker: this.#entity.name, error: thrown }, 'worker-not-registered');
        if (hasErrorCode(thrown, 'AlreadyExists')) this.#options.onConflict(thrown);
        await clock.sleep(retryPauseMs, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
  }

  async #untilLost(): Promise<void> {
    const lease = this.#lease;
    if (!lease) return;
    const over = AbortSignal.any([lease.lost, this.#displaced.signal, this.#stop.signal]);
    if (!over.aborted)
      await new Promise((resolve) => over.addEventListener('abort', resolve, { once: true }));
    if (!this.#stop.signal.aborted) {
      this.#options.logger.warn({ worker: this.#entity.name }, 'worker-registration-lost');
    }
  }

  async #register(): Promise<void> {
    const { store, leaseTtlMs, logger } = this.#options;
    const { signal } = this.#stop;
    // Of a lease that was displaced nothing may stay behind.
    await this.#lease?.revoke();
    this.#lease = undefined;
    const lease = await store.lease(leaseTtlMs, { signal });
    try {
      this.#registeredRevision = await this.#put(lease);
    } catch (thrown) {
      lease.revoke().catch(() => undefined);
      throw thrown;
    }
    this.#displaced = new AbortController();
    this.#lease = lease;
    const { name, address } = this.#entity;
    logger.info({ worker: name, host: address.Host, leaseTtlMs }, 'worker-registered');
  }

  /** The revision at which it is registered. */
  async #put(lease: KvLease): Promise<number> {
    const { store, clusterName } = this.#options;
    const { signal } = this.#stop;
    const liveKey = `${livePrefixOf(clusterName)}${this.#entity.name}`;
    const registeredKey = `${registeredPrefixOf(clusterName)}${this.#entity.name}`;
    const value = encodeWorkerEntity(this.#entity);
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const live = await store.get(liveKey, { signal });
      if (live && this.#isForeign(live)) {
        if (!(await this.#hasGone(live))) throw this.#conflict(live);
        continue;
      }
      const registered = await store.get(registeredKey, { signal });
      const result = await store.txn(
        {
          compare: [
            { key: liveKey, modRevision: live?.modRevision ?? 0 },
            { key: registeredKey, modRevision: registered?.modRevision ?? 0 },
          ],
          put: [
            { key: liveKey, value, lease },
            ...(registered?.value === value ? [] : [{ key: registeredKey, value }]),
          ],
        },
        { signal },
      );
      if (result.succeeded) return result.revision;
    }
    throw new AlluxioError(
      'StateConflict',
      `the keys of ${this.#entity.name} were changed by somebody else at each of ${triesMax} tries to register`,
    );
  }

  /** What this worker itself left behind, before it was started again, bears its address. */
  #isForeign(live: KvEntry): boolean {
    try {
      return !isSameAddress(decodeWorkerEntity(live.key, live.value).address, this.#entity.address);
    } catch {
      return false;
    }
  }

  /** Whether the key goes within the time that a lease of which nobody takes care can still live. */
  async #hasGone(live: KvEntry): Promise<boolean> {
    const { store, clock, leaseTtlMs, logger } = this.#options;
    logger.warn(
      { worker: this.#entity.name, waitMaxMs: leaseTtlMs + expiryDelayMs },
      'worker-identity-in-use',
    );
    const over = new AbortController();
    const waiting = clock
      .sleep(leaseTtlMs + expiryDelayMs, { signal: AbortSignal.any([over.signal, this.#stop.signal]) })
      .then(() => watch.close())
      .catch(() => undefined);
    const watch = store.watch(live.key, { fromRevision: live.modRevision + 1, signal: this.#stop.signal });
    try {
      for await (const events of watch.events) {
        if (events.some((event) => event.kind === 'delete' && event.key === live.key)) return true;
      }
    } catch (thrown) {
      // Compacted meanwhile: what matters is whether the key is there at the end.
      if (!hasErrorCode(thrown, 'StateConflict')) throw thrown;
    } finally {
      over.abort();
      watch.close();
      await waiting;
    }
    return (await store.get(live.key, { signal: this.#stop.signal })) === undefined;
  }

  #conflict(live: KvEntry): AlluxioError {
    const { Host, HttpServerPort } = decodeWorkerEntity(live.key, live.value).address;
    return new AlluxioError(
      'AlreadyExists',
      `a live worker at ${Host} (REST port ${HttpServerPort}) has the identity ${this.#entity.name} too; give each worker an identity file of its own (alluxio.worker.identity.uuid.file.path)`,
    );
  }
}

function isSameAddress(one: WorkerNetAddress, other: WorkerNetAddress): boolean {
  return (
    one.Host === other.Host &&
    one.HttpServerPort === other.HttpServerPort &&
    one.S3Port === other.S3Port &&
    one.WebPort === other.WebPort
  );
}
