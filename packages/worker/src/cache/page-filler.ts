/**
 * Fetches pages from the under storage, each once however many readers wait for it, and keeps them.
 *
 * A fill receives into a slot (by a `FillRunner`, here or in another thread), where readers follow it while it runs; when all of it is there and its length is right, it is written to the
 * store in one go, and only then does the slot say `done`. One request a page, or two when the byte that was asked for lies far into it: then
 * [asked, end) comes first and [0, asked) after, so that the asker does not wait for bytes that it did not ask for.
 */

import { type AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { PageId } from '@alluxio-ts/common/page';
import { blockSizeBytes, pageLengthOf } from '@alluxio-ts/common/page';
import type { SlotLease, SlotPool } from '@alluxio-ts/common/slot-pool';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { PageStore, PageWriter } from '../page-store/page-store.ts';
import type { FillRunner } from './fill-runner.ts';
import type { FileName } from './mount-table.ts';

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
  /** Resolves when the fill is over and its page in the store (or not: see `failure`). Never rejects. */
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
}

/** Why no fill was started. */
export type FillRefusal = 'no-slot' | 'no-room';

export class PageFiller {
  readonly #options: PageFillerOptions;
  readonly #running = new Map<string, Fill>();

  constructor(options: PageFillerOptions) {
    this.#options = options;
  }

  get runningCount(): number {
    return this.#running.size;
  }

  running(page: PageId): Fill | undefined {
    return this.#running.get(nameOf(page));
  }

  /** Starts to fetch a page that is neither in the store nor being fetched. */
  start(request: FillRequest): Fill | FillRefusal {
    const { store, slots, pageSizeBytes } = this.#options;
    const { file, record, page } = request;
    const { version, sizeBytes } = record.status;
    if (version === undefined) throw new Error('a file without a version is not filled');
    const lengthBytes = pageLengthOf(sizeBytes, pageSizeBytes, page.index);
    const split =
      request.askedOffset > tailFirstMinBytes
        ? Math.floor(request.askedOffset / blockSizeBytes) * blockSizeBytes
        : 0;
    const lease = slots.take(split);
    if (!lease) return 'no-slot';
    const writer = store.openWriter(page, { ufsPath: file.ufsPath, version, pageSizeBytes }, lengthBytes);
    if (!writer) {
      slots.release(lease.slot);
      return 'no-room';
    }
    const name = nameOf(page);
    const fill: Fill = {
      lease,
      failure: undefined,
      file: undefined,
      over: this.#run(request, { lease, split, lengthBytes, version, writer }).then(
        (status) => {
          fill.file = status;
          this.#running.delete(name);
          slots.finish(lease.slot);
          slots.release(lease.slot);
        },
        (thrown: unknown) => {
          fill.failure = toAlluxioError(thrown);
          this.#running.delete(name);
          slots.fail(lease.slot);
          slots.release(lease.slot);
        },
      ),
    };
    this.#running.set(name, fill);
    return fill;
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
    let status: FileStatus | undefined;
    try {
      status = await runner.run(file.mount, {
        slot,
        split,
        lengthBytes,
        key: file.key,
        ufsPath: file.ufsPath,
        version,
        offset: page.index * pageSizeBytes,
        fileSizeBytes: record.status.sizeBytes,
      });
    } catch (thrown) {
      fill.writer.abort();
      throw thrown;
    }
    await this.#keep(request, fill, slots.bytesOf(slot).subarray(0, lengthBytes));
    return status;
  }

  /** A page that cannot be written is still a page that was read: its readers go on, and the next one asks the under storage. */
  async #keep(request: FillRequest, fill: FillPlan, bytes: Uint8Array): Promise<void> {
    try {
      await fill.writer.write(bytes);
      fill.writer.finish();
    } catch (thrown) {
      fill.writer.abort();
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
  readonly writer: PageWriter;
}

function nameOf(page: PageId): string {
  return `${page.file.a}.${page.file.b}.${page.file.c}.${page.index}`;
}
