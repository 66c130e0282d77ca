/** Counts what a storage is asked for and how it went. */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, type ErrorCode } from '@alluxio-ts/common/errors';
import type { HedgeOutcome } from './with-hedge.ts';
import { listInSteps } from './delegate.ts';
import type { RetryOutcome } from '../retry-budget.ts';
import type {
  CallOptions,
  ListOptions,
  ListPage,
  ReadOptions,
  ReceiveOptions,
  Ufs,
  UfsRead,
  UfsReception,
} from '../ufs.ts';

/** `body` is what follows a read that began: its end, not its beginning. */
export type UfsOperation = 'stat' | 'list' | 'read' | 'body' | 'write' | 'remove';

/** How a call ended: well, given up by the caller, or with an error of this code. */
export type UfsCallOutcome = 'ok' | 'aborted' | ErrorCode;

/** Where the counts go. Called in the middle of a read: it must neither wait nor throw. */
export interface UfsMetrics {
  calls(operation: UfsOperation, outcome: UfsCallOutcome): void;
  /** Bytes that came from the storage. */
  bytes(count: number): void;
  /** Until the answer begins; for a listing until its end, without the time that the caller took. */
  latencyMs(operation: UfsOperation, ms: number): void;
  /** A call that failed, or was not answered on a kept connection, was repeated, or would have been. */
  retry(outcome: RetryOutcome): void;
  /** A read that did not begin in time was asked for a second time, or would have been. */
  hedge(outcome: HedgeOutcome): void;
  /** A body waited for the rate of the worker. */
  pausedMs(ms: number): void;
}

export function withMetrics(ufs: Ufs, options: { readonly metrics: UfsMetrics; readonly clock: Clock }): Ufs {
  const { metrics, clock } = options;

  async function counted<T>(operation: UfsOperation, call: CallOptions, run: () => Promise<T>): Promise<T> {
    const startMs = clock.monotonic();
    try {
      const result = await run();
      metrics.calls(operation, 'ok');
      return result;
    } catch (thrown) {
      metrics.calls(operation, outcomeOf(thrown, call.signal));
      throw thrown;
    } finally {
      metrics.latencyMs(operation, clock.monotonic() - startMs);
    }
  }

  async function* list(asked: ListOptions): AsyncGenerator<ListPage> {
    let spentMs = 0;
    let outcome: UfsCallOutcome = 'ok';
    try {
      yield* listInSteps(ufs.list(asked), (next) => {
        const startMs = clock.monotonic();
        return next().finally(() => {
          spentMs += clock.monotonic() - startMs;
        });
      });
    } catch (thrown) {
      outcome = outcomeOf(thrown, asked.signal);
      throw thrown;
    } finally {
      metrics.calls('list', outcome);
      metrics.latencyMs('list', spentMs);
    }
  }

  async function read(key: string, asked: ReadOptions): Promise<UfsRead> {
    const { file, body } = await counted('read', asked, () => ufs.read(key, asked));
    return { file, body: { [Symbol.asyncIterator]: () => countBody(body, asked.signal) } };
  }

  async function receive(key: string, asked: ReceiveOptions): Promise<UfsReception> {
    let receivedBytes = 0;
    const onReceived = (count: number): void => {
      metrics.bytes(count - receivedBytes);
      receivedBytes = count;
      asked.onReceived(count);
    };
    const reception = await counted('read', asked, () => ufs.receive(key, { ...asked, onReceived }));
    reception.over.then(
      () => metrics.calls('body', 'ok'),
      (thrown: unknown) => metrics.calls('body', outcomeOf(thrown, asked.signal)),
    );
    return reception;
  }

  async function* countBody(
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    // Stays when the loop is left early.
    let outcome: UfsCallOutcome = 'aborted';
    try {
      for await (const chunk of body) {
        metrics.bytes(chunk.length);
        yield chunk;
      }
      outcome = 'ok';
    } catch (thrown) {
      outcome = outcomeOf(thrown, signal);
      throw thrown;
    } finally {
      metrics.calls('body', outcome);
    }
  }

  return {
    capability: ufs.capability,
    stat: (key, asked = {}) => counted('stat', asked, () => ufs.stat(key, asked)),
    list,
    read,
    receive,
    write: (key, bytes, asked = {}) => counted('write', asked, () => ufs.write(key, bytes, asked)),
    remove: (key, asked = {}) => counted('remove', asked, () => ufs.remove(key, asked)),
    close: () => ufs.close(),
  };
}

function outcomeOf(thrown: unknown, signal: AbortSignal | undefined): UfsCallOutcome {
  if (signal?.aborted) return 'aborted';
  return thrown instanceof AlluxioError ? thrown.code : 'Internal';
}
