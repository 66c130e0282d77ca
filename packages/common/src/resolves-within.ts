import { setImmediate } from 'node:timers/promises';
import type { Clock } from './clock.ts';

/** Nobody sees it; a reason that is there already costs no stack. */
const settled = new Error('the work was over before its deadline');

/**
 * Whether the work is over by the deadline; rejects as it does before that. The work goes on in any case, and what it fails with later is its owner's matter. Of a process
 * that was busy, timers run before what came meanwhile is read: that counts as in time.
 */
export async function resolvesWithin(
  clock: Clock,
  deadlineMs: number,
  work: Promise<unknown>,
): Promise<boolean> {
  const over = new AbortController();
  const deadline = clock.sleep(deadlineMs, { signal: over.signal }).then(
    () => setImmediate(false),
    // The work's own result has settled the race then.
    () => true,
  );
  try {
    return await Promise.race([work.then(() => true), deadline]);
  } finally {
    over.abort(settled);
  }
}
