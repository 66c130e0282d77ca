/**
 * Pages and the segments that they lie in, kept in step: a page in the table belongs to the list of its segment and to
 * nothing else. What the store, its reclaim and its start have in common.
 */

import type { SegmentRead } from '@alluxio-ts/common/body';
import type { AlluxioError } from '@alluxio-ts/common/errors';
import type { PageId, PageOrigin } from '@alluxio-ts/common/page';
import type { DirHealth } from './dir-health.ts';
import { type BlockReader, DiskPageHandle } from './disk-page-handle.ts';
import { DiskPageWriter } from './disk-page-writer.ts';
import { DiskDeadline, type DiskQueue } from './disk-queue.ts';
import type { EvictionPolicy } from './eviction-policy.ts';
import type { RemoveReason } from './page-store.ts';
import { type PagePlace, type PageTable, noEntry } from './page-table.ts';
import { type RecordLayout, recordLayoutOf } from './record-format.ts';
import type { SegmentEntry } from './segment-format.ts';
import type { SegmentLog } from './segment-log.ts';
import type { Segment } from './segment.ts';

export interface PageShelfOptions {
  readonly table: PageTable;
  readonly log: SegmentLog;
  readonly reads: DiskQueue;
  readonly health: DirHealth;
  readonly policy: EvictionPolicy;
  /** Told of a page that was taken out, unless its whole segment is given up. */
  readonly onRemoved: (page: PageId) => void;
  readonly onRead: (read: SegmentRead) => void;
}

export class PageShelf implements BlockReader {
  readonly reads: DiskQueue;
  readonly onRead: (read: SegmentRead) => void;
  corruptCount = 0;
  evictedCount = 0;
  evictedBytes = 0;
  noRoomCount = 0;
  readonly #table: PageTable;
  readonly #log: SegmentLog;
  readonly #health: DirHealth;
  readonly #policy: EvictionPolicy;
  readonly #onRemoved: (page: PageId) => void;
  readonly #writers = new Set<DiskPageWriter>();

  constructor(options: PageShelfOptions) {
    this.reads = options.reads;
    this.onRead = options.onRead;
    this.#table = options.table;
    this.#log = options.log;
    this.#health = options.health;
    this.#policy = options.policy;
    this.#onRemoved = options.onRemoved;
  }

