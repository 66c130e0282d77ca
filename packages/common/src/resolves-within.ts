import type { Clock } from './clock.ts';

/** Nobody sees it; a reason that is there already costs no stack. */
const settled = new Error('the work was over before its deadline');

/** Whether the work is over by the deadline; rejects as it does before that. The work goes on in any case, and what it fails with later is its owner's matter. */
export async function resolvesWithin(
  clock: Clock,
  deadlineMs: number,
  work: Promise<unknown>,
): Promise<boolean> {
  const over = new AbortController();
  const deadline = clock.sleep(deadlineMs, { signal: over.signal }).then(
    () => false,
    // The work's own result has settled the race then.
    () => true,
  );
  try {
    return await Promise.race([work.then(() => true), deadline]);
  } finally {
    over.abort(settled);
  }
}
