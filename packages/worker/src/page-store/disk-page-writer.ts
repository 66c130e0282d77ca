/**
 * A page on its way to the disk store: its record is written as a whole, and read when the writer finishes. A writer that gives up after the write leaves a record
 * that nobody reads, unless the process dies before the segment has its index: then the page is there after the start, with the right bytes.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { PageId, PageOrigin } from '@alluxio-ts/common/page';
import { blockCountOf, checksumBlocks } from './page-checksums.ts';
import type { PageWriter } from './page-store.ts';
import type { PagePlace } from './page-table.ts';
import type { RecordLayout } from './record-format.ts';
import type { SegmentLog } from './segment-log.ts';
import type { Segment } from './segment.ts';

export interface DiskPageWriterOptions {
  readonly log: SegmentLog;
  /** In which room for `layout` is reserved. */
  readonly segment: Segment;
  readonly layout: RecordLayout;
  readonly page: PageId;
  readonly origin: PageOrigin;
  /** Makes the page readable. */
  readonly publish: (page: PageId, segment: Segment, place: PagePlace) => void;
  /** Called once, when the writer has left its segment. */
  readonly onEnd: (writer: DiskPageWriter) => void;
}

export class DiskPageWriter implements PageWriter {
  readonly #options: DiskPageWriterOptions;
  #state: 'open' | 'writing' | 'written' | 'failed' | 'aborted' | 'ended' = 'open';
  #offset = 0;
  #checksums: Uint32Array = new Uint32Array(0);

  constructor(options: DiskPageWriterOptions) {
    this.#options = options;
  }

  async write(bytes: Uint8Array, checksums = checksumBlocks(bytes)): Promise<void> {
    const { layout, log, origin, page, segment } = this.#options;
    const isWhole = bytes.length === layout.lengthBytes && checksums.length === blockCountOf(bytes.length);
    if (this.#state !== 'open' || !isWhole) {
      throw new AlluxioError('Internal', `write of ${bytes.length} bytes to a page writer (${this.#state})`, {
        context: { lengthBytes: layout.lengthBytes },
      });
    }
    this.#state = 'writing';
    this.#checksums = checksums;
    try {
      const header = { origin, index: page.index, layout, checksums: this.#checksums };
      this.#offset = await log.writeRecord(segment, header, bytes);
    } catch (thrown) {
      this.#settle('failed');
      throw thrown;
    }
    this.#settle('written');
  }

  finish(): void {
    // The store was closed meanwhile: the page is lost, which a store may do.
    if (this.#state === 'ended') return;
    if (this.#state !== 'written') {
      throw new AlluxioError('Internal', `finish of a page writer (${this.#state})`);
    }
    const { layout, page, publish, segment } = this.#options;
    publish(page, segment, {
      segmentId: segment.id,
      recordOffsetBytes: this.#offset,
      dataStartBytes: this.#offset + layout.dataOffsetBytes,
      lengthBytes: layout.lengthBytes,
      checksumIndex: segment.addChecksums(this.#checksums),
    });
    this.#end();
  }

  abort(): void {
    const { layout, segment } = this.#options;
    if (this.#state === 'writing') {
      this.#state = 'aborted';
    } else if (this.#state === 'open') {
      segment.unreserve(layout);
      this.#end();
    } else if (this.#state === 'written' || this.#state === 'failed') {
      this.#end();
    }
  }

  /** The write is over; the caller may have given up meanwhile. */
  #settle(state: 'written' | 'failed'): void {
    const isAborted = this.#state === 'aborted';
    this.#state = state;
    if (isAborted) this.abort();
  }

  #end(): void {
    this.#state = 'ended';
    this.#options.segment.writerLeft();
    this.#options.onEnd(this);
  }
}
