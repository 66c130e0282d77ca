/** Asks a storage for one entry, so that a mount with wrong options fails when it is added and not at the first read. */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Ufs } from './ufs.ts';

export interface ProbeOptions {
  readonly clock: Clock;
  /** Default 10 s: a person waits for the answer. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const timeoutDefaultMs = 10_000;

/** Throws what the storage says (credentials, bucket, region, directory), UfsTimeout when it says nothing in time. */
export async function probeUfs(ufs: Ufs, options: ProbeOptions): Promise<void> {
  const { clock, timeoutMs = timeoutDefaultMs } = options;
  options.signal?.throwIfAborted();
  const isOver = new AbortController();
  const deadline = new AbortController();
  const signals = options.signal ? [options.signal, deadline.signal] : [deadline.signal];
  const signal = AbortSignal.any(signals);
  const timer = clock.sleep(timeoutMs, { signal: isOver.signal }).then(
    () => deadline.abort(noAnswer(timeoutMs)),
    () => undefined,
  );
  try {
    await Promise.race([listOne(ufs, signal), rejectOn(signal)]);
  } finally {
    isOver.abort();
    await timer;
  }
}

async function listOne(ufs: Ufs, signal: AbortSignal): Promise<void> {
  for await (const _ of ufs.list({ prefix: '', limit: 1, signal })) return;
}

/** A system call that hangs does not see the signal. */
function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

function noAnswer(timeoutMs: number): AlluxioError {
  return new AlluxioError(
    'UfsTimeout',
    `the under storage did not answer within ${timeoutMs} ms; check its address, and that this machine can reach it`,
  );
}
