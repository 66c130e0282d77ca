/**
 * How a directory is, and what may be asked of it.
 *
 * - `ok`: it is read and written.
 * - `suspect`: a write failed (full, read-only, broken), or several reads did. It takes no pages; those that it has are read, and checked as ever.
 * - `out`: it kept somebody waiting past the deadline, went on failing, or is gone. It is neither read nor written: its pages count as misses, and nobody waits for it.
 *
 * While it is not `ok` it is probed, one probe at a time. A good one brings it one state up, so that pages are read again before new ones are trusted to it. Bad ones, and a
 * relapse soon after, make the pauses between probes longer. Its pages are kept in the index all the while.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { CacheDirState } from '@alluxio-ts/common/protocol/coordinator-api';

export type DirState = Exclude<CacheDirState, 'unused'>;

export interface DirHealthOptions {
  readonly dir: string;
  /** Until the first probe; later pauses are longer. */
  readonly pauseMs: number;
  /** Rejects while the directory is not in order, in bounded time. */
  readonly probe: () => Promise<void>;
  /** Called when the directory is out, before anything else is asked of it. */
  readonly onOut: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The longest pause between two probes. */
const pauseMaxMs = 300_000;
/** Whoever fails again within this time after it was well is probed less often. */
const relapseMs = 600_000;
/** So many failed reads in a minute are more than a bad place on the disk. */
const suspectReads = 3;
const outReads = 10;
const readWindowMs = 60_000;
/** Faults of writing alone: what is there can still be read. */
const writeOnlyFaults: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT', 'EROFS', 'EFBIG'];
/** What passes as soon as something is given up: no reason to wait longer each time. */
const fullFaults: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

const rank: Readonly<Record<DirState, number>> = { ok: 0, suspect: 1, out: 2 };

export class DirHealth {
  readonly #options: DirHealthOptions;
  readonly #closing = new AbortController();
  #state: DirState = 'ok';
  #reason: string | undefined;
  #pauseMs: number;
  #okSinceMs = Number.NEGATIVE_INFINITY;
  /** When the latest reads failed. */
  #failedReadsMs: number[] = [];
  #isWatched = false;
  failedWriteCount = 0;
  failedReadCount = 0;

  constructor(options: DirHealthOptions) {
    this.#options = options;
    this.#pauseMs = options.pauseMs;
  }

  get state(): DirState {
    return this.#state;
  }

  /** Why it is not `ok`. */
  get reason(): string | undefined {
    return this.#reason;
  }

  get canRead(): boolean {
    return this.#state !== 'out';
  }

  get canWrite(): boolean {
    return this.#state === 'ok';
  }

  /** An operation found no answer in time. */
  timedOut(kind: 'read' | 'write', timeoutMs: number): void {
    if (kind === 'read') this.failedReadCount++;
    this.#worsen('out', `no answer to a ${kind} within ${timeoutMs} ms`);
  }

  /** The disk refused a read; the page is lost, others may be sound. */
  readFailed(thrown: unknown): void {
    const { clock, dir, logger } = this.#options;
    const nowMs = clock.monotonic();
    this.failedReadCount++;
    logger.warn({ dir, error: thrown }, 'cached-page-unreadable');
    this.#failedReadsMs = [...this.#failedReadsMs.filter((atMs) => nowMs - atMs < readWindowMs), nowMs];
    const count = this.#failedReadsMs.length;
    const reason = `${count} reads failed within a minute, the last with ${faultTextOf(thrown)}`;
    if (count >= outReads) this.#worsen('out', reason);
    else if (count >= suspectReads) this.#worsen('suspect', reason);
  }

  writeFailed(thrown: unknown): void {
    this.failedWriteCount++;
    const isFull = fullFaults.includes(errnoOf(thrown));
    this.#worsen('suspect', `a write failed with ${faultTextOf(thrown)}`, isFull);
  }

  /** Ends the probing. What fails from now on changes nothing. */
  close(): void {
    this.#closing.abort();
  }

  #worsen(state: DirState, reason: string, isFull = false): void {
    if (rank[state] <= rank[this.#state] || this.#closing.signal.aborted) return;
    if (this.#state === 'ok') {
      const { clock, pauseMs } = this.#options;
      const isRelapse = !isFull && clock.monotonic() - this.#okSinceMs < relapseMs;
      this.#pauseMs = isRelapse ? this.#longerPauseMs() : pauseMs;
    }
    this.#become(state, reason);
    if (state === 'out') this.#options.onOut();
    this.#watch();
  }

  #become(state: DirState, reason: string | undefined): void {
    const { clock, dir, logger } = this.#options;
    const fields = { dir, state, before: this.#state, ...(reason === undefined ? {} : { reason }) };
    this.#state = state;
    this.#reason = reason;
    if (state !== 'ok') {
      logger.warn({ ...fields, probeInMs: this.#pauseMs }, 'cache-dir-state');
      return;
    }
    this.#okSinceMs = clock.monotonic();
    this.#failedReadsMs = [];
    logger.info(fields, 'cache-dir-state');
  }

  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    void this.#probeUntilOk()
      // Closed meanwhile.
      .catch(() => undefined)
      .finally(() => {
        this.#isWatched = false;
      });
  }

  async #probeUntilOk(): Promise<void> {
    const { clock, probe } = this.#options;
    const { signal } = this.#closing;
    while (this.#state !== 'ok') {
      await clock.sleep(this.#pauseMs, { signal });
      const failedCount = this.failedReadCount + this.failedWriteCount;
      const fault = await probe().then(
        () => undefined,
        (thrown: unknown) => ({ thrown }),
      );
      if (signal.aborted) return;
      if (fault) this.#probeFailed(fault.thrown);
      // What failed beside the probe weighs more than a few bytes that did not.
      else if (failedCount === this.failedReadCount + this.failedWriteCount) this.#probeSucceeded();
    }
  }

  #probeSucceeded(): void {
    if (this.#state === 'out') this.#become('suspect', 'it answers again; one more probe is to come');
    else this.#become('ok', undefined);
  }

  #probeFailed(thrown: unknown): void {
    const errno = errnoOf(thrown);
    if (!fullFaults.includes(errno)) this.#pauseMs = this.#longerPauseMs();
    const reason = `a probe failed with ${faultTextOf(thrown)}`;
    if (!writeOnlyFaults.includes(errno)) this.#worsen('out', reason);
    this.#reason = reason;
  }

  #longerPauseMs(): number {
    return Math.min(pauseMaxMs, 2 * this.#pauseMs);
  }
}

/** `ENOSPC` where the system says so, else the sentence. */
function faultTextOf(thrown: unknown): string {
  const cause = thrown instanceof Error && thrown.cause !== undefined ? thrown.cause : thrown;
  return errnoOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}
