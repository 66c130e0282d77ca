/**
 * A KvStore within the process. With a journal its changes outlive the process (`embedded-kv-store.ts`): a transaction
 * takes effect, and is answered, only after the journal has it.
 */

import type { Clock, Random } from '../clock.ts';
import { AlluxioError } from '../errors.ts';
import { KvHistory } from './kv-history.ts';
import type {
  KvCallOptions,
  KvEntry,
  KvLease,
  KvList,
  KvStore,
  KvTxn,
  KvTxnResult,
  KvWatch,
} from './kv-store.ts';
import { type KvChange, KvTable, publicEntryOf } from './kv-table.ts';

/** Transactions run one after the other; more than this waiting means that the disk does not keep up. */
export const transactionsWaitingMax = 1000;

/** Leases are for members and runners of jobs: a few for each process. */
export const leasesMax = 10_000;

/** What makes changes durable. */
export interface KvJournal {
  /** Resolves when the change would survive a kill; rejects when it is not certain to be gone nor to be there. */
  append(change: KvChange): Promise<void>;
  /** After the table has taken the change in: the moment for a snapshot. */
  applied(table: KvTable): Promise<void>;
  close(): Promise<void>;
}

export interface MemoryKvStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly table?: KvTable;
  readonly journal?: KvJournal;
}

interface RunningLease {
  readonly ended: AbortController;
  readonly ttlMs: number;
  renewedAt: number;
}

export class MemoryKvStore implements KvStore {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #table: KvTable;
  readonly #journal: KvJournal | undefined;
  readonly #history: KvHistory;
  readonly #leases = new Map<string, RunningLease>();
  #waitingCount = 0;
  #lastTransaction: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(options: MemoryKvStoreOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#table = options.table ?? new KvTable();
    this.#journal = options.journal;
    this.#history = new KvHistory(this.#table.revision);
  }

  async get(key: string, options: KvCallOptions = {}): Promise<KvEntry | undefined> {
    this.#checkCallable(options);
    const entry = this.#table.get(key);
    return entry && publicEntryOf(entry);
  }

  async list(prefix: string, options: KvCallOptions = {}): Promise<KvList> {
    this.#checkCallable(options);
    return { entries: this.#table.list(prefix).map(publicEntryOf), revision: this.#table.revision };
  }

  /** Also rejects with StateConflict when a put names a lease that is over, and Overloaded when too many are waiting. */
  async txn(txn: KvTxn, options: KvCallOptions = {}): Promise<KvTxnResult> {
    this.#checkCallable(options);
    return this.#inTurn(() => {
      options.signal?.throwIfAborted();
      return this.#commit(txn);
    });
  }

  watch(prefix: string, options: { readonly fromRevision: number; readonly signal?: AbortSignal }): KvWatch {
    return this.#history.watch(prefix, options);
  }

  async lease(ttlMs: number, options: KvCallOptions = {}): Promise<KvLease> {
    this.#checkCallable(options);
    if (!(ttlMs > 0)) throw new AlluxioError('InvalidArgument', `a lease of ${ttlMs} ms is none`);
    if (this.#leases.size >= leasesMax) {
      throw new AlluxioError('Overloaded', `the state store holds ${leasesMax} leases, its bound`);
    }
    const id = this.#random.uuid();
    const lease = { ended: new AbortController(), ttlMs, renewedAt: this.#clock.monotonic() };
    this.#leases.set(id, lease);
    void this.#keepAlive(id, lease);
    return { id, lost: lease.ended.signal, revoke: () => this.#endLease(id) };
  }

  /** Waits for the transactions that are running. Leases end: what was put under them goes, at the latest when the store opens again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const lease of this.#leases.values()) lease.ended.abort();
    this.#history.close();
    await this.#lastTransaction;
    this.#leases.clear();
    await this.#journal?.close();
  }

  #checkCallable(options: KvCallOptions): void {
    options.signal?.throwIfAborted();
    if (this.#closing) throw new AlluxioError('StateStoreUnavailable', 'the state store is closed');
  }

  /** A change is planned against the table that the one before has left, so they cannot overlap. */
  async #inTurn<T>(run: () => Promise<T>): Promise<T> {
    if (this.#waitingCount >= transactionsWaitingMax) {
      throw new AlluxioError('Overloaded', 'too many transactions wait for the state store', {
        retryAfterMs: 1000,
      });
    }
    this.#waitingCount++;
    const result = this.#lastTransaction.then(run).finally(() => this.#waitingCount--);
    this.#lastTransaction = result.catch(() => undefined);
    return result;
  }

  async #commit(txn: KvTxn): Promise<KvTxnResult> {
    const change = this.#table.plan(txn);
    if (!change) return { succeeded: false, revision: this.#table.revision };
    for (const { key, lease } of txn.put ?? []) {
      if (lease && !this.#leases.has(lease.id)) {
        throw new AlluxioError('StateConflict', `the lease under which ${key} was to be put is over`);
      }
    }
    if (change.revision !== this.#table.revision) {
      await this.#journal?.append(change);
      this.#history.add(this.#table.apply(change));
      await this.#journal?.applied(this.#table);
    }
    return { succeeded: true, revision: change.revision };
  }

  /**
   * Renews the lease at a third of its time, as a client of etcd does. It can still be lost: when this process stands still
   * for longer than the whole time, nobody may rely on what is under it any more.
   */
  async #keepAlive(id: string, lease: RunningLease): Promise<void> {
    while (!lease.ended.signal.aborted) {
      try {
        await this.#clock.sleep(lease.ttlMs / 3, { signal: lease.ended.signal });
      } catch {
        return;
      }
      const now = this.#clock.monotonic();
      if (now - lease.renewedAt > lease.ttlMs) {
        // A journal that fails here has marked the store as broken; the holder learns of the loss all the same.
        await this.#endLease(id).catch(() => undefined);
        return;
      }
      lease.renewedAt = now;
    }
  }

  /** The keys go before `lost` is heard, so that whoever acts on it sees them gone. */
  async #endLease(id: string): Promise<void> {
    const lease = this.#leases.get(id);
    if (!lease) return;
    this.#leases.delete(id);
    try {
      if (!this.#closing) await this.#inTurn(() => this.#deleteKeysOf(id));
    } finally {
      lease.ended.abort();
    }
  }

  async #deleteKeysOf(leaseId: string): Promise<void> {
    const keys = this.#table.keysOfLease(leaseId);
    for (let from = 0; from < keys.length; from += 100) {
      await this.#commit({ delete: keys.slice(from, from + 100) });
    }
  }
}
