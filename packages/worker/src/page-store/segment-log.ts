/**
 * The segments of one directory as one log: records are appended to the active segment, a full one is sealed with an
 * index, one that is given up is unlinked. Nothing written is ever overwritten, so bytes that a socket still holds stay what they are.
 *
 * Keeps the bound: an open segment counts as all that it may grow to, a sealed one as its size, an unlinked one until its last reader
 * has gone; together never more than the directory's size.
 */

import { Buffer } from 'node:buffer';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { blockCountOf } from './page-checksums.ts';
import type { DirHealth } from './dir-health.ts';
import type { DiskQueue } from './disk-queue.ts';
import { closeFile, openSegmentFile } from './file-io.ts';
import { type FileWriter, createFileWriter } from './file-writer.ts';
import { type PageTable, noEntry } from './page-table.ts';
import {
  type RecordHeader,
  type RecordLayout,
  alignUp,
  encodeRecordEnd,
  encodeRecordHeader,
  recordAlignmentBytes,
} from './record-format.ts';
import {
  type SegmentEntry,
  encodeFooter,
  encodeSegmentHeader,
  nonceBytes,
  segmentFileNameOf,
  segmentIdMax,
} from './segment-format.ts';
import { RecordBatches } from './record-batches.ts';
import { Segment } from './segment.ts';
import type { StoreFile } from './store-file.ts';

export interface SegmentLogOptions {
  /** The folder of the segment files. */
  readonly folder: string;
  readonly capacityBytes: number;
  readonly segmentSizeBytes: number;
  readonly pageSizeBytes: number;
  readonly storeFile: StoreFile;
  readonly table: PageTable;
  readonly writes: DiskQueue;
  readonly health: DirHealth;
  readonly random: Random;
  readonly logger: Logger;
  /** Told, before the file goes, of a segment whose pages are no longer to be used. */
  readonly onSegmentRetired: (segmentId: number, path: string) => void;
  /** Told when there may be more, or need for more, room. */
  readonly onSpaceChanged: () => void;
  /** Told when the file system has no room although the bound is kept. */
  readonly onDiskFull: () => void;
}

