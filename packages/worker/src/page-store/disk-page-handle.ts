/** A page of the disk store in a reader's hands: reads whole blocks, checks each, gives what was asked. */

import { Buffer } from 'node:buffer';
import type { NativePlace, PageHandle, SegmentRead } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { type PageId, blockSizeBytes } from '@alluxio-ts/common/page';
import type { DiskQueue } from './disk-queue.ts';
import { readAt } from './file-io.ts';
import { giveBuffer, takeBuffer } from '@alluxio-ts/common/read-buffers';
import { type FileRange, blockCountOf, blocksMatch, checkFile } from './page-checksums.ts';
import type { PagePlace } from './page-table.ts';
import type { Segment } from './segment.ts';

/** Where less than this part of the blocks is wanted it is copied out of them, so that the buffer is free at once. */
const copiedShare = 4;

/** Reads of whole blocks of one page: what handles and the copying at reclaim have in common. */
export interface BlockReader {
  readonly reads: DiskQueue;
  /** Told before each read, with nothing running in between. */
  readonly onRead: (read: SegmentRead) => void;
  /** Whether the store still has the page at this place. */
  isAt(page: PageId, place: PagePlace): boolean;
  /** Takes the page out of the store, if it is still at this place. */
  onBadPage(page: PageId, place: PagePlace, error: AlluxioError): void;
}

export class DiskPageHandle implements PageHandle {
  readonly #reader: BlockReader;
  readonly #page: PageId;
  readonly #segment: Segment;
  readonly #place: PagePlace;
  #isReleased = false;

  /** Pins the segment. */
  constructor(reader: BlockReader, page: PageId, segment: Segment, place: PagePlace) {
    this.#reader = reader;
    this.#page = page;
    this.#segment = segment;
    this.#place = place;
    segment.pin();
  }

  get lengthBytes(): number {
    return this.#place.lengthBytes;
  }

