/**
 * Reads all pages of a directory slowly, again and again, and drops those that the disk has damaged, before somebody asks for them. It reads segments in the order of their
 * ids, a stretch of whole blocks at a time, past the kernel's memory, so that what readers have there stays. Only segments that are no longer written are read.
 *
 * It gives way: one read at a time in a queue of its own, none while readers or writers keep the disk busy or the directory is not in order. Where it is stands in `scrub.json`,
 * so that a restart goes on from there.
 */

import { constants } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { type PageId, blockSizeBytes } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import type { DirHealth } from './dir-health.ts';
import { alignedBytes, directAlignmentBytes, openDirect } from './direct-file.ts';
import { asPageError } from './disk-page-handle.ts';
import type { DiskQueue } from './disk-queue.ts';
import { blocksMatch } from './page-checksums.ts';
import type { PageShelf } from './page-shelf.ts';
import { type PagePlace, type PageTable, noEntry } from './page-table.ts';
import { alignUp } from './record-format.ts';
import type { SegmentLog } from './segment-log.ts';
import type { Segment } from './segment.ts';

export interface ScrubOptions {
  /** At most, on average. */
  readonly bytesPerSecond: number;
  /** From the begin of one pass over all pages to that of the next, at least; a day unless given. */
  readonly passIntervalMs?: number;
}

export interface ScrubberOptions extends ScrubOptions {
  readonly dir: string;
  readonly table: PageTable;
  readonly log: SegmentLog;
  readonly shelf: PageShelf;
  readonly health: DirHealth;
  /** The scrubber's own. */
  readonly queue: DiskQueue;
  /** While one of these is busy the scrubber waits. */
  readonly others: readonly DiskQueue[];
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface ScrubStats {
  readonly readBytes: number;
  readonly damagedCount: number;
  /** Wall time of the end of the last whole pass, that of an earlier run too. */
  readonly passEndedMs: number | undefined;
}

interface Block {
  readonly page: PageId;
  readonly place: PagePlace;
  /** In the segment's file. */
  readonly from: number;
  readonly to: number;
  readonly checksumIndex: number;
}

/** What `scrub.json` holds. */
interface Progress {
  /** Of the segment that was done last in this pass; 0 before the first. */
  readonly segmentId: number;
  readonly passBegunMs: number;
  readonly passEndedMs?: number;
}

const fileName = 'scrub.json';
const stretchMaxBytes = MIB;
const passIntervalDefaultMs = 24 * 3_600_000;
/** Between two looks whether the disk is still busy, and at the end of a pass whether the next is due. */
const waitMs = 1000;

export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #closing = new AbortController();
  #bytes: Uint8Array | undefined;
  #running: Promise<void> | undefined;
  #progress: Progress = { segmentId: 0, passBegunMs: 0 };
  #passBytes = 0;
  #passDamagedCount = 0;
  #readBytes = 0;
  #damagedCount = 0;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  stats(): ScrubStats {
    const { passEndedMs } = this.#progress;
    return { readBytes: this.#readBytes, damagedCount: this.#damagedCount, passEndedMs };
  }

  /** Once. */
  start(): void {
    this.#running = this.#run()
      // Stopped.
      .catch(() => undefined);
  }

  /** Resolves when it reads no more, or hangs on the disk. */
  async stop(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#closing;
    this.#progress = (await readProgress(this.#path)) ?? { segmentId: 0, passBegunMs: clock.now() };
    for (;;) {
      await this.#untilDue();
      // Those that are there now: a busy store goes on making new ones.
      const segments = [...log.segments.values()];
      for (const segment of segments) {
        if (segment.id <= this.#progress.segmentId || segment.state !== 'sealed') continue;
        await this.#scrubSegment(segment);
        signal.throwIfAborted();
        await this.#save({ ...this.#progress, segmentId: segment.id });
      }
      await this.#endPass();
    }
  }

  /** A pass that is under way goes on at once; a wall clock that was set back does not hold up the next one for longer than a pass is apart. */
  async #untilDue(): Promise<void> {
    const { clock, passIntervalMs = passIntervalDefaultMs } = this.#options;
    if (this.#progress.segmentId > 0 || this.#progress.passEndedMs === undefined) return;
    const ageMs = (): number => clock.now() - this.#progress.passBegunMs;
    while (ageMs() >= 0 && ageMs() < passIntervalMs) await this.#sleep(waitMs);
    await this.#save({ ...this.#progress, passBegunMs: clock.now() });
  }

  async #endPass(): Promise<void> {
    const { clock, dir, logger } = this.#options;
    const { passBegunMs, segmentId } = this.#progress;
    // Nothing to read yet, so nothing to say of it.
    if (segmentId === 0 && this.#passBytes === 0) return this.#sleep(waitMs);
    await this.#save({ segmentId: 0, passBegunMs, passEndedMs: clock.now() });
    const fields = { dir, readBytes: this.#passBytes, damagedCount: this.#passDamagedCount };
    logger.info({ ...fields, durationMs: clock.now() - passBegunMs }, 'scrub-pass-ended');
    this.#passBytes = 0;
    this.#passDamagedCount = 0;
    await this.#sleep(waitMs);
  }

  async #scrubSegment(segment: Segment): Promise<void> {
    const { bytesPerSecond, log } = this.#options;
    for (const stretch of stretchesOf(this.#blocksOf(segment))) {
      await this.#untilCalm();
      // Given up meanwhile: nothing of it is used any more.
      if (log.segments.get(segment.id) !== segment) return;
      const readBytes = await this.#check(segment, stretch);
      this.#readBytes += readBytes;
      this.#passBytes += readBytes;
      await this.#sleep(Math.ceil((1000 * readBytes) / bytesPerSecond));
    }
  }

  async #untilCalm(): Promise<void> {
    const { health, others } = this.#options;
    while (health.state !== 'ok' || others.some((queue) => queue.isBusy)) await this.#sleep(waitMs);
  }

  /** Gives the bytes that were read. */
  async #check(segment: Segment, blocks: readonly Block[]): Promise<number> {
    try {
      const { bytes, from } = await this.#read(segment, blocks);
      for (const block of blocks) {
        const found = bytes.subarray(block.from - from, block.to - from);
        const isWhole = found.length === block.to - block.from;
        if (!isWhole || !blocksMatch(found, segment.checksums, block.checksumIndex))
          this.#damaged(segment, block);
      }
      return bytes.length;
    } catch (thrown) {
      return this.#unreadable(segment, blocks, thrown);
    }
  }

