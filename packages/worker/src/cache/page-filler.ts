/**
 * Fetches pages from the under storage, each once however many readers wait for it, and keeps them.
 *
 * A fill receives into a slot, where readers follow it while it runs; when all of it is there and its length is right, it is written to the
 * store in one go, and only then does the slot say `done`. One request a page, or two when the byte that was asked for lies far into it: then
 * [asked, end) comes first and [0, asked) after, so that the asker does not wait for bytes that it did not ask for.
 */

import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { PageId } from '@alluxio-ts/common/page';
import { blockSizeBytes, pageLengthOf } from '@alluxio-ts/common/page';
import type { SlotLease, SlotPool } from '@alluxio-ts/common/slot-pool';
import type { PageStore, PageWriter } from '../page-store/page-store.ts';
import type { FileRecord } from './file-table.ts';
import type { FileName } from './mount-table.ts';

/** An asked byte further into the page than this is fetched before what lies ahead of it. */
const tailFirstMinBytes = 256 * 1024;

export interface PageFillerOptions {
  readonly store: PageStore;
  readonly slots: SlotPool;
  readonly pageSizeBytes: number;
  readonly logger: Logger;
}

/** A fill under way. */
export interface Fill {
  readonly lease: SlotLease;
  /** Resolves when the fill is over and its page in the store (or not: see `failure`). Never rejects. */
  readonly over: Promise<void>;
  /** Why it failed, once it has. */
  failure: AlluxioError | undefined;
}

export interface FillRequest {
  readonly file: FileName;
  readonly record: FileRecord;
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
      over: this.#run(request, { lease, split, lengthBytes, pageSizeBytes, version, writer }).then(
        () => {
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

  async #run(request: FillRequest, fill: FillPlan): Promise<void> {
    const { slots } = this.#options;
    const { slot } = fill.lease;
    const bytes = slots.bytesOf(slot);
    try {
      await receive(request, fill, { from: fill.split, to: fill.lengthBytes }, bytes, (count) =>
        slots.advanceTail(slot, count),
      );
      if (fill.split > 0) {
        await receive(request, fill, { from: 0, to: fill.split }, bytes, (count) =>
          slots.advanceHead(slot, count),
        );
      }
    } catch (thrown) {
      fill.writer.abort();
      throw thrown;
    }
    await this.#keep(request, fill, bytes.subarray(0, fill.lengthBytes));
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
    }
  }
}

interface FillPlan {
  readonly lease: SlotLease;
  readonly split: number;
  readonly lengthBytes: number;
  readonly pageSizeBytes: number;
  readonly version: string;
  readonly writer: PageWriter;
}

async function receive(
  request: FillRequest,
  fill: FillPlan,
  range: { readonly from: number; readonly to: number },
  bytes: Uint8Array,
  advance: (count: number) => void,
): Promise<void> {
  const { file, page } = request;
  const read = await file.mount.ufs.read(file.key, {
    version: fill.version,
    offset: page.index * fill.pageSizeBytes + range.from,
    lengthBytes: range.to - range.from,
  });
  let at = range.from;
  for await (const chunk of read.body) {
    if (at + chunk.length > range.to)
      throw wrongLength(file, range.to - range.from, at + chunk.length - range.from);
    bytes.set(chunk, at);
    at += chunk.length;
    advance(at - range.from);
  }
  if (at !== range.to) throw wrongLength(file, range.to - range.from, at - range.from);
}

function wrongLength(file: FileName, asked: number, given: number): AlluxioError {
  return new AlluxioError(
    'UfsBadResponse',
    `${file.ufsPath}: asked for ${asked} bytes, the under storage gave ${given > asked ? 'more' : given}; nothing of it is cached`,
  );
}

function nameOf(page: PageId): string {
  return `${page.file.a}.${page.file.b}.${page.file.c}.${page.index}`;
}