  get native(): NativePlace | undefined {
    if (this.#isReleased || !this.#reader.isAt(this.#page, this.#place)) return undefined;
    const { dataStartBytes, lengthBytes, segmentId } = this.#place;
    return {
      segmentId,
      path: this.#segment.path,
      offset: dataStartBytes,
      lengthBytes,
      checksums: this.#checksums,
    };
  }

  async read(from: number, to: number): Promise<Uint8Array> {
    if (this.#isReleased) throw new AlluxioError('Internal', 'a page handle was read after its release');
    if (!(from >= 0 && from <= to && to <= this.lengthBytes)) {
      throw new AlluxioError('Internal', `bytes ${from} to ${to} of a page of ${this.lengthBytes}`);
    }
    if (from === to) return new Uint8Array(0);
    return readChecked(this.#reader, this.#page, this.#segment, this.#place, from, to);
  }

  /** Reads all of these pages of one store for their checksums alone, those of a segment together. Resolves with the good ones; the others have been taken out of the store. */
  static async verify(
    reader: BlockReader,
    handles: readonly DiskPageHandle[],
  ): Promise<ReadonlySet<DiskPageHandle>> {
    const good = new Set<DiskPageHandle>();
    const bySegment = Map.groupBy(handles, (handle) => handle.#segment);
    await Promise.all(
      [...bySegment].map(async ([segment, together]) => {
        const checks = await checkTogether(
          reader,
          segment,
          together.map((handle) => handle.#checkedRange),
        );
        for (const [index, handle] of together.entries()) if (handle.#isGood(checks[index])) good.add(handle);
      }),
    );
    return good;
  }

  reuse(bytes: Uint8Array): void {
    giveBuffer(bytes);
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#segment.unpin();
  }

  /** One a block. */
  get #checksums(): Uint32Array {
    const { checksumIndex, lengthBytes } = this.#place;
    return this.#segment.checksums.subarray(checksumIndex, checksumIndex + blockCountOf(lengthBytes));
  }

  get #checkedRange(): FileRange {
    const { dataStartBytes, lengthBytes } = this.#place;
    return { position: dataStartBytes, lengthBytes, checksums: this.#checksums };
  }

  /** By what a check said, or failed with. A page that is not good has been taken out of the store. */
  #isGood(check: unknown): boolean {
    if (check === true) return true;
    const bytes = { from: 0, to: this.lengthBytes };
    const error =
      check === false ? pageCorrupt(this.#segment, this.#place, bytes) : asPageError(check, this.#segment);
    this.#reader.onBadPage(this.#page, this.#place, error);
    return false;
  }
}

/** Checked bytes [from, to) of a page. On failure the page has been taken out of the store. */
export async function readChecked(
  reader: BlockReader,
  page: PageId,
  segment: Segment,
  place: PagePlace,
  from: number,
  to: number,
): Promise<Uint8Array> {
  try {
    const firstBlock = Math.floor(from / blockSizeBytes);
    const begin = firstBlock * blockSizeBytes;
    const end = Math.min(place.lengthBytes, Math.ceil(to / blockSizeBytes) * blockSizeBytes);
    const bytes = await reader.reads.run(() =>
      readRange(reader, segment, place.dataStartBytes + begin, end - begin),
    );
    const isWhole = bytes.length === end - begin;
    if (!isWhole || !blocksMatch(bytes, segment.checksums, place.checksumIndex + firstBlock)) {
      throw pageCorrupt(segment, place, { from, to });
    }
    const asked = bytes.subarray(from - begin, to - begin);
    if (asked.length * copiedShare > bytes.length) return asked;
    const copy = Buffer.from(asked);
    giveBuffer(bytes);
    return copy;
  } catch (thrown) {
    const error = asPageError(thrown, segment);
    reader.onBadPage(page, place, error);
    throw error;
  }
}

/** Never rejects: what the reading of all of them failed with, each of them failed with. */
async function checkTogether(
  { onRead, reads }: BlockReader,
  segment: Segment,
  ranges: readonly FileRange[],
): Promise<readonly unknown[]> {
  try {
    return await reads.run(() =>
      segment.use((fd) => {
        for (const { lengthBytes, position } of ranges) {
          onRead({ path: segment.path, offset: position, lengthBytes });
        }
        return checkFile(fd, ranges);
      }),
    );
  } catch (thrown) {
    return ranges.map(() => thrown);
  }
}

/** What of these bytes the file has. The buffer is taken when it is the read's turn. */
async function readRange(
  reader: BlockReader,
  segment: Segment,
  position: number,
  length: number,
): Promise<Buffer> {
  const bytes = takeBuffer(length);
  const count = await readSegment(reader, segment, bytes, position);
  return bytes.subarray(0, count);
}

/** Reads until `bytes` is full or the file ends; gives the count. */
export function readSegment(
  { onRead }: Pick<BlockReader, 'onRead'>,
  segment: Segment,
  bytes: Uint8Array,
  position: number,
): Promise<number> {
  return segment.use((fd) => {
    onRead({ path: segment.path, offset: position, lengthBytes: bytes.length });
    return readAt(fd, bytes, position);
  });
}

function pageCorrupt(
  segment: Segment,
  place: PagePlace,
  bytes: { readonly from: number; readonly to: number },
): AlluxioError {
  const what = `a cached page in ${segment.path} does not match its checksums, or is cut short`;
  return new AlluxioError('PageCorrupt', what, {
    context: { segmentId: segment.id, offset: place.dataStartBytes, ...bytes },
  });
}

/** What went wrong with a page, as one of ours. */
export function asPageError(thrown: unknown, segment: Segment): AlluxioError {
  if (thrown instanceof AlluxioError) return thrown;
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new AlluxioError('PageStoreUnavailable', `cannot read segment ${segment.path}: ${reason}`, {
    context: { segmentId: segment.id },
    cause: thrown,
  });
}
