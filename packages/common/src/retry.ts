/** Repeats a call that failed for a passing reason: exponential pauses with full jitter, a bound on tries and on time. */

import type { Clock, Random } from './clock.ts';
import { AlluxioError } from './errors.ts';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly triesMax: number;
  readonly pauseMinMs: number;
  readonly pauseMaxMs: number;
  readonly signal?: AbortSignal;
  /** Asked before each repetition, while there are tries left; false makes this failure the last. */
  readonly mayRepeat?: () => boolean;
}

/**
 * Only failures marked `later` are repeated. When the tries are spent the last failure is thrown with `retry: 'never'`,
 * so that nobody above repeats them again. A pause that the failing side asked for is honoured up to `pauseMaxMs`.
 */
export async function withRetries<T>(
  options: RetryOptions,
  call: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(attempt);
    } catch (thrown) {
      if (!(thrown instanceof AlluxioError) || thrown.retry !== 'later') throw thrown;
      if (options.signal?.aborted) throw thrown;
      if (attempt >= options.triesMax || options.mayRepeat?.() === false) throw spent(thrown);
      const ceiling = Math.min(options.pauseMaxMs, options.pauseMinMs * 2 ** (attempt - 1));
      const pause = Math.max(
        options.random.next() * ceiling,
        Math.min(thrown.retryAfterMs ?? 0, options.pauseMaxMs),
      );
      await options.clock.sleep(pause, options.signal ? { signal: options.signal } : {});
    }
  }
}

function spent(error: AlluxioError): AlluxioError {
  return new AlluxioError(error.code, error.message, {
    context: error.context,
    cause: error.cause,
    retry: 'never',
    ...(error.retryAfterMs === undefined ? {} : { retryAfterMs: error.retryAfterMs }),
  });
}
