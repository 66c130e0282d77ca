/** The pages of one file within a batch: fetches those that are missing, several at once, and keeps count of what is done without a gap. */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { type FileKey, type PageId, pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import type { LoadBatch } from '@alluxio-ts/common/protocol/load-batch';
import { MIB } from '@alluxio-ts/common/units';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { FileName } from '../cache/mount-table.ts';
import type { PageFiller } from '../cache/page-filler.ts';
import type { PageStore } from '../page-store/page-store.ts';
import type { FairPermits } from './fair-permits.ts';
import type { Pace } from './pace.ts';
import type { ReadersFirst } from './readers-first.ts';

/** The version to load. */
export interface ListedVersion extends Pick<FileStatus, 'version' | 'sizeBytes'> {
  /** Only a listing has told it: what else belongs to a file's record is still to be learned. */
  readonly isListed: boolean;
  /** What names its pages, where that is known. */
  readonly fileKey?: FileKey | undefined;
}

export interface PageLoadOptions {
  readonly batch: LoadBatch;
  readonly store: PageStore;
  readonly filler: PageFiller;
  readonly permits: FairPermits;
  readonly pace: Pace;
  readonly pageSizeBytes: number;
  readonly clock: Clock;
  /** On the monotonic clock: no page is begun after it. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly onLoaded: (bytes: number) => void;
  readonly readersFirst: ReadersFirst;
  /** Whether pages that are here are read back before they count. */
  readonly isVerifying: boolean;
}

export interface LoadedVersion {
  readonly file: FileName;
  readonly fileKey: FileKey;
  readonly seen: ListedVersion;
}

/** Pages of so many bytes come by one request, one behind the other: stores give large answers for less than several small ones. */
const requestBytes = 16 * MIB;
/** Of so many where every permit is taken: no more of them could come side by side. */
const requestMaxBytes = 64 * MIB;

/** While every slot is taken by others. */
const slotPauseMs = 20;

export class PageLoad {
  /** Bytes of pages before `doneEnd` that were fetched, and that were here. */
  loadedBytes = 0;
  heldBytes = 0;
  /** What the storage said of the file with one of its pages, and when that was asked for. */
  learned: FileStatus | undefined;
  learnedAtMs = 0;
  #doneEnd: number;
  #failure: unknown;
  /** Pages behind a gap. */
  readonly #ahead = new Map<number, { readonly bytes: number; readonly wasHeld: boolean }>();

  constructor(fromPage: number) {
    this.#doneEnd = fromPage;
  }

  /** Every page before this one is done. */
  get doneEnd(): number {
    return this.#doneEnd;
  }

  /** Starts over, for another version. */
  begin(fromPage: number): void {
    this.loadedBytes = 0;
    this.heldBytes = 0;
    this.learned = undefined;
    this.#doneEnd = fromPage;
    this.#failure = undefined;
    this.#ahead.clear();
  }

  /** True when all pages are here, false when the time was over first. Rejects with what the first page failed with, when none is under way. */
  async run(version: LoadedVersion, options: PageLoadOptions): Promise<boolean> {
    const { pageSizeBytes } = options;
    const pageCount = pageCountOf(version.seen.sizeBytes, pageSizeBytes);
    const running = new Set<Promise<void>>();
    let index = this.#doneEnd;
    for (; index < pageCount && this.#failure === undefined; index++) {
      const page = { file: version.fileKey, index };
      if (options.store.has(page) && !options.isVerifying) {
        this.#done(page, version, { wasHeld: true, pageSizeBytes });
        continue;
      }
      const release = await permitFor(options, pageLengthOf(version.seen.sizeBytes, pageSizeBytes, index));
      if (!release) break;
      if (this.#failure !== undefined) {
        release();
        break;
      }
      const end = runEnd(version, index, options);
      const one = this.#pages({ from: index, end }, release, version, options).finally(() =>
        running.delete(one),
      );
      running.add(one);
      index = end - 1;
    }
    await Promise.all(running);
    if (this.#failure !== undefined) throw this.#failure;
    return this.#doneEnd === pageCount;
  }

  /** Pages one after the other, with one permit for all of them until readers have to be given way to. Never rejects: it is not waited for until the others are begun. */
  async #pages(
    { end, from }: PageRun,
    permit: () => void,
    version: LoadedVersion,
    options: PageLoadOptions,
  ): Promise<void> {
    const { clock, deadlineMs, pageSizeBytes, readersFirst, signal } = options;
    const { fileKey: file, seen } = version;
    const endBytes = Math.min(end * pageSizeBytes, seen.sizeBytes);
    let index = from;
    const goesOn = (): boolean => index < end && this.#failure === undefined;
    const mayGoOn = (): boolean =>
      !readersFirst.givesWay && !signal.aborted && clock.monotonic() < deadlineMs;
    const spendPermit = async (): Promise<void> => {
      do {
        const leftBytes = Math.max(0, endBytes - (index + 1) * pageSizeBytes);
        const nextBytes = readersFirst.givesWay ? 0 : leftBytes;
        await this.#page({ file, index }, version, options, nextBytes);
        index++;
      } while (goesOn() && mayGoOn());
    };
    try {
      await readersFirst.spend(permit, spendPermit, options);
      while (goesOn()) {
        const release = await permitFor(options, pageLengthOf(seen.sizeBytes, pageSizeBytes, index));
        if (!release) return;
        await readersFirst.spend(release, spendPermit, options);
      }
    } catch (thrown) {
      this.#failure ??= thrown;
    }
  }

  /** `nextBytes` are those of the pages behind it that follow. */
  async #page(
    page: PageId,
    version: LoadedVersion,
    options: PageLoadOptions,
    nextBytes: number,
  ): Promise<void> {
    const { isVerifying, pageSizeBytes, store } = options;
    try {
      const [isHeld] = isVerifying ? await store.verify([page]) : [store.has(page)];
      if (isHeld) {
        this.#done(page, version, { wasHeld: true, pageSizeBytes });
        return;
      }
      if (!(await this.#fetch(page, version, options, nextBytes))) return;
      if (!store.has(page)) throw notKept(version.file);
      options.onLoaded(pageLengthOf(version.seen.sizeBytes, pageSizeBytes, page.index));
      this.#done(page, version, { wasHeld: false, pageSizeBytes });
    } catch (thrown) {
      this.#failure ??= thrown;
    }
  }

  /** False when there was no memory for it before the time was over. */
  async #fetch(
    page: PageId,
    version: LoadedVersion,
    options: PageLoadOptions,
    nextBytes: number,
  ): Promise<boolean> {
    const { filler, clock, deadlineMs, signal } = options;
    for (;;) {
      const askedAtMs = clock.monotonic();
      const fill =
        filler.running(page) ??
        filler.start({
          file: version.file,
          record: { status: version.seen },
          page,
          askedOffset: 0,
          nextBytes,
        });
      if (fill === 'no-room') throw notKept(version.file);
      if (fill !== 'no-slot') {
        await fill.over;
        if (fill.failure) throw fill.failure;
        this.learned = fill.file ?? this.learned;
        this.learnedAtMs = askedAtMs;
        return true;
      }
      if (clock.monotonic() >= deadlineMs) return false;
      await clock.sleep(slotPauseMs, { signal });
    }
  }

  #done(
    { index }: PageId,
    { seen }: LoadedVersion,
    { wasHeld, pageSizeBytes }: { readonly wasHeld: boolean; readonly pageSizeBytes: number },
  ): void {
    this.#ahead.set(index, { bytes: pageLengthOf(seen.sizeBytes, pageSizeBytes, index), wasHeld });
    for (let next = this.#ahead.get(this.#doneEnd); next; next = this.#ahead.get(this.#doneEnd)) {
      this.#ahead.delete(this.#doneEnd);
      if (next.wasHeld) this.heldBytes += next.bytes;
      else this.loadedBytes += next.bytes;
      this.#doneEnd++;
    }
  }
}

