/**
 * Makes room ahead of need: once less is free than the high watermark leaves, and until as much is as the low one does, the policy names a segment; the pages that it wants
 * kept are checked and copied to the newest segment, the others are dropped, and the file is unlinked. One round at a time, in the background, so that
 * opening a writer never waits; when room is short nevertheless the store takes nothing for a moment.
 *
 * Segments that readers pin are left alone while there are others: unlinking them would free nothing.
 */

import { Buffer } from 'node:buffer';
import type { Logger } from '@alluxio-ts/common/logger';
import { type PageId, fileKeyOf } from '@alluxio-ts/common/page';
import type { DirHealth } from './dir-health.ts';
import { readChecked, readSegment } from './disk-page-handle.ts';
import type { EvictionPolicy, SegmentView, StoreView } from './eviction-policy.ts';
import type { PageShelf } from './page-shelf.ts';
import { type PagePlace, type PageTable, noEntry } from './page-table.ts';
import { type RecordHeader, decodeRecordHeader } from './record-format.ts';
import { pageViewsOf, segmentViewOf } from './segment-view.ts';
import type { SegmentLog } from './segment-log.ts';
import type { Segment } from './segment.ts';

export interface ReclaimerOptions {
  readonly log: SegmentLog;
  readonly table: PageTable;
  readonly shelf: PageShelf;
  readonly policy: EvictionPolicy;
  readonly health: DirHealth;
  readonly logger: Logger;
  /** With less than this free, room is made. */
  readonly startBytes: number;
  /** Until so much is free: as much as `startBytes`, or more. */
  readonly targetBytes: number;
}

export class Reclaimer {
  failedCount = 0;
  copiedCount = 0;
  readonly #options: ReclaimerOptions;
  #running: Promise<void> | undefined;
  #isStopped = false;
  /** Bytes still to be given up although the bound does not ask for them: the disk itself is full. */
  #owedBytes = 0;

  constructor(options: ReclaimerOptions) {
    this.#options = options;
  }

