/** A whole read cache over a storage in memory that fails when told, with small pages and a clock that a test moves. */

import type { Body } from '@alluxio-ts/common/body';
import { silentLogger } from '@alluxio-ts/common/logger';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { sendBody } from '@alluxio-ts/transport/body-sender';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { Test } from 'tap';
import { FaultyUfs } from '../../../../test/support/faulty-ufs.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import type { CacheRules } from '../../src/cache/cache-rules.ts';
import { defaultRules } from '../../src/cache/cache-rules.ts';
import type { OpenedFile } from '../../src/cache/file-reader.ts';
import { FileCache } from '../../src/cache/file-cache.ts';
import { FileTable, fileTableDefaults } from '../../src/cache/file-table.ts';
import { LocalFillRunner } from '../../src/cache/fill-runner.ts';
import type { FileName } from '../../src/cache/mount-table.ts';
import { fileNameOf, MountTable } from '../../src/cache/mount-table.ts';
import { PageFiller } from '../../src/cache/page-filler.ts';
import { ReadAhead } from '../../src/cache/read-ahead.ts';
import { FileRecordStore } from '../../src/file-records/file-record-store.ts';
import { FileLoader } from '../../src/load/file-loader.ts';
import { SeenReads } from '../../src/load/seen-reads.ts';
import { withFoundFile } from '../../src/http/file-answer.ts';
import { MemoryPageStore } from '../../src/page-store/memory-page-store.ts';
import { LocalRecordPort } from './local-record-port.ts';
import type { PageStore } from '../../src/page-store/page-store.ts';

export const pageSizeBytes = 512 * KIB;
export const maxAgeMs = 60_000;
export const staleIfErrorMaxMs = 3_600_000;

export interface RigOptions {
  readonly clock?: ManualClock;
  readonly memory?: MemoryUfs;
  readonly store?: PageStore;
  readonly rules?: CacheRules;
  /** What is cached, instead of `memory`. */
  readonly inner?: Ufs;
  readonly slotCount?: number;
  readonly loadConcurrencyMax?: number;
  readonly recordsPath?: string;
  readonly filesMax?: number;
  /** 4 unless given. */
  readonly aheadPagesMax?: number;
}

export interface Read {
  readonly bytes: Uint8Array;
  readonly outcome: string;
}

export class CacheRig {
  readonly clock: ManualClock;
  readonly memory: MemoryUfs;
  readonly ufs: FaultyUfs;
  readonly slots: SlotPool;
  readonly store: PageStore;
  readonly records: FileRecordStore;
  readonly cache: FileCache;
  readonly filler: PageFiller;
  readonly readAhead: ReadAhead;
  /** Bytes that were fetched ahead of readers, and those of them that no reader came to. */
  readonly ahead = { startedBytes: 0, unusedBytes: 0 };
  readonly loader: FileLoader;
  readonly mounts = new MountTable();
  /** Bytes that were fetched for jobs. */
  jobBytes = 0;
  /** What the loader takes for readers, as a test says. */
  readonly reads: SeenReads;
  /** Files that belong to other workers. */
  readonly strange = new Set<string>();
  /** The outcome of every page read. */
  readonly outcomes: string[] = [];
  readonly #mount;