export class SegmentLog {
  readonly segments = new Map<number, Segment>();
  readonly #options: SegmentLogOptions;
  readonly #writer: FileWriter = createFileWriter();
  readonly #sealing = new Set<Promise<void>>();
  readonly #batches = new RecordBatches((segment, pieces, position) =>
    this.#write(segment, pieces, position),
  );
  #active: Segment | undefined;
  #segmentIdNext: number;
  #usedBytes = 0;

  constructor(options: SegmentLogOptions) {
    this.#options = options;
    this.#segmentIdNext = options.storeFile.segmentIdNext;
  }

  /** Bytes of all segments, unlinked ones that are still held included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  get freeBytes(): number {
    return this.#options.capacityBytes - this.#usedBytes;
  }

  /** Takes in a segment that was found at the start; nothing is appended to it. */
  adopt(identity: Segment['identity'], sizeBytes: number): Segment {
    const segment = this.#newSegment(identity, sizeBytes);
    segment.state = 'sealed';
    this.#segmentIdNext = Math.max(this.#segmentIdNext, segment.id + 1);
    return segment;
  }

  /** Counts a file that is there but is not ours to use. */
  countForeign(sizeBytes: number): void {
    this.#usedBytes += sizeBytes;
  }

  /** Room for a record in the active segment or a new one; undefined when there is none now. Never waits. */
  reserve(layout: RecordLayout): Segment | undefined {
    if (!this.#active?.canTake(layout)) {
      if (this.freeBytes < this.#options.segmentSizeBytes || this.#segmentIdNext > segmentIdMax)
        return undefined;
      if (this.#active) this.seal(this.#active);
      this.#active = this.#makeSegment();
      this.#options.onSpaceChanged();
    }
    if (!this.#active.canTake(layout)) return undefined;
    this.#active.reserve(layout);
    return this.#active;
  }

  /** Room that can be had without a new segment. */
  canTakeNow(layout: RecordLayout): boolean {
    return this.#active?.canTake(layout) === true || this.freeBytes >= this.#options.segmentSizeBytes;
  }

  /**
   * Writes a record at the place that it is given now, which is returned; all of it at once, maybe with others. Fails with PageStoreUnavailable; the segment is then given up for
   * writes.
   */
  async writeRecord(segment: Segment, header: RecordHeader, bytes: Uint8Array): Promise<number> {
    const offset = segment.place(header.layout);
    const record = [
      encodeRecordHeader(header, segment.identity, offset),
      bytes,
      encodeRecordEnd(header.layout, segment.identity, offset),
    ];
    await this.#batches.add(segment, record, offset);
    return offset;
  }

  /** Ends the appending to a segment; its index is written when its last writer has left. */
  seal(segment: Segment): void {
    if (segment.state !== 'open') return;
    segment.state = 'closing';
    if (this.#active === segment) this.#active = undefined;
    const sealing = this.#finishSegment(segment).finally(() => {
      this.#sealing.delete(sealing);
      this.#options.onSpaceChanged();
    });
    this.#sealing.add(sealing);
  }

  /** Seals the segment that is appended to. Resolves when its index, and that of every other one being sealed, is written or given up. */
  async sealActive(): Promise<void> {
    if (this.#active) this.seal(this.#active);
    await Promise.allSettled(this.#sealing);
  }

  /** Unlinks a segment; its pages must be out of the table. Its bytes are free when its last reader has gone. */
  async retire(segment: Segment): Promise<void> {
    this.#options.onSegmentRetired(segment.id, segment.path);
    // A handle that has not read yet must find the file when its name has gone.
    if (segment.isPinned) await segment.fd().catch(() => undefined);
    try {
      await this.#options.writes.run(() => unlink(segment.path));
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') throw this.#unavailable('cannot unlink', segment, thrown);
    }
    this.segments.delete(segment.id);
    segment.retire();
  }

  /** Seals what is open and closes all descriptors that no reader holds. */
  async close(): Promise<void> {
    await this.sealActive();
    for (const segment of this.segments.values()) await segment.close();
    this.#writer.close();
  }

  async #write(segment: Segment, pieces: readonly Uint8Array[], position: number): Promise<void> {
    try {
      await this.#writeInto(segment, pieces, position);
    } catch (thrown) {
      segment.isBroken = true;
      this.seal(segment);
      this.#options.health.writeFailed(thrown);
      const errno = errnoOf(thrown);
      if (errno === 'ENOSPC' || errno === 'EDQUOT') this.#options.onDiskFull();
      throw this.#unavailable('cannot write to', segment, thrown);
    }
  }

  #writeInto(segment: Segment, pieces: readonly Uint8Array[], position: number): Promise<void> {
    const { writes } = this.#options;
    return writes.run(() => segment.use((fd) => this.#writer.write(fd, pieces, position)));
  }

  #makeSegment(): Segment {
    const { pageSizeBytes, random, segmentSizeBytes } = this.#options;
    const nonce = Buffer.from(random.bytes(nonceBytes));
    const segment = this.#newSegment({ id: this.#segmentIdNext++, nonce, pageSizeBytes }, segmentSizeBytes);
    segment.made(this.#makeFile(segment));
    return segment;
  }

  #newSegment(identity: Segment['identity'], sizeMaxBytes: number): Segment {
    const segment = new Segment({
      identity,
      path: join(this.#options.folder, segmentFileNameOf(identity.id)),
      sizeMaxBytes,
      onFreed: (freed) => {
        this.#usedBytes -= freed.usedBytes;
        this.#options.onSpaceChanged();
      },
    });
    this.segments.set(segment.id, segment);
    this.#usedBytes += segment.usedBytes;
    return segment;
  }

  /** Makes the file; gives its descriptor. A file that comes after the deadline is taken away again. */
  async #makeFile(segment: Segment): Promise<number> {
    const { storeFile, writes } = this.#options;
    let isGivenUp = false;
    try {
      return await writes.run(async () => {
        await storeFile.spendSegmentId(segment.id);
        const fd = await openSegmentFile(segment.path, 'wx+');
        try {
          await this.#writer.write(fd, [encodeSegmentHeader(segment.identity, storeFile.storeId)], 0);
          if (isGivenUp) throw new Error('the file came too late');
          return fd;
        } catch (thrown) {
          await closeFile(fd).catch(() => undefined);
          await unlink(segment.path).catch(() => undefined);
          throw thrown;
        }
      });
    } catch (thrown) {
      isGivenUp = true;
      throw thrown;
    }
  }

  async #finishSegment(segment: Segment): Promise<void> {
    await segment.writersLeft();
    segment.shrinkChecksums();
    let endBytes = segment.endBytes;
    if (!segment.isBroken) {
      try {
        endBytes = await this.#writeFooter(segment);
      } catch (thrown) {
        segment.isBroken = true;
        this.#options.health.writeFailed(thrown);
        const fields = { segment: segment.id, error: thrown };
        this.#options.logger.warn(fields, 'segment-left-without-index');
      }
    }
    this.#usedBytes -= segment.usedBytes - endBytes;
    segment.usedBytes = endBytes;
    segment.state = 'sealed';
  }

  /** Gives the size of the file. */
  async #writeFooter(segment: Segment): Promise<number> {
    const offset = alignUp(segment.endBytes, recordAlignmentBytes);
    const footer = encodeFooter(this.#entriesOf(segment), segment.identity, offset);
    await this.#writeInto(segment, [footer], offset);
    return offset + footer.length;
  }

  #entriesOf(segment: Segment): readonly SegmentEntry[] {
    const { table } = this.#options;
    const entries: SegmentEntry[] = [];
    for (let entry = segment.pages.first; entry !== noEntry; entry = table.nextOf(entry)) {
      const { checksumIndex, dataStartBytes, lengthBytes, recordOffsetBytes } = table.placeOf(entry);
      const checksums = segment.checksums.subarray(checksumIndex, checksumIndex + blockCountOf(lengthBytes));
      entries.push({ page: table.pageOf(entry), recordOffsetBytes, dataStartBytes, lengthBytes, checksums });
    }
    return entries.sort((one, other) => one.recordOffsetBytes - other.recordOffsetBytes);
  }

  #unavailable(what: string, segment: Segment, cause: unknown): AlluxioError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new AlluxioError('PageStoreUnavailable', `${what} segment ${segment.path}: ${reason}`, {
      context: { segmentId: segment.id },
      cause,
    });
  }
}