  /** Starts making room unless it is under way or not needed. */
  kick(): void {
    if (this.#running || this.#isStopped || !this.#isBelow(this.#options.startBytes)) return;
    this.#running = this.#makeRoom().finally(() => {
      this.#running = undefined;
    });
  }

  /**
   * Gives up segments of this size together, whatever the bound says. By size, not by count: the first to go are those without pages, and what is
   * left of a segment that the full disk broke off may be less than the next page needs.
   */
  force(sizeBytes: number): void {
    this.#owedBytes = Math.max(this.#owedBytes, sizeBytes);
    this.kick();
  }

  /** Resolves when the round under way is over; none follows. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  /** Drops segments, copying nothing, until the bound holds: a directory may have been made smaller between two runs. */
  async shrink(): Promise<void> {
    while (this.#options.log.freeBytes < 0) {
      const victim = this.#chooseSegment();
      if (!victim) return;
      this.#options.shelf.removeAllOf(victim, 'evicted');
      await this.#options.log.retire(victim);
    }
  }

  /** Gives up every sealed segment that holds no page. Resolves when they are unlinked, or the disk has refused. */
  async dropEmpty(): Promise<void> {
    while (this.#running) await this.#running;
    if (this.#isStopped) return;
    this.#running = this.#retireEmpty().finally(() => {
      this.#running = undefined;
    });
    await this.#running;
  }

  #isBelow(freeBytes: number): boolean {
    return this.#owedBytes > 0 || this.#options.log.freeBytes < freeBytes;
  }

  async #makeRoom(): Promise<void> {
    try {
      while (!this.#isStopped && this.#isBelow(this.#options.targetBytes)) {
        const victim = this.#chooseSegment();
        if (!victim) return;
        if (this.#owedBytes === 0 && this.#options.health.canWrite) await this.#copyForward(victim);
        const { usedBytes } = victim;
        this.#options.shelf.removeAllOf(victim, 'evicted');
        await this.#options.log.retire(victim);
        this.#owedBytes = Math.max(0, this.#owedBytes - usedBytes);
      }
    } catch (thrown) {
      // Whoever needs room next starts another round; the segment, now without pages, is the first choice then.
      this.#failed(thrown);
    }
  }

  async #retireEmpty(): Promise<void> {
    for (const segment of this.#options.log.segments.values()) {
      if (segment.state !== 'sealed' || segment.pages.count > 0) continue;
      await this.#options.log.retire(segment).catch((thrown: unknown) => this.#failed(thrown));
    }
  }

  #failed(thrown: unknown): void {
    this.failedCount++;
    this.#options.logger.warn({ error: thrown }, 'segment-not-reclaimed');
  }

  #chooseSegment(): Segment | undefined {
    const views: SegmentView[] = [];
    for (const segment of this.#options.log.segments.values()) {
      if (segment.state === 'sealed' && !segment.isPinned) views.push(segmentViewOf(segment));
    }
    if (views.length === 0) return undefined;
    return this.#options.log.segments.get(this.#options.policy.chooseSegment(views, this.#storeView()).id);
  }

  async #copyForward(victim: Segment): Promise<void> {
    let budgetBytes = Math.floor(victim.usedBytes / 2);
    const pages = pageViewsOf(this.#options.table, victim.pages, victim.pages.count);
    const wanted = this.#options.policy.choosePages(pages, { budgetBytes, store: this.#storeView() });
    for (const { page, lengthBytes } of wanted) {
      budgetBytes -= lengthBytes;
      if (budgetBytes < 0 || this.#isStopped) return;
      // A page that cannot be copied (bad block, no room, disk broken) is dropped with its segment.
      if (await this.#copyPage(page, victim).catch(() => false)) this.copiedCount++;
    }
  }

  async #copyPage(page: PageId, victim: Segment): Promise<boolean> {
    const { shelf, table } = this.#options;
    const entry = table.find(page);
    if (entry === noEntry || table.segmentIdOf(entry) !== victim.id) return false;
    const place = table.placeOf(entry);
    const header = await readHeader(shelf, page, victim, place);
    if (!header || !shelf.canTakeNow(header.layout)) return false;
    const bytes = await readChecked(shelf, page, victim, place, 0, place.lengthBytes);
    let isMoved = false;
    const writer = shelf.openWriter(page, header.origin, bytes.length, (id, segment, to) => {
      isMoved = shelf.move(id, place, segment, to);
    });
    if (!writer) return false;
    try {
      await writer.write(bytes);
    } catch (thrown) {
      writer.abort();
      throw thrown;
    }
    // Unless it was removed or replaced meanwhile.
    if (shelf.isAt(page, place)) writer.finish();
    else writer.abort();
    return isMoved;
  }

  #storeView(): StoreView {
    const { log, table } = this.#options;
    return {
      tick: table.tick,
      tickMean: table.tickMean,
      pageCount: table.count,
      sample: ({ id }, pagesMax) => {
        const segment = log.segments.get(id);
        return segment ? pageViewsOf(table, segment.pages, pagesMax) : [];
      },
    };
  }
}

/** The record's header as the disk has it, or undefined when it is not sound or is another page's. */
export async function readHeader(
  shelf: PageShelf,
  page: PageId,
  segment: Segment,
  place: PagePlace,
): Promise<RecordHeader | undefined> {
  const bytes = Buffer.allocUnsafeSlow(place.dataStartBytes - place.recordOffsetBytes);
  const count = await shelf.reads.run(() => readSegment(shelf, segment, bytes, place.recordOffsetBytes));
  const header = decodeRecordHeader(bytes.subarray(0, count), segment.identity, place.recordOffsetBytes);
  if (header?.index !== page.index) return undefined;
  const { a, b, c } = fileKeyOf(header.origin);
  return a === page.file.a && b === page.file.b && c === page.file.c ? header : undefined;
}
