/**
 * The seam to the state store: etcd in a cluster, an embedded one in standalone, one in memory for tests. Its model is
 * etcd's: one revision for the whole store that grows by one with every transaction that changes something; a key carries
 * the revisions at which it was created and last changed.
 *
 * Every call fails with StateStoreUnavailable when the store does not answer in time (≤ 2 s), and with the signal's
 * reason when aborted. A transaction that fails so may have happened: who must know looks at the key. Keys are UTF-8 text
 * in byte order; values are text (JSON by convention), at most 1 MiB.
 */

export interface KvEntry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  /** Revision of the last change: the token for an optimistic update. */
  readonly modRevision: number;
}

export interface KvList {
  readonly entries: readonly KvEntry[];
  /** The store's revision that the list shows; a watch from the next one misses nothing. */
  readonly revision: number;
}

/** Holds when the key's last change has this revision; 0 means that the key does not exist. */
export interface KvCompare {
  readonly key: string;
  readonly modRevision: number;
}

export interface KvPut {
  readonly key: string;
  readonly value: string;
  /** The key goes when this lease ends. */
  readonly lease?: KvLease;
}

export interface KvTxn {
  /** All must hold, else nothing happens. */
  readonly compare?: readonly KvCompare[];
  readonly put?: readonly KvPut[];
  readonly delete?: readonly string[];
}

export interface KvTxnResult {
  readonly succeeded: boolean;
  /** The store's revision after the transaction. */
  readonly revision: number;
}

export type KvEvent =
  | { readonly kind: 'put'; readonly entry: KvEntry }
  | { readonly kind: 'delete'; readonly key: string; readonly modRevision: number };

export interface KvWatch {
  /**
   * Batches of events in order, one batch a transaction, beginning with `fromRevision`. Ends when the watch is closed or the signal aborts. Fails with
   * StateConflict when the revision is no longer kept (compacted): the caller lists again and watches from there.
   */
  readonly events: AsyncIterable<readonly KvEvent[]>;
  close(): void;
}

export interface KvLease {
  readonly id: string;
  /** Aborts when the lease is lost (expired or revoked): what was put under it is gone or about to go. */
  readonly lost: AbortSignal;
  revoke(): Promise<void>;
}

export interface KvCallOptions {
  readonly signal?: AbortSignal;
}

export interface KvStore {
  get(key: string, options?: KvCallOptions): Promise<KvEntry | undefined>;
  /** Every key that begins with `prefix`, in order. */
  list(prefix: string, options?: KvCallOptions): Promise<KvList>;
  txn(txn: KvTxn, options?: KvCallOptions): Promise<KvTxnResult>;
  watch(prefix: string, options: { readonly fromRevision: number; readonly signal?: AbortSignal }): KvWatch;
  /** A lease that this store keeps alive until it is revoked or the store closed. */
  lease(ttlMs: number, options?: KvCallOptions): Promise<KvLease>;
  close(): Promise<void>;
}
