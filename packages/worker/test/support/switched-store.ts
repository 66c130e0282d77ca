import { AlluxioError } from '@alluxio-ts/common/errors';
import type {
  KvCallOptions,
  KvLease,
  KvList,
  KvStore,
  KvTxn,
  KvWatch,
} from '@alluxio-ts/common/state/kv-store';

/** A store that goes away, comes back, or comes back as another. */
export class SwitchedStore implements KvStore {
  store: KvStore;
  isAway = false;
  #endWatches = new AbortController();

  constructor(store: KvStore) {
    this.store = store;
  }

  /** Breaks the watches off, as a lost connection does. */
  breakWatches(): void {
    this.#endWatches.abort();
    this.#endWatches = new AbortController();
  }

  get(key: string, options?: KvCallOptions) {
    return this.#reachable().get(key, options);
  }

  async list(listPrefix: string, options?: KvCallOptions): Promise<KvList> {
    return this.#reachable().list(listPrefix, options);
  }

  txn(txn: KvTxn, options?: KvCallOptions) {
    return this.#reachable().txn(txn, options);
  }

  watch(
    watchPrefix: string,
    options: { readonly fromRevision: number; readonly signal?: AbortSignal },
  ): KvWatch {
    const signals = [this.#endWatches.signal, ...(options.signal ? [options.signal] : [])];
    const watch = this.#reachable().watch(watchPrefix, { ...options, signal: AbortSignal.any(signals) });
    const broken = this.#endWatches.signal;
    async function* events() {
      yield* watch.events;
      if (broken.aborted) throw new AlluxioError('StateConflict', 'the revision is gone');
    }
    return { events: events(), close: () => watch.close() };
  }

  lease(ttlMs: number, options?: KvCallOptions): Promise<KvLease> {
    return this.#reachable().lease(ttlMs, options);
  }

  close(): Promise<void> {
    return this.store.close();
  }

  #reachable(): KvStore {
    if (this.isAway) throw new AlluxioError('StateStoreUnavailable', 'away');
    return this.store;
  }
}
