/**
 * A watch of etcd that goes on over broken streams. It counts on from the last transaction that it handed out whole, so none is lost and none comes
 * twice: a stream's header says how far the store is, not how far the stream is.
 *
 * A store that was emptied or restored has a history of its own, in which our revision may lie in the future: etcd would wait for it in
 * silence. So whenever a stream begins anew, the store is asked for its revision, term and name first, and what has gone back is a StateConflict.
 */

import type { IDuplexStream, IEvent, IResponseHeader, IWatchRequest, IWatchResponse } from 'etcd3';
import type { Clock, Random } from '../clock.ts';
import { AlluxioError, hasErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { compacted, type EtcdConnection } from './etcd-connection.ts';
import { entryOf, rangeOfPrefix } from './etcd-keys.ts';
import type { KvEvent, KvWatch } from './kv-store.ts';

export interface EtcdWatchOptions {
  readonly connection: EtcdConnection;
  readonly prefix: string;
  readonly fromRevision: number;
  /** Ends the watch: the caller's signal and the end of the store. */
  readonly signals: readonly AbortSignal[];
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const pauseMinMs = 50;
const pauseMaxMs = 1000;

/** What tells one history of a store from another. */
interface History {
  readonly clusterId: string;
  readonly term: number;
}

export function watchEtcd(options: EtcdWatchOptions): KvWatch {
  const closed = new AbortController();
  const ended = AbortSignal.any([closed.signal, ...options.signals]);
  return { events: new EtcdWatch(options, ended).follow(), close: () => closed.abort() };
}

class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  readonly #ended: AbortSignal;
  #nextRevision: number;
  #history: History | undefined;
  #failureCount = 0;

  constructor(options: EtcdWatchOptions, ended: AbortSignal) {
    this.#options = options;
    this.#ended = ended;
    this.#nextRevision = options.fromRevision;
  }

  async *follow(): AsyncGenerator<readonly KvEvent[]> {
    const { connection, logger, prefix } = this.#options;
    while (!this.#ended.aborted) {
      try {
        if (this.#failureCount > 0) await this.#checkHistory();
        yield* this.#stream();
      } catch (thrown) {
        if (this.#ended.aborted) return;
        const error = connection.toAlluxioError(thrown, `watching ${prefix}`);
        if (error.retry === 'never' || hasErrorCode(error, 'StateConflict')) throw error;
        if (this.#failureCount === 0) logger.warn({ prefix, error }, 'state-watch-interrupted');
      }
      this.#failureCount++;
      await this.#pause();
    }
  }

  async *#stream(): AsyncGenerator<readonly KvEvent[]> {
    const stream = await this.#open();
    const cancel = (): void => cancelStream(stream);
    this.#ended.addEventListener('abort', cancel, { once: true });
    try {
      if (this.#ended.aborted) return;
      const { key, range_end } = rangeOfPrefix(this.#options.prefix);
      const create = {
        key,
        range_end,
        start_revision: this.#nextRevision,
        progress_notify: true,
        fragment: true,
      };
      stream.write({ create_request: create });
      const responses = responsesOf(stream)[Symbol.asyncIterator]();
      const first = await this.#options.connection.inTime(this.#call, responses.next());
      if (first.done) return;
      await this.#created(first.value);
      yield* this.#batches(responses);
    } finally {
      this.#ended.removeEventListener('abort', cancel);
      cancel();
    }
  }

  /** A stream that comes too late is ended, since nobody would read it. */
  async #open(): Promise<WatchStream> {
    const opening = this.#options.connection.client.watchClient.watch();
    try {
      return await this.#options.connection.inTime(this.#call, opening);
    } catch (thrown) {
      opening.then(cancelStream, () => undefined);
      throw thrown;
    }
  }

  get #call() {
    return { what: `watching ${this.#options.prefix}`, repeatable: true, signal: this.#ended };
  }

  async #created(response: IWatchResponse): Promise<void> {
    throwIfCanceled(response);
    // A member that lags behind the others has seen less too: only a read that all agree on tells.
    if (Number(response.header.revision) < this.#nextRevision - 1) await this.#checkHistory();
    this.#history ??= historyOf(response.header);
    if (this.#failureCount > 0)
      this.#options.logger.info({ prefix: this.#options.prefix }, 'state-watch-resumed');
    this.#failureCount = 0;
  }

  async #checkHistory(): Promise<void> {
    const { key } = rangeOfPrefix(this.#options.prefix);
    const { header } = await this.#options.connection.call(this.#call, (client, options) =>
      client.kv.range({ key, count_only: true }, options),
    );
    const now = historyOf(header);
    const before = this.#history ?? now;
    const hasGoneBack = Number(header.revision) < this.#nextRevision - 1 || now.term < before.term;
    if (hasGoneBack || now.clusterId !== before.clusterId) {
      throw new AlluxioError(
        'StateConflict',
        'the state store was emptied, restored or replaced; list again and watch from there',
      );
    }
    this.#history = now;
  }

  async *#batches(responses: AsyncIterator<IWatchResponse>): AsyncGenerator<readonly KvEvent[]> {
    let batch: KvEvent[] = [];
    for (let next = await responses.next(); !next.done; next = await responses.next()) {
      const response = next.value;
      throwIfCanceled(response);
      for (const event of response.events) {
        const revision = Number(event.kv.mod_revision);
        if (revision < this.#nextRevision) continue;
        if (batch[0] && revisionOf(batch[0]) !== revision) {
          yield this.#finished(batch);
          batch = [];
        }
        batch.push(eventOf(event));
      }
      if (response.fragment) continue;
      if (batch.length > 0) yield this.#finished(batch);
      else if (response.events.length === 0) this.#skipTo(Number(response.header.revision) + 1);
      batch = [];
    }
  }

  #finished(batch: readonly KvEvent[]): readonly KvEvent[] {
    if (batch[0]) this.#skipTo(revisionOf(batch[0]) + 1);
    return batch;
  }

  #skipTo(revision: number): void {
    this.#nextRevision = Math.max(this.#nextRevision, revision);
  }

  async #pause(): Promise<void> {
    const { clock, random } = this.#options;
    const ceiling = Math.min(pauseMaxMs, pauseMinMs * 2 ** Math.min(this.#failureCount, 10));
    const pauseMs = ceiling * (0.5 + random.next() / 2);
    await clock.sleep(pauseMs, { signal: this.#ended }).catch(() => undefined);
  }
}

type WatchStream = IDuplexStream<IWatchRequest, IWatchResponse>;

/** Ended first: etcd3 takes the failure of a stream that may still be written to for one of the server. */
function cancelStream(stream: WatchStream): void {
  stream.end();
  stream.cancel();
}

/** The stream as what it is, a readable of Node that reads no further than it is asked to; etcd3 does not say so. */
function responsesOf(stream: WatchStream): AsyncIterable<IWatchResponse> {
  if (!(Symbol.asyncIterator in stream)) throw new TypeError('the stream of etcd3 cannot be iterated');
  return stream as WatchStream & AsyncIterable<IWatchResponse>;
}

function throwIfCanceled(response: IWatchResponse): void {
  if (!response.canceled) return;
  if (response.compact_revision !== '0') throw compacted();
  throw new Error(`etcd ended the watch: ${response.cancel_reason}`);
}

function historyOf(header: IResponseHeader): History {
  return { clusterId: header.cluster_id, term: Number(header.raft_term) };
}

function eventOf(event: IEvent): KvEvent {
  const entry = entryOf(event.kv);
  return event.type === 'Put'
    ? { kind: 'put', entry }
    : { kind: 'delete', key: entry.key, modRevision: entry.modRevision };
}

function revisionOf(event: KvEvent): number {
  return event.kind === 'put' ? event.entry.modRevision : event.modRevision;
}
