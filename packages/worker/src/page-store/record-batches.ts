/**
 * Puts records that lie one behind the other into one write. Handing a write to another thread costs the main thread several times the copying of a small record; while many
 * pages are on their way a record waits a moment for the next ones, and none does while it is the only one.
 */

import type { Segment } from './segment.ts';

/** A record waits no longer for others. */
const waitMs = 2;
/** A batch is written when it has so many records, or so many bytes. */
const recordsMax = 32;
const bytesMax = 1024 * 1024;

/** Writes the pieces as one; fails as the disk does. */
export type WriteBatch = (segment: Segment, pieces: readonly Uint8Array[], position: number) => Promise<void>;

interface Batch {
  readonly segment: Segment;
  readonly position: number;
  readonly pieces: Uint8Array[];
  recordCount: number;
  byteCount: number;
  readonly written: PromiseWithResolvers<void>;
}

export class RecordBatches {
  readonly #write: WriteBatch;
  #open: Batch | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(write: WriteBatch) {
    this.#write = write;
  }

  /** Resolves when the record is written. Its bytes must not change until then. */
  add(segment: Segment, record: readonly Uint8Array[], position: number): Promise<void> {
    const open = this.#open;
    if (open && (open.segment !== segment || open.position + open.byteCount !== position)) this.#flush();
    const batch = (this.#open ??= {
      segment,
      position,
      pieces: [],
      recordCount: 0,
      byteCount: 0,
      written: Promise.withResolvers<void>(),
    });
    batch.pieces.push(...record);
    batch.recordCount++;
    for (const piece of record) batch.byteCount += piece.length;
    const isFull = batch.recordCount >= recordsMax || batch.byteCount >= bytesMax;
    // Every writer of the segment is in the batch: nobody else comes soon.
    if (isFull || segment.writerCount <= batch.recordCount) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), waitMs);
    return batch.written.promise;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#open;
    this.#open = undefined;
    if (!batch) return;
    const { pieces, position, segment, written } = batch;
    this.#write(segment, pieces, position).then(written.resolve, written.reject);
  }
}