  constructor(options: RigOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    this.reads = new SeenReads(() => this.clock.monotonic());
    this.memory = options.memory ?? new MemoryUfs({ clock: this.clock });
    this.ufs = new FaultyUfs(options.inner ?? this.memory);
    this.#mount = { path: '/m', uri: parseMountUri('mem://bucket/prefix'), ufs: this.ufs, sinceMs: 0 };
    this.slots = new SlotPool({ slotCount: options.slotCount ?? 16, slotSizeBytes: pageSizeBytes });
    this.store = options.store ?? new MemoryPageStore({ capacityBytes: 64 * MIB, pageSizeBytes });
    this.records = new FileRecordStore({
      port: new LocalRecordPort({ path: options.recordsPath ?? ':memory:', recordsMax: 10_000 }),
      clock: this.clock,
      logger: silentLogger,
    });
    const rules = options.rules ?? defaultRules(maxAgeMs);
    const files = new FileTable({
      clock: this.clock,
      pageSizeBytes,
      rules,
      staleIfErrorMaxMs,
      ...fileTableDefaults,
      filesMax: options.filesMax ?? 1000,
      records: this.records,
    });
    this.filler = new PageFiller({
      store: this.store,
      slots: this.slots,
      runner: new LocalFillRunner(this.slots),
      pageSizeBytes,
      logger: silentLogger,
      onKept: ({ file, page, record }) => files.kept(file, page.file, record.status),
    });
    this.readAhead = new ReadAhead({
      store: this.store,
      filler: this.filler,
      slots: this.slots,
      pageSizeBytes,
      sizeMaxBytes: (options.aheadPagesMax ?? 4) * pageSizeBytes,
      clock: this.clock,
      events: {
        started: (lengthBytes) => (this.ahead.startedBytes += lengthBytes),
        unused: (lengthBytes) => (this.ahead.unusedBytes += lengthBytes),
      },
    });
    this.cache = new FileCache({
      store: this.store,
      slots: this.slots,
      files,
      filler: this.filler,
      readAhead: this.readAhead,
      pageSizeBytes,
      rules,
      clock: this.clock,
      events: {
        read: (outcome) => this.outcomes.push(outcome),
        pageRead: () => undefined,
        looked: () => undefined,
      },
    });
    this.mounts.set(this.#mount);
    this.loader = new FileLoader({
      cache: this.cache,
      store: this.store,
      filler: this.filler,
      mounts: this.mounts,
      rules,
      owns: (ufsPath) => !this.strange.has(ufsPath),
      pageSizeBytes,
      concurrencyMax: options.loadConcurrencyMax ?? 8,
      reads: this.reads,
      // Nothing was due.
      watchDelays: () => ({
        mark: () => undefined,
        take: () => ({ alone: [], beside: [] }),
        close: () => undefined,
      }),
      clock: this.clock,
      onLoaded: (bytes) => (this.jobBytes += bytes),
    });
  }

  file(key: string): FileName {
    return fileNameOf(this.#mount, key);
  }

  /** Looks the file up and opens bytes [from, to), as a surface does. */
  open(key: string, range: { readonly from?: number; readonly to?: number } = {}): Promise<OpenedFile> {
    const file = this.file(key);
    const from = range.from ?? 0;
    return withFoundFile(
      this.cache,
      file,
      (found) => {
        const { sizeBytes } = found.record.status;
        return this.cache.open(file, found, {
          from,
          to: range.to ?? sizeBytes,
          signal: new AbortController().signal,
        });
      },
      { readFrom: from },
    );
  }

  async read(key: string, range: { readonly from?: number; readonly to?: number } = {}): Promise<Read> {
    const { body, outcome } = await this.open(key, range);
    return { bytes: await this.take(body), outcome };
  }

  /** The bytes of a body, sent into memory. */
  async take(body: Body): Promise<Uint8Array> {
    if (body.kind === 'bytes') return body.bytes;
    const chunks: Uint8Array[] = [];
    const sink = {
      write: (bytes: Uint8Array) => {
        chunks.push(bytes);
        return true;
      },
      drained: async () => undefined,
    };
    try {
      await sendBody(body, sink, {
        slots: this.slots,
        clock: this.clock,
        signal: new AbortController().signal,
      });
    } finally {
      body.close();
    }
    return Buffer.concat(chunks);
  }

  /** What must hold after every test: no fill is left and every slot is back. */
  async settle(): Promise<{
    readonly freeSlots: number;
    readonly slotCount: number;
    readonly openBodies: number;
  }> {
    await this.filler.idle();
    return {
      freeSlots: this.slots.freeCount,
      slotCount: this.slots.slotCount,
      openBodies: this.ufs.openBodyCount,
    };
  }

  async close(): Promise<void> {
    await this.filler.idle();
    await this.records.close();
    await this.store.close();
  }
}

/** Runs with a rig of its own; after it nothing may be left over. */
export async function withRig(
  t: Test,
  options: RigOptions,
  use: (rig: CacheRig) => Promise<void>,
): Promise<void> {
  const rig = new CacheRig(options);
  try {
    await use(rig);
    const { freeSlots, slotCount, openBodies } = await rig.settle();
    t.equal(freeSlots, slotCount, 'every slot is back');
    t.equal(openBodies, 0, 'no body of the storage is left open');
  } finally {
    await rig.close();
  }
}

/** Bytes that differ by seed and place. */
export function contentOf(seed: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let at = 0; at < lengthBytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
