/**
 * Has jobs give way to readers, by what readers feel: while files are read it is watched how late the thread that serves them comes to what is due
 * (`transport/delay-watch`), with a job's work under way and without. Jobs get to do as much as makes few reads late that would not have been so without them; *late* is
 * beyond what is usual without them, and beyond what a read takes. So what the machine does to readers by itself costs jobs nothing, and the 99th percentile of the times of
 * readers stays within twice of what it was.
 *
 * What jobs may do is a level: so many pages at a time; below one, one page, and then as long a rest as makes that share of the time. It never falls to nothing. Without
 * readers jobs have all there is.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { type DelayWatch, delayBucketOf, delayBucketsPerDoubling } from '@alluxio-ts/transport/delay-watch';
import { DelayHistogram } from './delay-histogram.ts';
import type { FairPermits } from './fair-permits.ts';
import type { SeenReads } from './seen-reads.ts';

export interface ReadersFirstOptions {
  readonly permits: FairPermits;
  readonly concurrencyMax: number;
  readonly reads: Pick<SeenReads, 'lastMs' | 'medianBucket'>;
  /** Begins to count how late readers are served; asked again only after the one before was closed. */
  readonly watchDelays: () => DelayWatch;
  readonly clock: Clock;
}

const stepMs = 200;
/** Of what is due while readers are there, what may be late for a job. Clients feel more: they have to wait for each other's, the network's and their own turns beside the same job. */
const spoiltShareMax = 0.0005;
/** Who is late by no more is not felt: on its way, an answer of some kilobytes takes as long. */
const notLateMs = 0.5;
/** Late is who waits three times as long as one in ten waits without a job. One in a hundred waits twice as long as that; but what that one waits is seen after minutes only. */
const aloneTailShare = 0.1;
const lateFactor = 3;
/** One less: what is in a bucket may be a fifth below its bound. */
const lateBuckets = Math.round(delayBucketsPerDoubling * Math.log2(lateFactor)) - 1;
/** Half a minute. */
const aloneCountMax = 30_000;
/** Eight seconds without rests; at a low level less has to be seen to know, and seconds bring less. */
const besideCountMaxOf = (level: number): number => Math.min(8000, 16_000 * level);
const levelMin = 1 / 64;
/** What is spoilt before anything was seen is spoilt. */
const levelAtFirst = 1 / 16;
const growth = 2;
/** Beside a storage that takes seconds for a page a rest would otherwise be minutes. */
const restMaxMs = 2000;
/** Readers pause between files. */
const readerGoneMs = 3000;
/** Between the batches of one job. */
const pauseMaxMs = 10_000;

export class ReadersFirst {
  readonly #options: ReadersFirstOptions;
  readonly #alone = new DelayHistogram();
  readonly #beside = new DelayHistogram();
  /** While there are readers. */
  #level = levelAtFirst;
  /** When it was looked last. */
  #hadReaders = false;
  #batchCount = 0;
  #runningCount = 0;
  #endedMs = Number.NEGATIVE_INFINITY;
  #stop = new AbortController();
  #watch: DelayWatch | undefined;

  constructor(options: ReadersFirstOptions) {
    this.#options = options;
  }

  /** Pieces of work under way. */
  get runningCount(): number {
    return this.#runningCount;
  }

  /** Pages at a time that jobs may have under way; below one, the share of the time in which they may have one. */
  get level(): number {
    return this.#hasReaders() ? this.#level : this.#options.concurrencyMax;
  }

  /** Whether jobs do less than they could, for readers' sake. */
  get givesWay(): boolean {
    return this.level < this.#options.concurrencyMax;
  }

  /** A batch begins; the result ends it. */
  begin(): () => void {
    if (this.#batchCount++ === 0) {
      const { clock } = this.#options;
      if (clock.monotonic() - this.#endedMs > pauseMaxMs) this.#hadReaders = false;
      this.#stop = new AbortController();
      this.#look();
      void this.#run(this.#stop.signal);
    }
    return () => {
      if (--this.#batchCount > 0) return;
      this.#endedMs = this.#options.clock.monotonic();
      this.#stop.abort();
      this.#endWatch();
    };
  }

  /** Does the work that a permit is for. The permit is given back when it has rested, which is not waited for. */
  async spend<T>(
    release: () => void,
    work: () => Promise<T>,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<T> {
    const { clock } = this.#options;
    const begunMs = clock.monotonic();
    if (this.#runningCount++ === 0) this.#watch?.mark(true);
    try {
      return await work();
    } finally {
      if (--this.#runningCount === 0) this.#watch?.mark(false);
      const restMs = (1 / Math.min(1, this.level) - 1) * (clock.monotonic() - begunMs);
      if (restMs > 0) void clock.sleep(Math.min(restMs, restMaxMs), { signal }).then(release, release);
      else release();
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(stepMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      this.#look();
    }
  }

  #look(): void {
    const { concurrencyMax, permits } = this.#options;
    const hasReaders = this.#hasReaders();
    if (hasReaders && !this.#hadReaders) this.#level = Math.min(this.#level, levelAtFirst);
    this.#hadReaders = hasReaders;
    if (hasReaders) this.#weigh();
    else this.#endWatch();
    permits.setMax(Math.max(1, Math.min(concurrencyMax, Math.floor(this.level))));
  }

  #weigh(): void {
    if (!this.#watch) {
      this.#watch = this.#options.watchDelays();
      this.#watch.mark(this.#runningCount > 0);
      return;
    }
    const { alone, beside } = this.#watch.take();
    const level = this.#level;
    this.#alone.add(alone, aloneCountMax);
    this.#beside.add(beside, besideCountMaxOf(level));
    const wanted = this.#wanted(0);
    if (wanted < level) {
      this.#level = Math.max(wanted, level / 2, levelMin);
    } else if (this.#wanted(1) >= growth * level) {
      // With one late more than was seen it would still be in order.
      this.#level = Math.min(growth * level, this.#options.concurrencyMax);
    }
    // What was seen at another number of pages at a time says less of this one.
    if (Math.floor(this.#level) !== Math.floor(level)) this.#beside.halve();
  }

  /** The level at which jobs would make as many late as they may, by those that were at this one and so many more. */
  #wanted(more: number): number {
    const notLateBucket = Math.max(
      delayBucketOf(notLateMs),
      this.#options.reads.medianBucket,
      this.#alone.bucketOfTail(aloneTailShare) + lateBuckets,
    );
    const aloneShare = this.#alone.countAbove(notLateBucket) / Math.max(1, this.#alone.total);
    const besideShare = (this.#beside.countAbove(notLateBucket) + more) / Math.max(1, this.#beside.total);
    const spoiltShare = besideShare - aloneShare;
    if (spoiltShare <= 0) return Number.POSITIVE_INFINITY;
    return (Math.max(1, this.#level) * spoiltShareMax) / spoiltShare;
  }

  #hasReaders(): boolean {
    const { clock, reads } = this.#options;
    return clock.monotonic() - reads.lastMs <= readerGoneMs;
  }

  #endWatch(): void {
    this.#watch?.close();
    this.#watch = undefined;
  }
}