  /** A handle that pins the segment; counts as a use. */
  get(page: PageId): DiskPageHandle | undefined {
    const entry = this.#table.find(page);
    if (entry === noEntry) return undefined;
    const place = this.#table.placeOf(entry);
    const segment = this.#segmentAt(place);
    if (this.#table.isTickSpent) this.#table.halveTicks(this.#pageLists());
    if (this.#table.touch(entry, segment.pages)) this.#policy.used(page, segment.id);
    return new DiskPageHandle(this, page, segment, place);
  }

  has(page: PageId): boolean {
    return this.#table.find(page) !== noEntry;
  }

  /** Undefined when the log has no room now, or when the page cannot be recorded at all. */
  openWriter(
    page: PageId,
    origin: PageOrigin,
    lengthBytes: number,
    publish: (page: PageId, segment: Segment, place: PagePlace) => void = this.#publish,
  ): DiskPageWriter | undefined {
    const layout = recordLayoutOf(origin, lengthBytes);
    const segment = layout && this.#log.reserve(layout);
    if (layout && !segment) this.noRoomCount++;
    if (!segment) return undefined;
    const writer = new DiskPageWriter({
      log: this.#log,
      segment,
      layout,
      page,
      origin,
      publish,
      onEnd: (ended) => this.#writers.delete(ended),
    });
    this.#writers.add(writer);
    return writer;
  }

  /** Ends all writers that are under way; their pages are lost. */
  abortWriters(): void {
    for (const writer of this.#writers) writer.abort();
  }

  /** Whether a page of this layout could be written now. */
  canTakeNow(layout: RecordLayout): boolean {
    return this.#log.canTakeNow(layout);
  }

  /** Takes in a page that a start found. Segments come in the order of their ids, so a later record of a page is the newer one. */
  adopt(entry: SegmentEntry, segment: Segment, tick: number): void {
    const place = {
      segmentId: segment.id,
      recordOffsetBytes: entry.recordOffsetBytes,
      dataStartBytes: entry.dataStartBytes,
      lengthBytes: entry.lengthBytes,
      checksumIndex: segment.addChecksums(entry.checksums),
    };
    this.#forget(entry.page);
    this.#table.insert(entry.page, place, segment.pages, tick);
  }

  /** Makes a page readable at a new place without counting a use; false when it is no longer at the old one. */
  move(page: PageId, from: PagePlace, segment: Segment, to: PagePlace): boolean {
    const entry = this.#entryAt(page, from);
    if (entry === noEntry) return false;
    const tick = this.#table.tickOf(entry);
    this.#table.remove(entry, this.#segmentAt(from).pages);
    this.#table.insert(page, to, segment.pages, tick);
    return true;
  }

  remove(page: PageId, reason: RemoveReason): void {
    const lengthBytes = this.#forget(page);
    if (lengthBytes === undefined) return;
    this.#onRemoved(page);
    if (reason === 'corrupt') this.corruptCount++;
    if (reason !== 'evicted') return;
    this.evictedCount++;
    this.evictedBytes += lengthBytes;
  }

  /** Takes out all pages of a segment: tens of thousands, where they are small. */
  removeAllOf(segment: Segment, reason: RemoveReason): void {
    const { pages } = segment;
    if (reason === 'evicted') {
      this.evictedCount += pages.count;
      this.evictedBytes += pages.bytes;
    }
    while (pages.first !== noEntry) this.#table.remove(pages.first, pages);
  }

  removeAt(page: PageId, place: PagePlace, reason: RemoveReason): void {
    if (this.isAt(page, place)) this.remove(page, reason);
  }

  isAt(page: PageId, place: PagePlace): boolean {
    return this.#entryAt(page, place) !== noEntry;
  }

  onBadPage(page: PageId, place: PagePlace, error: AlluxioError): void {
    if (error.code === 'PageCorrupt') {
      this.removeAt(page, place, 'corrupt');
      return;
    }
    // It had no turn: nothing is known of the page.
    if (error.cause === undefined) return;
    this.removeAt(page, place, 'dir-failed');
    if (!(error.cause instanceof DiskDeadline)) this.#health.readFailed(error);
  }

  readonly #publish = (page: PageId, segment: Segment, place: PagePlace): void => {
    this.#forget(page);
    this.#table.insert(page, place, segment.pages);
    this.#policy.used(page, undefined);
  };

  /** Gives the length of the page that went. */
  #forget(page: PageId): number | undefined {
    const entry = this.#table.find(page);
    if (entry === noEntry) return undefined;
    const lengthBytes = this.#table.lengthOf(entry);
    this.#table.remove(entry, this.#segmentAt(this.#table.placeOf(entry)).pages);
    return lengthBytes;
  }

  #entryAt(page: PageId, place: PagePlace): number {
    const entry = this.#table.find(page);
    if (entry === noEntry) return noEntry;
    const { recordOffsetBytes, segmentId } = this.#table.placeOf(entry);
    const isThere = segmentId === place.segmentId && recordOffsetBytes === place.recordOffsetBytes;
    return isThere ? entry : noEntry;
  }

  #segmentAt(place: PagePlace): Segment {
    const segment = this.#log.segments.get(place.segmentId);
    // A segment leaves the log only after its pages have left the table.
    if (!segment) throw new Error(`page table names segment ${place.segmentId}, which the log does not have`);
    return segment;
  }

  *#pageLists(): Iterable<Segment['pages']> {
    for (const segment of this.#log.segments.values()) yield segment.pages;
  }
}
