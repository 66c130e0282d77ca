/**
 * The seam to where the bytes of a fill are received: in this thread, or in threads of their own (`thread-fill-runner.ts`), so that reads of what
 * is cached do not wait behind the under storage's bytes.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { SlotWriter } from '@alluxio-ts/common/slot-pool';
import type { HeldCount } from '@alluxio-ts/ufs-adapters/reception';
import type { FileStatus, Ufs, UfsReception } from '@alluxio-ts/ufs-adapters/ufs';
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
  /** How many bytes right behind the page will be asked for when it is there. */
  readonly nextBytes: number;
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

/** What has begun to come into a slot, and is followed by nobody yet. */
export interface BegunReception {
  readonly reception: UfsReception;
  readonly told: HeldCount;
}

/** Fetches a page of one version into its slot. `begun` is the reception of [split, end), where it is under way already. */
export async function receivePage(
  ufs: Ufs,
  job: FillJob,
  slots: SlotWriter,
  begun?: BegunReception,
): Promise<ReceivedPage> {
  const { lengthBytes, slot, split } = job;
  const bytes = slots.bytesOf(slot).subarray(0, lengthBytes);
  const checksums = new ReceivedChecksums(bytes);
  const onTail = (count: number): void => {
    slots.advanceTail(slot, count);
    checksums.reach(split + count);
  };
  const onHead = (count: number): void => {
    slots.advanceHead(slot, count);
    checksums.reach(count);
  };
  checksums.begin(split);
  const file = begun
    ? await follow(begun, job, onTail)
    : await receiveRange(ufs, job, { from: split, into: bytes.subarray(split), onReceived: onTail });
  if (split > 0) {
    checksums.begin(0);
    await receiveRange(ufs, job, { from: 0, into: bytes.subarray(0, split), onReceived: onHead });
  }
  return { file: file.isPartial ? undefined : file, checksums: checksums.values };
}

interface PageRange {
  /** Within the page. */
  readonly from: number;
  readonly into: Uint8Array;
  readonly onReceived: (count: number) => void;
}

async function receiveRange(
  ufs: Ufs,
  job: FillJob,
  { from, into, onReceived }: PageRange,
): Promise<FileStatus> {
  const { file, over } = await ufs.receive(job.key, {
    version: job.version,
    offset: job.offset + from,
    lengthBytes: into.length,
    into,
    onReceived,
    fileSizeBytes: job.fileSizeBytes,
    nextBytes: from + into.length === job.lengthBytes ? job.nextBytes : 0,
  });
  checkLength(job, into.length, await over);
  return file;
}

async function follow(
  { reception, told }: BegunReception,
  job: FillJob,
  onReceived: (count: number) => void,
): Promise<FileStatus> {
  const { lengthBytes, split } = job;
  // It was asked for before the length of the page was known.
  told.follow((count) => onReceived(Math.min(count, lengthBytes - split)));
  checkLength(job, lengthBytes - split, await reception.over);
  return reception.file;
}

/** A page of another length is none. */
function checkLength({ ufsPath }: FillJob, asked: number, given: number): void {
  if (given === asked) return;
  throw new AlluxioError(
    'UfsBadResponse',
    `${ufsPath}: asked for ${asked} bytes, the under storage gave ${given > asked ? 'more' : given}; nothing of it is cached`,
  );
}
