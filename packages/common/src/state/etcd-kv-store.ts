/** The state store of a cluster: etcd 3.4 or later. */

import type { IRangeResponse, ITxnRequest } from 'etcd3';
import type { Random } from '../clock.ts';
import { AlluxioError, hasErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { EtcdConnection, type EtcdConnectionOptions } from './etcd-connection.ts';
import { entryOf, keyAfter, rangeOfPrefix } from './etcd-keys.ts';
import { EtcdLease } from './etcd-lease.ts';
import { watchEtcd } from './etcd-watch.ts';
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
import { checkBounds, tableMaxBytes } from './kv-table.ts';

export interface EtcdKvStoreOptions extends EtcdConnectionOptions {
  readonly random: Random;
  readonly logger: Logger;
}

/** gRPC takes answers of at most 4 MiB; half of it leaves room for entries larger than those before. */
const pageTargetBytes = 2 * 1024 * 1024;
const pageEntriesFirst = 64;
const pageEntriesMax = 1000;
const listTriesMax = 3;

/** Leases are for members and runners of jobs: a few for each process. */
const leasesMax = 1000;

export class EtcdKvStore implements KvStore {
  readonly #options: EtcdKvStoreOptions;
  readonly #connection: EtcdConnection;
  readonly #leases = new Set<EtcdLease>();
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  /** Throws InvalidOptions for endpoints or TLS files that cannot be. Nothing is connected before the first call. */
  constructor(options: EtcdKvStoreOptions) {
    this.#options = options;
    this.#connection = new EtcdConnection(options);
  }

  async get(key: string, { signal }: KvCallOptions = {}): Promise<KvEntry | undefined> {
    const call = { what: `reading ${key}`, repeatable: true, signal };
    const range = await this.#connection.call(call, (client, options) =>
      client.kv.range({ key: Buffer.from(key) }, options),
    );
    const pair = range.kvs[0];
    return pair && entryOf(pair);
  }

  /** Read in pages of one revision, so that it shows one moment. */
  async list(prefix: string, options: KvCallOptions = {}): Promise<KvList> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#listOnce(prefix, options);
      } catch (thrown) {
        // The revision of the first page was compacted before the last one was read.
        if (attempt >= listTriesMax || !hasErrorCode(thrown, 'StateConflict')) throw thrown;
      }
    }
  }

  /**
   * A transaction that fails with StateStoreUnavailable may have happened: it is repeated only when it surely never reached etcd. Also rejects with
   * StateConflict when a put names a lease that is over, and Overloaded when too many calls are waiting.
   */
  async txn(txn: KvTxn, { signal }: KvCallOptions = {}): Promise<KvTxnResult> {
    signal?.throwIfAborted();
    checkBounds(txn);
    const call = { what: `changing ${keysOf(txn)}`, repeatable: false, signal };
    const result = await this.#connection.call(call, (client, options) =>
      client.kv.txn(requestOf(txn), options),
    );
    return { succeeded: result.succeeded, revision: Number(result.header.revision) };
  }

  watch(prefix: string, options: { readonly fromRevision: number; readonly signal?: AbortSignal }): KvWatch {
    const { clock, random, logger } = this.#options;
    const signals = [this.#closed.signal, ...(options.signal ? [options.signal] : [])];
    const { fromRevision } = options;
    return watchEtcd({ connection: this.#connection, prefix, fromRevision, signals, clock, random, logger });
  }

  async lease(ttlMs: number, { signal }: KvCallOptions = {}): Promise<KvLease> {
    if (!(ttlMs > 0)) throw new AlluxioError('InvalidArgument', `a lease of ${ttlMs} ms is none`);
    if (this.#leases.size >= leasesMax) {
      throw new AlluxioError('Overloaded', `this process holds ${leasesMax} leases, its bound`);
    }
    const { clock, logger } = this.#options;
    const lease = await EtcdLease.grant({ connection: this.#connection, clock, logger }, ttlMs, signal);
    this.#leases.add(lease);
    lease.lost.addEventListener('abort', () => this.#leases.delete(lease), { once: true });
    if (this.#closing) await lease.revoke();
    return lease;
  }

  /** Watches end, and leases are given up if etcd answers within a call's time. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled([...this.#leases].map((lease) => lease.revoke()));
    this.#connection.close();
  }

  async #listOnce(prefix: string, { signal }: KvCallOptions): Promise<KvList> {
    const call = { what: `listing ${prefix || 'everything'}`, repeatable: true, signal };
    const entries: KvEntry[] = [];
    let { key, range_end } = rangeOfPrefix(prefix);
    let revision: string | undefined;
    let limit = pageEntriesFirst;
    for (let sizeBytes = 0; ; ) {
      const request = { key, range_end, limit, ...(revision === undefined ? {} : { revision }) };
      let page: IRangeResponse;
      try {
        page = await this.#connection.call(call, (client, options) => client.kv.range(request, options));
      } catch (thrown) {
        if (limit === 1 || !isTooLarge(thrown)) throw thrown;
        limit = Math.max(1, limit >> 2);
        continue;
      }
      revision ??= page.header.revision;
      const pageBytes = page.kvs.reduce((sum, pair) => sum + pair.key.length + pair.value.length, 0);
      sizeBytes += pageBytes;
      if (sizeBytes > tableMaxBytes) throw tooMuch(prefix);
      for (const pair of page.kvs) entries.push(entryOf(pair));
      const last = page.kvs.at(-1);
      if (!page.more || !last) return { entries, revision: Number(revision) };
      key = keyAfter(last.key);
      const fitting = Math.floor((pageTargetBytes / Math.max(1, pageBytes)) * page.kvs.length);
      limit = Math.min(pageEntriesMax, Math.max(1, fitting));
    }
  }
}

/** How the gRPC library refuses an answer beyond its bound. */
function isTooLarge(thrown: unknown): boolean {
  return thrown instanceof AlluxioError && /larger than max/.test(thrown.message);
}

function tooMuch(prefix: string): AlluxioError {
  return new AlluxioError(
    'Overloaded',
    `the state store holds more than ${tableMaxBytes} bytes under ${prefix}; something fills it that should not`,
    { retry: 'never' },
  );
}

function keysOf(txn: KvTxn): string {
  const keys = [...(txn.put ?? []).map(({ key }) => key), ...(txn.delete ?? [])];
  return keys.length > 1 ? `${keys[0]} and ${keys.length - 1} more` : (keys[0] ?? 'nothing');
}

function requestOf(txn: KvTxn): ITxnRequest {
  return {
    compare: (txn.compare ?? []).map(({ key, modRevision }) => ({
      key: Buffer.from(key),
      target: 'Mod',
      result: 'Equal',
      mod_revision: modRevision,
    })),
    success: [
      ...(txn.put ?? []).map(({ key, value, lease }) => ({
        request_put: {
          key: Buffer.from(key),
          value: Buffer.from(value),
          ...(lease ? { lease: lease.id } : {}),
        },
      })),
      ...(txn.delete ?? []).map((key) => ({ request_delete_range: { key: Buffer.from(key) } })),
    ],
    failure: [],
  };
}
