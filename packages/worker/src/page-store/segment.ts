/**
 * One segment file and what the store knows of it. It is appended to while `open`, waits for its last writers while
 * `closing`, and is only read from `sealed` on; `retired` means that its file is to go as soon as nobody holds it.
 *
 * Two kinds of hold keep its descriptor open: pins, of handles and of operations under way, and the segment's own place in the
 * store. A descriptor is closed only when both are gone, so a late read never meets a number that means another file.
 */

import { closeFile, openSegmentFile } from './file-io.ts';
import { PageList } from './page-table.ts';
import type { RecordLayout, SegmentIdentity } from './record-format.ts';
import { footerEntryBytesOf, segmentHeaderBytes, trailerBytes } from './segment-format.ts';

export type SegmentState = 'open' | 'closing' | 'sealed' | 'retired';

export interface SegmentOptions {
  readonly identity: SegmentIdentity;
  readonly path: string;
  /** What it may grow to. */
  readonly sizeMaxBytes: number;
  /** Called once, when it is retired and the last pin has gone. */
  readonly onFreed: (segment: Segment) => void;
}

export class Segment {
  readonly identity: SegmentIdentity;
  readonly path: string;
  /** The pages that can be read from it. */
  readonly pages = new PageList();
  readonly sizeMaxBytes: number;
  state: SegmentState = 'open';
  /** What it counts as: the most it may grow to while open, its size on disk later. */
  usedBytes: number;
  /** Where the next record begins. */
  endBytes = segmentHeaderBytes;
  /** Whether the segment failed to take a write: it gets no index, a restart walks it. */
  isBroken = false;
  #checksums = new Uint32Array(16);
  #checksumCount = 0;
  #reservedBytes = 0;
  #footerBytes = trailerBytes;
  #writerCount = 0;
  #pinCount = 0;
  #fd: Promise<number> | undefined;
  #isFreed = false;
  readonly #onFreed: (segment: Segment) => void;
  readonly #idleWaiters: (() => void)[] = [];

  constructor(options: SegmentOptions) {
    this.identity = options.identity;
    this.path = options.path;
    this.sizeMaxBytes = options.sizeMaxBytes;
    this.usedBytes = options.sizeMaxBytes;
    this.#onFreed = options.onFreed;
  }

  get id(): number {
    return this.identity.id;
  }

  get isPinned(): boolean {
    return this.#pinCount > 0;
  }

  /** Writers that have reserved room and are not through with it. */
  get writerCount(): number {
    return this.#writerCount;
  }

  get checksums(): Uint32Array {
    return this.#checksums;
  }

  /** The descriptor; opened for reading at first use unless `made` gave it. */
  fd(): Promise<number> {
    this.#fd ??= openSegmentFile(this.path, 'r').catch((thrown: unknown) => {
      this.#fd = undefined;
      throw thrown;
    });
    return this.#fd;
  }

  /** Takes the descriptor of a file that is being made. */
  made(fd: Promise<number>): void {
    this.#fd = fd;
    // Whoever uses the descriptor meets the failure; here it must only not count as unhandled.
    fd.catch(() => undefined);
  }

  canTake(layout: RecordLayout): boolean {
    const footerBytes = this.#footerBytes + footerEntryBytesOf(layout.lengthBytes);
    const dataBytes = this.endBytes + this.#reservedBytes + layout.recordBytes;
    return this.state === 'open' && dataBytes + footerBytes <= this.sizeMaxBytes;
  }

  /** Keeps room for a record; its place is given by `place`, so that a writer that gives up leaves no hole. */
  reserve(layout: RecordLayout): void {
    this.#writerCount++;
    this.#reservedBytes += layout.recordBytes;
    this.#footerBytes += footerEntryBytesOf(layout.lengthBytes);
  }

  /** Gives back the room of a writer that has no place yet. */
  unreserve(layout: RecordLayout): void {
    this.#reservedBytes -= layout.recordBytes;
    this.#footerBytes -= footerEntryBytesOf(layout.lengthBytes);
  }

  /** The offset of a reserved record. */
  place(layout: RecordLayout): number {
    const offset = this.endBytes;
    this.#reservedBytes -= layout.recordBytes;
    this.endBytes += layout.recordBytes;
    return offset;
  }

  /** A writer is through with the segment. */
  writerLeft(): void {
    this.#writerCount--;
    if (this.#writerCount > 0) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  /** Resolves when no writer is under way. */
  async writersLeft(): Promise<void> {
    while (this.#writerCount > 0) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve);
      });
    }
  }

  /** Keeps a page's checksums; gives where they begin. */
  addChecksums(checksums: Uint32Array): number {
    const index = this.#checksumCount;
    this.#checksumCount += checksums.length;
    if (this.#checksumCount > this.#checksums.length) {
      const larger = new Uint32Array(Math.max(this.#checksumCount, this.#checksums.length * 2));
      larger.set(this.#checksums);
      this.#checksums = larger;
    }
    this.#checksums.set(checksums, index);
    return index;
  }

  /** Gives back the memory kept for growth. */
  shrinkChecksums(): void {
    this.#checksums = this.#checksums.slice(0, this.#checksumCount);
  }

  /** Has the descriptor used; it stays open meanwhile. Fails as opening the file does, and as `operation`. */
  async use<T>(operation: (fd: number) => Promise<T>): Promise<T> {
    this.pin();
    try {
      return await operation(await this.fd());
    } finally {
      this.unpin();
    }
  }

  pin(): void {
    this.#pinCount++;
  }

  unpin(): void {
    this.#pinCount--;
    this.#freeIfUnused();
  }

  /** To be called once the file is unlinked. */
  retire(): void {
    this.state = 'retired';
    this.#freeIfUnused();
  }

  /** Closes the descriptor when nothing uses it any more; the file stays. */
  async close(): Promise<void> {
    if (this.#pinCount > 0) {
      this.retire();
      return;
    }
    await this.#closeFd();
  }

  #freeIfUnused(): void {
    if (this.#pinCount > 0 || this.state !== 'retired' || this.#isFreed) return;
    this.#isFreed = true;
    void this.#closeFd();
    this.#onFreed(this);
  }

  async #closeFd(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    // A descriptor that cannot be closed, or was never opened, leaves nothing to do.
    if (fd) await fd.then(closeFile).catch(() => undefined);
  }
}
