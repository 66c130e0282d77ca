/**
 * A lease of etcd and its renewals. Its end is reckoned by our own clock from the moment the last answered renewal was *sent*, which etcd
 * cannot have counted from earlier: so `lost` is heard before anybody else can see the keys gone, also when etcd does not answer.
 */

import type { IDuplexStream, ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3';
import type { Clock } from '../clock.ts';
import { AlluxioError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { EtcdConnection } from './etcd-connection.ts';
import type { KvLease } from './kv-store.ts';

export interface EtcdLeaseOptions {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly logger: Logger;
}

const tryTimeoutMs = 1000;
const retryPauseMs = 250;

export class EtcdLease implements KvLease {
  readonly id: string;
  readonly #options: EtcdLeaseOptions;
  readonly #ended = new AbortController();
  #ttlMs: number;
  #expiresAt: number;
  #renewAt: number;
  #failureCount = 0;

  private constructor(options: EtcdLeaseOptions, id: string, ttlMs: number, sentAt: number) {
    this.#options = options;
    this.id = id;
    this.#ttlMs = ttlMs;
    this.#expiresAt = sentAt + ttlMs;
    this.#renewAt = sentAt + ttlMs / 3;
  }

  /** etcd counts in whole seconds, at least 2 of them: the lease may be longer than asked for. */
  static async grant(options: EtcdLeaseOptions, ttlMs: number, signal?: AbortSignal): Promise<EtcdLease> {
    let sentAt = 0;
    const call = { what: 'asking for a lease', repeatable: true, signal };
    const granted = await options.connection.call(call, (client, callOptions) => {
      sentAt = options.clock.monotonic();
      return client.leaseClient.leaseGrant({ TTL: Math.ceil(ttlMs / 1000) }, callOptions);
    });
    const lease = new EtcdLease(options, granted.ID, Number(granted.TTL) * 1000, sentAt);
    void lease.#keepAlive();
    return lease;
  }

  get lost(): AbortSignal {
    return this.#ended.signal;
  }

  /** The keys go before `lost` is heard, unless etcd does not answer: then they go when its time is over. */
  async revoke(): Promise<void> {
    if (this.lost.aborted) return;
    try {
      await this.#revoke();
    } finally {
      this.#ended.abort();
    }
  }

  async #revoke(): Promise<void> {
    const call = { what: 'giving up a lease', repeatable: true };
    try {
      await this.#options.connection.call(call, (client, callOptions) =>
        client.leaseClient.leaseRevoke({ ID: this.id }, callOptions),
      );
    } catch (thrown) {
      // A lease that is not there any more is what was wanted.
      if (!(thrown instanceof AlluxioError) || thrown.code !== 'StateConflict') throw thrown;
    }
  }

  async #keepAlive(): Promise<void> {
    const { clock } = this.#options;
    while (!this.lost.aborted) {
      const wakeAt = Math.min(this.#renewAt, this.#expiresAt);
      const sleeping = clock.sleep(Math.max(0, wakeAt - clock.monotonic()), { signal: this.lost });
      await sleeping.catch(() => undefined);
      if (this.lost.aborted) return;
      const leftMs = this.#expiresAt - clock.monotonic();
      if (leftMs <= 0) this.#lose('it was not renewed in time');
      else await this.#renew(Math.min(tryTimeoutMs, leftMs));
    }
  }

  async #renew(timeoutMs: number): Promise<void> {
    const { clock, logger } = this.#options;
    const sentAt = clock.monotonic();
    try {
      const ttlSeconds = await this.#askOnce(timeoutMs);
      if (ttlSeconds <= 0) {
        this.#lose('etcd does not know it any more');
        return;
      }
      this.#ttlMs = ttlSeconds * 1000;
      this.#expiresAt = sentAt + this.#ttlMs;
      this.#renewAt = sentAt + this.#ttlMs / 3;
      if (this.#failureCount > 0) logger.info({ lease: this.id }, 'state-lease-renewed-again');
      this.#failureCount = 0;
    } catch (thrown) {
      if (this.lost.aborted) return;
      const error = this.#options.connection.toAlluxioError(thrown, 'renewing a lease');
      if (this.#failureCount === 0) logger.warn({ lease: this.id, error }, 'state-lease-not-renewed');
      this.#failureCount++;
      this.#renewAt = clock.monotonic() + Math.min(retryPauseMs, this.#ttlMs / 10);
    }
  }

  /** A stream for each renewal, so that each may find another member; the lease's time left, in seconds. */
  async #askOnce(timeoutMs: number): Promise<number> {
    const { connection } = this.#options;
    let stream: KeepAliveStream | undefined;
    let isOver = false;
    const asked = connection.client.leaseClient.leaseKeepAlive().then((opened) => {
      stream = opened;
      if (isOver) endStream(opened);
      return new Promise<number>((resolve, reject) => {
        opened.on('data', (response) => resolve(Number(response.TTL)));
        opened.on('error', reject);
        opened.on('end', () => reject(new Error('etcd ended the stream')));
        if (!isOver) opened.write({ ID: this.id });
      });
    });
    try {
      const call = { what: 'renewing a lease', repeatable: true, signal: this.lost, timeoutMs };
      return await connection.inTime(call, asked);
    } finally {
      isOver = true;
      asked.catch(() => undefined);
      if (stream) endStream(stream);
    }
  }

  /** The keys are asked to go as well; `lost` does not wait for that. */
  #lose(reason: string): void {
    this.#options.logger.warn({ lease: this.id, reason }, 'state-lease-lost');
    this.#ended.abort();
    this.#revoke().catch(() => undefined);
  }
}

type KeepAliveStream = IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;

/** Ended first: etcd3 takes the failure of a stream that may still be written to for one of the server. */
function endStream(stream: KeepAliveStream): void {
  stream.end();
  stream.cancel();
}
