/**
 * Pages in one directory, in a log of segments (`segment-log.ts`), found by an index in memory (`page-table.ts`), every
 * byte checked when it is read (`disk-page-handle.ts`), room made ahead of need (`reclaimer.ts`). The format is that of
 * docs/decisions/0002-page-record-format.md. Nothing is synced: a power cut loses pages, and their checksums say so.
 *
 * One process uses a directory at a time. Whoever composes the store takes the directory's lock before `open`.
 */

import { mkdir, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { SegmentRead } from '@alluxio-ts/common/body';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { type PageId, type PageOrigin, fileKeyOf } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import { DirHealth, type DirState } from './dir-health.ts';
import { probeDir } from './dir-probe.ts';
import { DiskPageHandle, asPageError } from './disk-page-handle.ts';
import { DiskQueue } from './disk-queue.ts';
import type { EvictionPolicy } from './eviction-policy.ts';
import { PageShelf } from './page-shelf.ts';
import type {
  PageStore,
  PageStoreStats,
  PageWriter,
  RemovedPages,
  RemoveReason,
  ScanEntry,
} from './page-store.ts';
import { type PagePlace, PageTable, noEntry } from './page-table.ts';
import { Reclaimer, readHeader } from './reclaimer.ts';
import { type ScrubOptions, type ScrubStats, Scrubber } from './scrubber.ts';
import type { RecordHeader } from './record-format.ts';
import { SegmentLog } from './segment-log.ts';
import { segmentFileNameOf, segmentIdOf, segmentSizeMinBytesOf } from './segment-format.ts';
import { type Recovered, recoverSegment } from './segment-recovery.ts';
import type { Segment } from './segment.ts';
import { StoreFile } from './store-file.ts';

export interface DiskPageStoreOptions {
  readonly dir: string;
  /** What the directory's segments may take together, at least four segments. */
  readonly sizeBytes: number;
  readonly pageSizeBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly policy: EvictionPolicy;
  /** A 64th of the directory, at most 256 MiB, unless given; never less than one page needs. */
  readonly segmentSizeBytes?: number;
  readonly readTimeoutMs?: number;
  readonly writeTimeoutMs?: number;
  /** Reads that the disk is asked for at a time; further ones wait, up to 4,096. */
  readonly readConcurrencyMax?: number;
  /** How long a directory that failed is left alone before it is probed. */
  readonly probePauseMs?: number;
  /** Shares of the size between which room is made ahead of need; without them just so much that the next segments fit. */
  readonly watermarks?: { readonly high: number; readonly low: number };
  /** Without it pages are checked only when they are read. */
  readonly scrub?: ScrubOptions;
  /** Told, before its file is unlinked, of a segment that no new answer may use. */
  readonly onSegmentRetired?: (segmentId: number, path: string) => void;
  /** Told when nothing of the directory is to be used until further notice, which none follows. */
  readonly onOut?: () => void;
  /** Told of a page that can no longer be read, unless its whole segment is retired. */
  readonly onPageRemoved?: (page: PageId) => void;
  /** Told before bytes of pages are read. */
  readonly onSegmentRead?: (read: SegmentRead) => void;
}

export interface DiskHealth {
  readonly state: DirState;
  /** Why the state is not `ok`. */
  readonly reason: string | undefined;
  readonly failedReadCount: number;
  readonly failedWriteCount: number;
  readonly failedReclaimCount: number;
  /** Pages copied forward when their segment was given up. */
  readonly copiedCount: number;
}

const segmentSizeMaxBytes = 256 * MIB;
const segmentsPerDir = 64;
const segmentsMin = 4;
const readTimeoutDefaultMs = 5000;
const writeTimeoutDefaultMs = 30_000;
const readConcurrencyDefault = 32;
const writeConcurrencyMax = 16;
const queueMax = 4096;
const probePauseDefaultMs = 10_000;
/** Segments read at a time at a start. */
const recoveryConcurrency = 8;

export class DiskPageStore implements PageStore {
  readonly #options: DiskPageStoreOptions;
  readonly #table = new PageTable();
  readonly #health: DirHealth;
  readonly #reads: DiskQueue;
  readonly #writes: DiskQueue;
  readonly #probes: DiskQueue;
  readonly #scrubs: DiskQueue;
  readonly #scrubber: Scrubber | undefined;
  readonly #log: SegmentLog;
  readonly #shelf: PageShelf;
  readonly #reclaimer: Reclaimer;
  #closing: Promise<void> | undefined;

  /**
   * Reads what the directory holds and makes the store. Fails with InvalidOptions when the size is too small for the page
   * size, with PageStoreUnavailable when the directory cannot be used at all.
   */
  static async open(options: DiskPageStoreOptions): Promise<DiskPageStore> {
    const segmentSizeBytes = segmentSizeOf(options);
    try {
      const folder = join(options.dir, 'segments');
      await mkdir(folder, { recursive: true });
      const storeFile = await StoreFile.open(options.dir, options.pageSizeBytes, options.random);
      const names = await readdir(folder);
      const ids = names.map(segmentIdOf).filter((id) => id !== undefined);
      ids.sort((one, other) => one - other);
      const store = new DiskPageStore(options, { folder, segmentSizeBytes, storeFile });
      await store.#recover(folder, ids, storeFile, names.length - ids.length);
      store.#scrubber?.start();
      return store;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new AlluxioError(
        'PageStoreUnavailable',
        `cannot open cache directory ${options.dir}: ${reason}`,
        {
          cause,
        },
      );
    }
  }

  private constructor(
    options: DiskPageStoreOptions,
    place: {
      readonly folder: string;
      readonly segmentSizeBytes: number;
      readonly storeFile: StoreFile;
    },
  ) {
    const { clock, dir, logger, pageSizeBytes, policy, random, sizeBytes } = options;
    const table = this.#table;
    this.#options = options;
    const readTimeoutMs = options.readTimeoutMs ?? readTimeoutDefaultMs;
    const writeTimeoutMs = options.writeTimeoutMs ?? writeTimeoutDefaultMs;
    this.#probes = new DiskQueue({
      clock,
      name: `probes of ${dir}`,
      timeoutMs: readTimeoutMs,
      concurrencyMax: 1,
      queueMax: 1,
      onTimeout: () => undefined,
    });
    const health = new DirHealth({
      dir,
      clock,
      logger,
      pauseMs: options.probePauseMs ?? probePauseDefaultMs,
      probe: () => this.#probes.run(() => probeDir({ ...place, random })),
      onOut: () => {
        this.#reads.giveUpAll();
        this.#writes.giveUpAll();
        this.#scrubs.giveUpAll();
        options.onOut?.();
      },
    });
    this.#health = health;
    this.#reads = new DiskQueue({
      clock,
      name: `reads of ${dir}`,
      timeoutMs: readTimeoutMs,
      concurrencyMax: options.readConcurrencyMax ?? readConcurrencyDefault,
      queueMax,
      onTimeout: () => health.timedOut('read', readTimeoutMs),
    });
    this.#writes = new DiskQueue({
      clock,
      name: `writes to ${dir}`,
      timeoutMs: writeTimeoutMs,
      concurrencyMax: writeConcurrencyMax,
      queueMax,
      onTimeout: () => health.timedOut('write', writeTimeoutMs),
    });
    this.#log = new SegmentLog({
      ...place,
      capacityBytes: sizeBytes,
      pageSizeBytes,
      table,
      writes: this.#writes,
      health,
      random,
      logger,
      onSegmentRetired: options.onSegmentRetired ?? (() => undefined),
      onSpaceChanged: () => this.#reclaimer.kick(),
      onDiskFull: () => this.#reclaimer.force(place.segmentSizeBytes),
    });
    this.#shelf = new PageShelf({
      table,
      log: this.#log,
      reads: this.#reads,
      health,
      policy,
      onRemoved: options.onPageRemoved ?? (() => undefined),
      onRead: options.onSegmentRead ?? (() => undefined),
    });
    // A directory of few segments cannot keep two of them empty.
    const aheadCount = sizeBytes >= 2 * segmentsMin * place.segmentSizeBytes ? 2 : 1;
    const aheadBytes = aheadCount * place.segmentSizeBytes;
    const { high, low } = options.watermarks ?? { high: 1, low: 1 };
    this.#reclaimer = new Reclaimer({
      log: this.#log,
      table,
      shelf: this.#shelf,
      policy,
      health,
      logger,
      startBytes: Math.max(aheadBytes, (1 - high) * sizeBytes),
      targetBytes: Math.max(aheadBytes, (1 - low) * sizeBytes),
    });
    this.#scrubs = new DiskQueue({
      clock,
      name: `scrubbing of ${dir}`,
      timeoutMs: readTimeoutMs,
      concurrencyMax: 1,
      queueMax: 1,
      onTimeout: () => health.timedOut('read', readTimeoutMs),
    });
    this.#scrubber =
      options.scrub &&
      new Scrubber({
        ...options.scrub,
        dir,
        table,
        log: this.#log,
        shelf: this.#shelf,
        health,
        queue: this.#scrubs,
        others: [this.#reads, this.#writes],
        clock,
        logger,
      });
  }

  get(page: PageId): DiskPageHandle | undefined {
    if (this.#closing || !this.#health.canRead || this.#reads.isFull) return undefined;
    return this.#shelf.get(page);
  }

  has(page: PageId): boolean {
    return !this.#closing && this.#health.canRead && this.#shelf.has(page);
  }

  async verify(pages: readonly PageId[]): Promise<readonly boolean[]> {
    const handles = pages.map((page) => this.get(page));
    try {
      const found = handles.filter((handle) => handle !== undefined);
      const good = await DiskPageHandle.verify(this.#shelf, found);
      return handles.map((handle) => handle !== undefined && good.has(handle));
    } finally {
      for (const handle of handles) handle?.release();
    }
  }

  openWriter(page: PageId, origin: PageOrigin, lengthBytes: number): PageWriter | undefined {
    if (this.#closing || !this.#health.canWrite || this.#writes.isFull) return undefined;
    if (origin.pageSizeBytes !== this.#options.pageSizeBytes) return undefined;
    const { a, b, c } = fileKeyOf(origin);
    if (a !== page.file.a || b !== page.file.b || c !== page.file.c) {
      throw new AlluxioError('Internal', 'the name of a page does not follow from its origin', {
        context: { ufsPath: origin.ufsPath },
      });
    }
    const writer = this.#shelf.openWriter(page, origin, lengthBytes);
    if (!writer) this.#reclaimer.kick();
    return writer;
  }

  remove(page: PageId, reason: RemoveReason): void {
    this.#shelf.remove(page, reason);
  }

  async removeAll(reason: RemoveReason): Promise<RemovedPages> {
    const removed = { pageCount: this.#table.count, pageBytes: this.#table.bytes };
    for (const segment of this.#log.segments.values()) this.#shelf.removeAllOf(segment, reason);
    await this.#log.sealActive();
    if (!this.#closing) await this.#reclaimer.dropEmpty();
    return removed;
  }

  async *scan(options: { readonly signal?: AbortSignal } = {}): AsyncIterable<ScanEntry> {
    // Those that are there now: a busy store goes on making new ones.
    const segments = [...this.#log.segments.values()];
    for (const segment of segments) {
      for (const { page, place } of this.#pagesOf(segment)) {
        options.signal?.throwIfAborted();
        const entry = await this.#scanPage(page, segment, place);
        if (entry) yield entry;
      }
    }
  }

  stats(): PageStoreStats {
    return {
      pageCount: this.#table.count,
      pageBytes: this.#table.bytes,
      usedBytes: this.#log.usedBytes,
      capacityBytes: this.#options.sizeBytes,
      corruptCount: this.#shelf.corruptCount,
      evictedCount: this.#shelf.evictedCount,
      evictedBytes: this.#shelf.evictedBytes,
      noRoomCount: this.#shelf.noRoomCount,
    };
  }

  /** How the directory is now, and what has failed since the start. */
  health(): DiskHealth {
    const { failedReadCount, failedWriteCount, reason, state } = this.#health;
    const { copiedCount, failedCount } = this.#reclaimer;
    return {
      state,
      reason,
      failedReadCount,
      failedWriteCount,
      failedReclaimCount: failedCount,
      copiedCount,
    };
  }

  /** Undefined where none is. */
  scrubStats(): ScrubStats | undefined {
    return this.#scrubber?.stats();
  }

  get segmentCount(): number {
    return this.#log.segments.size;
  }

  /** Where a segment's file lies, for a transport that sends from it; undefined once it was given up. */
  segmentPathOf(segmentId: number): string | undefined {
    return this.#log.segments.get(segmentId)?.path;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#health.close();
    this.#shelf.abortWriters();
    this.#scrubs.giveUpAll();
    await this.#scrubber?.stop();
    await this.#reclaimer.stop();
    await this.#log.close();
    this.#reads.close();
    this.#writes.close();
    this.#probes.close();
    this.#scrubs.close();
  }

  async #scanPage(page: PageId, segment: Segment, place: PagePlace): Promise<ScanEntry | undefined> {
    if (!this.#shelf.isAt(page, place)) return undefined;
    let header: RecordHeader | undefined;
    try {
      header = await readHeader(this.#shelf, page, segment, place);
    } catch (thrown) {
      // Gone meanwhile, or not to be read: then it is taken out.
      this.#shelf.onBadPage(page, place, asPageError(thrown, segment));
      return undefined;
    }
    if (header) return { origin: header.origin, index: header.index, lengthBytes: place.lengthBytes };
    // Without its header a page could be neither listed nor copied forward.
    if (segment.state === 'sealed') this.#shelf.removeAt(page, place, 'corrupt');
    return undefined;
  }

  /** The pages of a segment in the order in which they lie. */
  #pagesOf(segment: Segment): readonly { readonly page: PageId; readonly place: PagePlace }[] {
    const pages: { page: PageId; place: PagePlace }[] = [];
    for (let entry = segment.pages.first; entry !== noEntry; entry = this.#table.nextOf(entry)) {
      pages.push({ page: this.#table.pageOf(entry), place: this.#table.placeOf(entry) });
    }
    return pages.sort((one, other) => one.place.recordOffsetBytes - other.place.recordOffsetBytes);
  }

  async #recover(
    folder: string,
    ids: readonly number[],
    storeFile: StoreFile,
    unknownFileCount: number,
  ): Promise<void> {
    const { clock, dir, logger, pageSizeBytes } = this.#options;
    const startMs = clock.monotonic();
    const counts: Record<keyof RecoveryCounts, number> = {
      sealed: 0,
      unsealed: 0,
      foreign: 0,
      unreadable: 0,
    };
    this.#table.advanceTick(ids.length);
    for (let first = 0; first < ids.length; first += recoveryConcurrency) {
      const batch = ids.slice(first, first + recoveryConcurrency);
      const found = await Promise.all(
        batch.map(async (id) => {
          const path = join(folder, segmentFileNameOf(id));
          return {
            path,
            recovered: await recoverSegment(path, { id, storeId: storeFile.storeId, pageSizeBytes }),
          };
        }),
      );
      for (const [at, { path, recovered }] of found.entries()) {
        counts[await this.#adopt(path, recovered, first + at + 1)]++;
      }
    }
    await this.#reclaimer.shrink();
    const durationMs = Math.round(clock.monotonic() - startMs);
    const pageCount = this.#table.count;
    logger.info({ dir, ...counts, unknownFileCount, pageCount, durationMs }, 'page-store-opened');
    this.#reclaimer.kick();
  }

  async #adopt(path: string, recovered: Recovered, tick: number): Promise<keyof RecoveryCounts> {
    if (recovered.kind === 'usable') {
      const segment = this.#log.adopt(recovered.identity, recovered.sizeBytes);
      for (const entry of recovered.entries) this.#shelf.adopt(entry, segment, tick);
      segment.shrinkChecksums();
      return recovered.isSealed ? 'sealed' : 'unsealed';
    }
    if (recovered.kind === 'unreadable') {
      this.#log.countForeign(recovered.sizeBytes);
      return 'unreadable';
    }
    // The folder is the store's own: what bears a segment's name and is of no use only takes room.
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    await unlink(path).catch(() => this.#log.countForeign(size));
    return 'foreign';
  }
}

interface RecoveryCounts {
  readonly sealed: number;
  readonly unsealed: number;
  readonly foreign: number;
  readonly unreadable: number;
}

function segmentSizeOf(options: DiskPageStoreOptions): number {
  const { pageSizeBytes, sizeBytes } = options;
  const wanted =
    options.segmentSizeBytes ?? Math.min(segmentSizeMaxBytes, Math.floor(sizeBytes / segmentsPerDir));
  const segmentSizeBytes = Math.max(wanted, segmentSizeMinBytesOf(pageSizeBytes));
  if (sizeBytes < segmentsMin * segmentSizeBytes) {
    throw new AlluxioError(
      'InvalidOptions',
      `cache directory ${options.dir}: ${sizeBytes} bytes are too few for pages of ${pageSizeBytes} bytes; ` +
        `give it at least ${segmentsMin * segmentSizeBytes}`,
    );
  }
  return segmentSizeBytes;
}