interface PageRun {
  readonly from: number;
  readonly end: number;
}

/**
 * Where the pages end that are to come by one request with this one: before the next that is here or on its way. Nothing comes together with a page where it
 * is to come at a rate, where readers are given way to, or where pages are only looked at.
 */
function runEnd(
  { fileKey, seen }: LoadedVersion,
  from: number,
  { batch, filler, isVerifying, pageSizeBytes, permits, readersFirst, store }: PageLoadOptions,
): number {
  const isFull = permits.heldCount >= permits.max;
  const pagesMax = Math.floor((isFull ? requestMaxBytes : requestBytes) / pageSizeBytes);
  const isAlone = isVerifying || batch.bandwidthBytesPerSecond > 0 || readersFirst.givesWay;
  const end = Math.min(pageCountOf(seen.sizeBytes, pageSizeBytes), isAlone ? 0 : from + pagesMax);
  const isMissing = (index: number): boolean =>
    !store.has({ file: fileKey, index }) && !filler.running({ file: fileKey, index });
  let next = from + 1;
  while (next < end && isMissing(next)) next++;
  return next;
}

/** A permit for so many bytes, a page's at most, which are paid for; undefined when there is none before the time is over. Nobody waits for its pace with a permit in hand. */
export async function permitFor(
  options: Omit<PageLoadOptions, 'isVerifying'>,
  bytes: number,
): Promise<(() => void) | undefined> {
  const { batch, clock, deadlineMs, pace, permits, signal } = options;
  const bytesPerSecond = batch.bandwidthBytesPerSecond;
  if (signal.aborted || clock.monotonic() >= deadlineMs) return undefined;
  if (!(await pace.charge(bytes, { bytesPerSecond, deadlineMs, signal }))) return undefined;
  const release = await permits.acquire(batch.jobId, { signal });
  if (clock.monotonic() < deadlineMs) return release;
  release();
  return undefined;
}

function notKept(file: FileName): AlluxioError {
  return new AlluxioError(
    'PageStoreUnavailable',
    `${file.ufsPath}: the cache did not keep a page of it; is a cache directory full, read-only or broken?`,
  );
}