  /** The disk refused it: the blocks one by one, so that a bad place costs the page that it is in. */
  async #unreadable(segment: Segment, blocks: readonly Block[], thrown: unknown): Promise<number> {
    const { health, log, shelf } = this.#options;
    // It had no turn or no answer, or the segment was given up: nothing is known of the pages.
    if (thrown instanceof AlluxioError || log.segments.get(segment.id) !== segment) return 0;
    const [first, ...more] = blocks;
    if (first && more.length === 0) shelf.onBadPage(first.page, first.place, asPageError(thrown, segment));
    else for (const block of blocks) if (health.state === 'ok') await this.#check(segment, [block]);
    return 0;
  }

  #damaged(segment: Segment, { from, page, place }: Block): void {
    const { dir, logger, shelf } = this.#options;
    // Moved or dropped meanwhile, or found by an earlier block.
    if (!shelf.isAt(page, place)) return;
    shelf.remove(page, 'corrupt');
    this.#damagedCount++;
    this.#passDamagedCount++;
    logger.warn({ dir, segment: segment.path, offset: from }, 'scrub-found-damage');
  }

  /** What of these blocks, which lie within one stretch, the disk has, from `from` of the file on. Opened anew each time, so that no unlinked file is held. */
  #read(
    segment: Segment,
    blocks: readonly Block[],
  ): Promise<{ readonly bytes: Uint8Array; readonly from: number }> {
    const from = alignDown(blocks[0]?.from ?? 0);
    const length = alignUp((blocks.at(-1)?.to ?? 0) - from, directAlignmentBytes);
    this.#bytes ??= alignedBytes(stretchMaxBytes + 2 * directAlignmentBytes);
    const bytes = this.#bytes;
    return this.#options.queue.run(async () => {
      const file = await openDirect(segment.path, constants.O_RDONLY);
      try {
        // Where the file system has no direct I/O, what is read gets into the kernel's memory.
        this.#options.shelf.onRead({ path: segment.path, offset: from, lengthBytes: length });
        const { bytesRead } = await file.read(bytes, 0, length, from);
        return { bytes: bytes.subarray(0, bytesRead), from };
      } finally {
        await file.close();
      }
    });
  }

  /** Of all pages of the segment, in the order in which they lie. */
  #blocksOf(segment: Segment): readonly Block[] {
    const { table } = this.#options;
    const blocks: Block[] = [];
    for (let entry = segment.pages.first; entry !== noEntry; entry = table.nextOf(entry)) {
      const page = table.pageOf(entry);
      const place = table.placeOf(entry);
      for (let at = 0; at < place.lengthBytes; at += blockSizeBytes) {
        const from = place.dataStartBytes + at;
        const to = place.dataStartBytes + Math.min(place.lengthBytes, at + blockSizeBytes);
        blocks.push({ page, place, from, to, checksumIndex: place.checksumIndex + at / blockSizeBytes });
      }
    }
    return blocks.sort((one, other) => one.from - other.from);
  }

  get #path(): string {
    return join(this.#options.dir, fileName);
  }

  /** Not synced: what is lost of it is read again. */
  async #save(progress: Progress): Promise<void> {
    this.#progress = progress;
    const temporary = `${this.#path}.new`;
    await writeFile(temporary, `${JSON.stringify(progress)}\n`, { mode: 0o600 })
      .then(() => rename(temporary, this.#path))
      .catch(() => undefined);
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, { signal: this.#closing.signal });
  }
}

/** Blocks that can be read at once. */
function* stretchesOf(blocks: readonly Block[]): Generator<readonly Block[]> {
  let stretch: Block[] = [];
  for (const block of blocks) {
    const first = stretch[0] ?? block;
    if (block.to - alignDown(first.from) > stretchMaxBytes) {
      yield stretch;
      stretch = [];
    }
    stretch.push(block);
  }
  if (stretch.length > 0) yield stretch;
}

function alignDown(value: number): number {
  return value - (value % directAlignmentBytes);
}

async function readProgress(path: string): Promise<Progress | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as Partial<Progress>;
    const { passBegunMs, passEndedMs, segmentId } = value;
    if (!Number.isSafeInteger(segmentId) || typeof passBegunMs !== 'number') return undefined;
    return {
      segmentId: Number(segmentId),
      passBegunMs,
      ...(typeof passEndedMs === 'number' ? { passEndedMs } : {}),
    };
  } catch {
    // Lost or not ours: the pass begins anew.
    return undefined;
  }
}
