/**
 * The seam to where the bytes of a fill are received: in this thread, or in threads of their own (`thread-fill-runner.ts`), so that reads of what
 * is cached do not wait behind the under storage's bytes.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { SlotWriter } from '@alluxio-ts/common/slot-pool';
import type { FileStatus, Ufs, UfsRead } from '@alluxio-ts/ufs-adapters/ufs';
import { ReceivedChecksums } from '../page-store/page-checksums.ts';
import type { ServedMount } from './mount-table.ts';

/** One page to receive. Plain data: it crosses to other threads. */
export interface FillJob {
  readonly slot: number;
  /** [split, length) is received first, then [0, split). */
  readonly split: number;
  readonly lengthBytes: number;
  readonly key: string;
  /** For messages. */
  readonly ufsPath: string;
  readonly version: string;
  /** Where in the file the page begins. */
  readonly offset: number;
  readonly fileSizeBytes: number;
}

/** What came with the bytes of a page. */
export interface ReceivedPage {
  /** What the storage said of the file on the way; undefined where it did not say all. */
  readonly file: FileStatus | undefined;
  /** One a block. */
  readonly checksums: Uint32Array;
}

export interface FillRunner {
  /**
   * Receives the page into its slot and moves the slot's watermarks as bytes come; resolves when all are there. Never writes to the slot after it has settled. Rejects with what the storage failed with, and with UfsUnavailable when the thread was lost. A fill is not cancelled: others may wait for it.
   */
  run(mount: ServedMount, job: FillJob): Promise<ReceivedPage>;
  /** The mount is not served any more: whatever is kept for it may go. */
  mountGone(mount: ServedMount): void;
  /** No run may be under way or follow. */
  close(): Promise<void>;
}

/** Receives in this thread, from the mount's own storage. */
export class LocalFillRunner implements FillRunner {
  readonly #slots: SlotWriter;

  constructor(slots: SlotWriter) {
    this.#slots = slots;
  }

  run(mount: ServedMount, job: FillJob): Promise<ReceivedPage> {
    return receivePage(mount.ufs, job, this.#slots);
  }

  mountGone(): void {}

  async close(): Promise<void> {}
}

/** Fetches a page of one version into its slot. `begun` is the read of [split, end), where it is under way already. */
export async function receivePage(
  ufs: Ufs,
  job: FillJob,
  slots: SlotWriter,
  begun?: UfsRead,
): Promise<ReceivedPage> {
  const { lengthBytes, slot, split } = job;
  const bytes = slots.bytesOf(slot);
  const checksums = new ReceivedChecksums(bytes.subarray(0, lengthBytes));
  const tail = { from: split, to: lengthBytes, bytes };
  const { body, file } = begun ?? (await readRange(ufs, job, tail));
  checksums.begin(split);
  await receive(body, job, tail, (count) => {
    slots.advanceTail(slot, count);
    checksums.reach(split + count);
  });
  if (split > 0) {
    const head = { from: 0, to: split, bytes };
    const read = await readRange(ufs, job, head);
    checksums.begin(0);
    await receive(read.body, job, head, (count) => {
      slots.advanceHead(slot, count);
      checksums.reach(count);
    });
  }
  return { file: file.isPartial ? undefined : file, checksums: checksums.values };
}

interface SlotRange {
  readonly from: number;
  readonly to: number;
  /** Of the whole slot. */
  readonly bytes: Uint8Array;
}

function readRange(ufs: Ufs, job: FillJob, { bytes, from, to }: SlotRange): Promise<UfsRead> {
  return ufs.read(job.key, {
    version: job.version,
    offset: job.offset + from,
    lengthBytes: to - from,
    into: bytes.subarray(from, to),
    fileSizeBytes: job.fileSizeBytes,
  });
}

async function receive(
  body: AsyncIterable<Uint8Array>,
  { ufsPath }: FillJob,
  { bytes, from, to }: SlotRange,
  onReceived: (count: number) => void,
): Promise<void> {
  const count = await receiveInto(body, bytes.subarray(from, to), { ufsPath, onReceived });
  if (count !== to - from) throw wrongLength(ufsPath, to - from, count);
}

/**
 * Brings the bytes of a body to where they belong in memory that it was asked into; how many they were. Fails with UfsBadResponse when they are more than
 * there is room for.
 */
export async function receiveInto(
  body: AsyncIterable<Uint8Array>,
  into: Uint8Array,
  told: { readonly ufsPath: string; readonly onReceived?: (count: number) => void },
): Promise<number> {
  let count = 0;
  for await (const chunk of body) {
    if (count + chunk.length > into.length)
      throw wrongLength(told.ufsPath, into.length, count + chunk.length);
    if (chunk.buffer !== into.buffer) into.set(chunk, count);
    count += chunk.length;
    told.onReceived?.(count);
  }
  return count;
}

function wrongLength(ufsPath: string, asked: number, given: number): AlluxioError {
  return new AlluxioError(
    'UfsBadResponse',
    `${ufsPath}: asked for ${asked} bytes, the under storage gave ${given > asked ? 'more' : given}; nothing of it is cached`,
  );
}
