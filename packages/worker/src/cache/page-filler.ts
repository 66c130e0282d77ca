/**
 * Fetches pages from the under storage, each once however many readers wait for it, and keeps them.
 *
 * A fill receives into a slot (by a `FillRunner`, here or in another thread), where readers follow it while it runs; when all of it is there and its length is right, it is written to the
 * store in one go, and only then does the slot say `done`. One request a page, or two when the byte that was asked for lies far into it: then
 * [asked, end) comes first and [0, asked) after, so that the asker does not wait for bytes that it did not ask for.
 *
 * A file that nobody knows is learned from the answer that carries its bytes: `begin` asks for them before there is a version to name, `follow` makes a fill of it.
 */

import { type AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { PageId } from '@alluxio-ts/common/page';
import { blockSizeBytes, pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import type { SlotLease, SlotPool } from '@alluxio-ts/common/slot-pool';
import { HeldCount } from '@alluxio-ts/ufs-adapters/reception';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { PageStore, PageWriter } from '../page-store/page-store.ts';
import { type BegunReception, type FillRunner, type ReceivedPage, receivePage } from './fill-runner.ts';
import type { FileName } from './mount-table.ts';

/** Nobody sees it. */
const notWanted = new Error('the page is not wanted');

/** An asked byte further into the page than this is fetched before what lies ahead of it. */
const tailFirstMinBytes = 256 * 1024;

export interface PageFillerOptions {
  readonly store: PageStore;
  readonly slots: SlotPool;
  readonly runner: FillRunner;
  readonly pageSizeBytes: number;
  readonly logger: Logger;
  /** Told of every page that is in the store from now on. */
  readonly onKept: (request: FillRequest) => void;
}

/** A fill under way. */
export interface Fill {
  readonly lease: SlotLease;
  /** Resolves when the fill is over and its page in the store (or not: see `failure`, `isKept`). Never rejects. */
  readonly over: Promise<void>;
  /** Why it failed, once it has. */
  failure: AlluxioError | undefined;
  /** What the storage said of the file on the way, once it is over; undefined where it did not say all. */
  file: FileStatus | undefined;
}

export interface FillRequest {
  readonly file: FileName;
  readonly record: { readonly status: Pick<FileStatus, 'version' | 'sizeBytes'> };
  readonly page: PageId;
  /** The byte of the page that somebody waits for. */
  readonly askedOffset: number;
  /** False for a page that is another worker's to keep: whoever reads it here meanwhile shares the one fetch. Default true. */
  readonly isKept?: boolean;
  /** How many bytes right behind the page the caller will ask for as soon as it is there: the storage may send them with the same answer. Default 0. */
  readonly nextBytes?: number;
}

/** A read that has begun to answer, of a page of whichever version the storage has. It is to be followed or discarded. */
export interface BegunRead extends BegunReception {
  readonly lease: SlotLease;
  readonly split: number;
  /** Ends the read at once. */
  readonly abort: () => void;
}

/** Why no fill was started. */
export type FillRefusal = 'no-slot' | 'no-room';

export class PageFiller {
  readonly #options: PageFillerOptions;
  readonly #running = new Map<string, Fill>();
  /** How many of them are of a file, by its UFS path. */
  readonly #runningOfFile = new Map<string, number>();

  constructor(options: PageFillerOptions) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  running(page: PageId): Fill | undefined {
    return this.#running.get(nameOf(page));
  }

  /** Whether any page of any version of the file is being fetched. */
  isFilling(file: FileName): boolean {
    return this.#runningOfFile.has(file.ufsPath);
  }

  /** Starts to fetch a page that is neither in the store nor being fetched. */
  start(request: FillRequest): Fill | FillRefusal {
    return this.#start(request, undefined);
  }

  /**
   * Asks for the page with this byte of a file of which nothing is known. Undefined when no slot is free; fails as the storage does. The body is received here, in
   * the main thread: it waits for nobody.
   */
  async begin(file: FileName, offset: number): Promise<BegunRead | undefined> {
    const { pageSizeBytes, slots } = this.#options;
    const pageStart = Math.floor(offset / pageSizeBytes) * pageSizeBytes;
    const split = splitOf(offset - pageStart);
    const lease = slots.take(split);
    if (!lease) return undefined;
    const control = new AbortController();
    try {
      const told = new HeldCount();
      const reception = await file.mount.ufs.receive(file.key, {
        offset: pageStart + split,
        lengthBytes: pageSizeBytes - split,
        into: slots.bytesOf(lease.slot).subarray(split, pageSizeBytes),
        onReceived: told.tell,
        signal: control.signal,
      });
      return { lease, split, reception, told, abort: () => control.abort(notWanted) };
    } catch (thrown) {
      slots.release(lease.slot);
      throw thrown;
    }
  }

  /** Makes a fill of what has begun, now that it has a name; false, and nothing comes of it, when the page is here, on its way, or not to be kept. */
  follow(request: FillRequest, begun: BegunRead): boolean {
    const { pageSizeBytes, store } = this.#options;
    const { page, record } = request;
    const isWanted =
      page.index < pageCountOf(record.status.sizeBytes, pageSizeBytes) &&
      begun.split < pageLengthOf(record.status.sizeBytes, pageSizeBytes, page.index) &&
      !this.running(page) &&
      !store.has(page);
    if (isWanted && typeof this.#start(request, begun) === 'object') return true;
    this.discard(begun);
    return false;
  }

  /** Ends what has begun, and nobody has taken. The slot is free when nothing is written to it any more. */
  discard({ abort, lease, reception }: BegunRead): void {
    const release = (): void => this.#options.slots.release(lease.slot);
    abort();
    reception.over.then(release, release);
  }

  #start(request: FillRequest, begun: BegunRead | undefined): Fill | FillRefusal {
    const { store, slots, pageSizeBytes } = this.#options;
    const { file, record, page, isKept = true } = request;
    const { version, sizeBytes } = record.status;
    if (version === undefined) throw new Error('a file without a version is not filled');
    const split = begun?.split ?? splitOf(request.askedOffset);
    const lease = begun?.lease ?? slots.take(split);
    if (!lease) return 'no-slot';
    const lengthBytes = pageLengthOf(sizeBytes, pageSizeBytes, page.index);
    const writer = isKept
      ? store.openWriter(page, { ufsPath: file.ufsPath, version, pageSizeBytes }, lengthBytes)
      : undefined;
    if (isKept && !writer) {
      if (!begun) slots.release(lease.slot);
      return 'no-room';
    }
    const name = nameOf(page);
    const fill: Fill = {
      lease,
      failure: undefined,
      file: undefined,
      over: this.#run(request, { lease, split, lengthBytes, version, writer, begun }).then(
        (status) => {
          fill.file = status;
          this.#ended(name, file);
          slots.finish(lease.slot);
          slots.release(lease.slot);
        },
        (thrown: unknown) => {
          fill.failure = toAlluxioError(thrown);
          this.#ended(name, file);
          slots.fail(lease.slot);
          slots.release(lease.slot);
        },
      ),
    };
    this.#running.set(name, fill);
    this.#runningOfFile.set(file.ufsPath, (this.#runningOfFile.get(file.ufsPath) ?? 0) + 1);
    return fill;
  }

  #ended(name: string, { ufsPath }: FileName): void {
    this.#running.delete(name);
    const left = (this.#runningOfFile.get(ufsPath) ?? 1) - 1;
    if (left === 0) this.#runningOfFile.delete(ufsPath);
    else this.#runningOfFile.set(ufsPath, left);
  }

  /** Resolves when no fill runs any more. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all([...this.#running.values()].map((fill) => fill.over));
  }

  async #run(request: FillRequest, fill: FillPlan): Promise<FileStatus | undefined> {
    const { pageSizeBytes, runner, slots } = this.#options;
    const { file, page, record } = request;
    const { lengthBytes, split, version } = fill;
    const { slot } = fill.lease;
    let received: ReceivedPage;
    try {
      const job = {
        slot,
        split,
        lengthBytes,
        key: file.key,
        ufsPath: file.ufsPath,
        version,
        offset: page.index * pageSizeBytes,
        fileSizeBytes: record.status.sizeBytes,
        nextBytes: request.nextBytes ?? 0,
      };
      received = await (fill.begun
        ? receivePage(file.mount.ufs, job, slots, fill.begun)
        : runner.run(file.mount, job));
    } catch (thrown) {
      fill.writer?.abort();
      throw thrown;
    }
    const bytes = slots.bytesOf(slot).subarray(0, lengthBytes);
    if (fill.writer) await this.#keep(request, fill.writer, bytes, received.checksums);
    return received.file;
  }

  /** A page that cannot be written is still a page that was read: its readers go on, and the next one asks the under storage. */
  async #keep(
    request: FillRequest,
    writer: PageWriter,
    bytes: Uint8Array,
    checksums: Uint32Array,
  ): Promise<void> {
    try {
      await writer.write(bytes, checksums);
      writer.finish();
    } catch (thrown) {
      writer.abort();
      this.#options.logger.warn(
        { ufsPath: request.file.ufsPath, pageIndex: request.page.index, error: thrown },
        'page-not-kept',
      );
      return;
    }
    this.#options.onKept(request);
  }
}

interface FillPlan {
  readonly lease: SlotLease;
  readonly split: number;
  readonly lengthBytes: number;
  readonly version: string;
  /** Undefined for a page that is not kept. */
  readonly writer: PageWriter | undefined;
  readonly begun: BegunReception | undefined;
}

/** Where the first of the two requests for a page begins; 0 where one does for all of it. */
function splitOf(askedOffset: number): number {
  return askedOffset > tailFirstMinBytes ? Math.floor(askedOffset / blockSizeBytes) * blockSizeBytes : 0;
}

function nameOf(page: PageId): string {
  return `${page.file.a}.${page.file.b}.${page.file.c}.${page.index}`;
}
