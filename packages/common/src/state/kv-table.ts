/**
 * The state of an in-process KvStore and the rules of its transactions, without any waiting: what a transaction would change
 * is computed first (`plan`) and takes effect later (`apply`), so that a store can put the change on disk in between.
 */

import { AlluxioError } from '../errors.ts';
import type { KvEntry, KvEvent, KvTxn } from './kv-store.ts';

/** etcd's bounds: its default of operations a transaction, and the size of a value that the seam promises. */
export const txnOperationsMax = 128;
export const valueMaxBytes = 1024 * 1024;
export const keyMaxBytes = 4096;
/** So that a record of the log, which holds one transaction, has a bound. */
export const txnMaxBytes = 8 * 1024 * 1024;
/** Mounts, rules and jobs together stay far below; beyond it something is filling the store that should not. */
export const tableMaxBytes = 64 * 1024 * 1024;

export interface StoredEntry extends KvEntry {
  /** The lease with which the entry goes. */
  readonly leaseId?: string;
}

/** What one transaction changes. */
export interface KvChange {
  readonly revision: number;
  readonly put: readonly StoredEntry[];
  readonly delete: readonly string[];
}

export class KvTable {
  readonly #entries = new Map<string, StoredEntry>();
  #revision: number;
  #sizeBytes = 0;

  constructor(revision = 0, entries: Iterable<StoredEntry> = []) {
    this.#revision = revision;
    for (const entry of entries) this.#set(entry);
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: string): StoredEntry | undefined {
    return this.#entries.get(key);
  }

  /** In the byte order of the keys in UTF-8, which is not that of JavaScript's comparison beyond U+D7FF. */
  list(prefix: string): readonly StoredEntry[] {
    const found: { readonly order: Buffer; readonly entry: StoredEntry }[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.key.startsWith(prefix)) found.push({ order: Buffer.from(entry.key), entry });
    }
    found.sort((one, other) => Buffer.compare(one.order, other.order));
    return found.map(({ entry }) => entry);
  }

  keysOfLease(leaseId: string): readonly string[] {
    return [...this.#entries.values()].filter((entry) => entry.leaseId === leaseId).map((entry) => entry.key);
  }

  /** Undefined when a comparison does not hold. A change without puts and deletes changes nothing and keeps the revision. */
  plan(txn: KvTxn): KvChange | undefined {
    checkBounds(txn);
    for (const compare of txn.compare ?? []) {
      if ((this.#entries.get(compare.key)?.modRevision ?? 0) !== compare.modRevision) return undefined;
    }
    const deleted = (txn.delete ?? []).filter((key) => this.#entries.has(key));
    const puts = txn.put ?? [];
    const revision = puts.length + deleted.length === 0 ? this.#revision : this.#revision + 1;
    const put = puts.map(({ key, value, lease }) => ({
      key,
      value,
      createRevision: this.#entries.get(key)?.createRevision ?? revision,
      modRevision: revision,
      ...(lease ? { leaseId: lease.id } : {}),
    }));
    const addedBytes = put.reduce((sum, entry) => sum + sizeOf(entry), 0);
    if (put.length > 0 && this.#sizeBytes + addedBytes > tableMaxBytes) {
      throw new AlluxioError('Overloaded', `the state store would grow beyond ${tableMaxBytes} bytes`, {
        retry: 'never',
      });
    }
    return { revision, put, delete: deleted };
  }

  /** The change must come from `plan` of the table as it stands, or from the log in order. */
  apply(change: KvChange): readonly KvEvent[] {
    this.#revision = change.revision;
    for (const entry of change.put) this.#set(entry);
    for (const key of change.delete) this.#remove(key);
    return [
      ...change.put.map((entry) => ({ kind: 'put', entry: publicEntryOf(entry) }) as const),
      ...change.delete.map((key) => ({ kind: 'delete', key, modRevision: change.revision }) as const),
    ];
  }

  #set(entry: StoredEntry): void {
    this.#remove(entry.key);
    this.#entries.set(entry.key, entry);
    this.#sizeBytes += sizeOf(entry);
  }

  #remove(key: string): void {
    const old = this.#entries.get(key);
    if (!old) return;
    this.#entries.delete(key);
    this.#sizeBytes -= sizeOf(old);
  }
}

export function publicEntryOf(entry: StoredEntry): KvEntry {
  const { key, value, createRevision, modRevision } = entry;
  return { key, value, createRevision, modRevision };
}

function sizeOf(entry: { readonly key: string; readonly value: string }): number {
  return Buffer.byteLength(entry.key) + Buffer.byteLength(entry.value);
}

/** What every store refuses before it does anything. Throws InvalidArgument. */
export function checkBounds(txn: KvTxn): void {
  const puts = txn.put ?? [];
  const changedKeys = [...puts.map(({ key }) => key), ...(txn.delete ?? [])];
  const operationCount = changedKeys.length + (txn.compare?.length ?? 0);
  if (operationCount > txnOperationsMax) {
    throw invalid(`a transaction has ${operationCount} operations, more than ${txnOperationsMax}`);
  }
  if (new Set(changedKeys).size !== changedKeys.length) {
    throw invalid('a transaction changes the same key twice');
  }
  for (const key of changedKeys) {
    const bytes = Buffer.byteLength(key);
    if (bytes === 0 || bytes > keyMaxBytes)
      throw invalid(`a key has ${bytes} bytes, not 1 to ${keyMaxBytes}`);
  }
  const large = puts.find(({ value }) => Buffer.byteLength(value) > valueMaxBytes);
  if (large) throw invalid(`the value of ${large.key} is larger than ${valueMaxBytes} bytes`);
  if (puts.reduce((sum, put) => sum + sizeOf(put), 0) > txnMaxBytes) {
    throw invalid(`a transaction puts more than ${txnMaxBytes} bytes`);
  }
}

function invalid(message: string): AlluxioError {
  return new AlluxioError('InvalidArgument', message);
}
