/** Repeats calls that failed for a passing reason of the storage. A body that has begun is never repeated: its reader asks again. */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { type AlluxioError, type ErrorCode, hasErrorCode } from '@alluxio-ts/common/errors';
import { withRetries } from '@alluxio-ts/common/retry';
import type { RetryBudget } from '../retry-budget.ts';
import type { ListOptions, ListPage, Ufs } from '../ufs.ts';

export interface RetryLayerOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Calls altogether, the first one included. */
  readonly triesMax: number;
  readonly pauseMinMs: number;
  readonly pauseMaxMs: number;
  /** After so long a call is not repeated any more: whoever waits has waited enough. */
  readonly repeatWithinMs: number;
  readonly budget: RetryBudget;
}

/**
 * Not VersionChanged: the pinned version does not come back. Not Overloaded: that is our own bound, which must push back. Both stay
 * marked `later` for the caller.
 */
const repeated: readonly ErrorCode[] = ['UfsThrottled', 'UfsTimeout', 'UfsUnavailable', 'UfsBadResponse'];

/** A listing in order goes on behind the last entry that was handed out; another one is repeated only before its first page. */
export function withRetry(ufs: Ufs, options: RetryLayerOptions): Ufs {
  const { budget, clock, repeatWithinMs } = options;

  function mayRepeat(begunMs: number): boolean {
    return clock.monotonic() - begunMs < repeatWithinMs && budget.spend();
  }

  async function retried<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
    const begunMs = clock.monotonic();
    budget.earn();
    const how = { ...options, mayRepeat: () => mayRepeat(begunMs), ...(signal ? { signal } : {}) };
    const result = await withRetries(how, async () => {
      try {
        return { value: await call() };
      } catch (thrown) {
        if (hasErrorCode(thrown, ...repeated)) throw thrown;
        return { thrown: thrown as AlluxioError };
      }
    });
    if ('value' in result) return result.value;
    throw result.thrown;
  }

  async function* list(asked: ListOptions): AsyncGenerator<ListPage> {
    let rest = asked;
    let iterator: AsyncIterator<ListPage> | undefined;
    let isBegun = false;
    const step = async (): Promise<IteratorResult<ListPage>> => {
      iterator ??= ufs.list(rest)[Symbol.asyncIterator]();
      try {
        return await iterator.next();
      } catch (thrown) {
        iterator = undefined;
        throw thrown;
      }
    };
    try {
      for (;;) {
        const canRepeat = !isBegun || ufs.capability.orderedList;
        const next = canRepeat ? await retried(asked.signal, step) : await step();
        if (next.done) return;
        isBegun = true;
        rest = behind(rest, next.value);
        yield next.value;
      }
    } finally {
      await iterator?.return?.();
    }
  }

  return {
    capability: ufs.capability,
    stat: (key, options = {}) => retried(options.signal, () => ufs.stat(key, options)),
    list,
    read: (key, options) => retried(options.signal, () => ufs.read(key, options)),
    receive: (key, options) => retried(options.signal, () => ufs.receive(key, options)),
    write: (key, bytes, options = {}) => retried(options.signal, () => ufs.write(key, bytes, options)),
    remove: (key, options = {}) => retried(options.signal, () => ufs.remove(key, options)),
    close: () => ufs.close(),
  };
}

function behind(asked: ListOptions, page: ListPage): ListOptions {
  const last = page.at(-1);
  if (!last) return asked;
  const startAfter = last.kind === 'file' ? last.file.key : last.key;
  return { ...asked, startAfter, ...(asked.limit === undefined ? {} : { limit: asked.limit - page.length }) };
}
