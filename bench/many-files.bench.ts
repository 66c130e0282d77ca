/**
 * Ten million files of one page in a worker's tables: what each takes of memory, and for how long the garbage collector and the event loop stand while files are read, written and
 * evicted. `node bench/many-files.bench.ts [files, 10000000] [directory, /var/tmp] [seconds, 60]`. The index of files and the page store are the worker's own. The segments that the store
 * finds at its start are real but for their data, which are holes in the files: zeros, whose checksums their indexes have. Takes some 3 GiB of memory and 4 GB of disk.
 */

import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { constants, monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { fileKeyOf, type PageOrigin } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import { FileIndex, type ScopedPath } from '@alluxio-ts/worker/file-records/file-index';
import type { FileRecord } from '@alluxio-ts/worker/file-records/file-record';
import { DiskPageStore } from '@alluxio-ts/worker/page-store/disk-page-store';
import { createEvictionPolicy } from '@alluxio-ts/worker/page-store/eviction-policies';
import { checksumBlocks } from '@alluxio-ts/worker/page-store/page-checksums';
import { recordLayoutOf } from '@alluxio-ts/worker/page-store/record-format';
import {
  encodeFooter,
  encodeSegmentHeader,
  footerEntryBytesOf,
  nonceBytes,
  type SegmentEntry,
  segmentFileNameOf,
  segmentHeaderBytes,
  trailerBytes,
} from '@alluxio-ts/worker/page-store/segment-format';
import { StoreFile } from '@alluxio-ts/worker/page-store/store-file';

const [countText = '10000000', parent = '/var/tmp', secondsText = '60'] = process.argv.slice(2);
const fileCount = Number(countText);
const seconds = Number(secondsText);
const pageSizeBytes = 4 * MIB;
const segmentBytes = 256 * MIB;
const fileBytes = 1000;
const readersCount = 32;
const writersCount = 8;
const zeros = new Uint8Array(fileBytes);
const checksums = checksumBlocks(zeros);

const pauses: { readonly kind: string; readonly ms: number }[] = [];
const kindNames = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, 'minor'],
  [constants.NODE_PERFORMANCE_GC_MAJOR, 'major'],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, 'incremental'],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, 'weak'],
]);
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    const { kind } = (entry as PerformanceEntry & { readonly detail: { readonly kind: number } }).detail;
    pauses.push({ kind: kindNames.get(kind) ?? String(kind), ms: entry.duration });
  }
});
observer.observe({ entryTypes: ['gc'] });
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();

const dir = mkdtempSync(join(parent, 'many-files-'));
try {
  await bench();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
observer.disconnect();

async function bench(): Promise<void> {
  const sizeBytes = await makeSegments();
  tell('segments made', {});
  const index = new FileIndex({ filesMax: fileCount, oddFilesMax: 50_000 });
  for (let number = 0; number < fileCount; number++) {
    index.set(pathOf(number), recordOf(number));
    if (number % 10_000 === 0) await turn();
  }
  tell('files known', { bytesPerFile: index.memoryBytes / index.count });

  const beforeBytes = process.memoryUsage().arrayBuffers;
  const store = await DiskPageStore.open({
    dir,
    sizeBytes,
    pageSizeBytes,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    policy: createEvictionPolicy('LFU', sizeBytes),
  });
  const pageCount = store.stats().pageCount;
  const storeBytes = process.memoryUsage().arrayBuffers - beforeBytes;
  tell('pages known', { pageCount, bytesPerPage: storeBytes / pageCount });

  const untilMs = performance.now() + 1000 * seconds;
  const counts = { hits: 0, misses: 0, written: 0, refused: 0 };
  const isOver = (): boolean => performance.now() > untilMs;
  let next = fileCount;
  const read = async (): Promise<void> => {
    while (!isOver()) {
      const number = Math.floor(Math.random() * fileCount);
      const fileKey = index.get(pathOf(number))?.fileKey;
      const handle = fileKey && store.get({ file: fileKey, index: 0 });
      if (handle) {
        const bytes = await handle.read(0, fileBytes);
        handle.release();
        // As who sends them does.
        handle.reuse?.(bytes);
        counts.hits++;
      } else {
        counts.misses++;
        await turn();
      }
    }
  };
  const write = async (): Promise<void> => {
    while (!isOver()) {
      const number = next++;
      const record = recordOf(number);
      const writer = store.openWriter(
        { file: fileKeyOf(originOf(number)), index: 0 },
        originOf(number),
        fileBytes,
      );
      if (!writer) {
        counts.refused++;
        await systemClock.sleep(1);
        continue;
      }
      await writer.write(zeros);
      writer.finish();
      index.set(pathOf(number), record);
      counts.written++;
    }
  };
  await Promise.all([
    ...Array.from({ length: readersCount }, read),
    ...Array.from({ length: writersCount }, write),
  ]);
  const { evictedCount } = store.stats();
  tell('reads, writes, evictions', { ...counts, evicted: evictedCount });
  await store.close();
}

/** Segments as a run before would have left them; gives the bytes that they count as. */
async function makeSegments(): Promise<number> {
  const folder = join(dir, 'segments');
  mkdirSync(folder);
  const storeFile = await StoreFile.open(dir, pageSizeBytes, systemRandom);
  const layout = recordLayoutOf(originOf(fileCount), fileBytes);
  if (!layout) throw new Error('a page of these names cannot be kept');
  const entryBytes = layout.recordBytes + footerEntryBytesOf(fileBytes);
  const perSegment = Math.floor((segmentBytes - segmentHeaderBytes - trailerBytes) / entryBytes);
  let sizeBytes = 0;
  for (let first = 0, id = 1; first < fileCount; first += perSegment, id++) {
    await storeFile.spendSegmentId(id);
    const identity = { id, nonce: Buffer.from(systemRandom.bytes(nonceBytes)), pageSizeBytes };
    const entries: SegmentEntry[] = [];
    for (let number = first; number < Math.min(fileCount, first + perSegment); number++) {
      const recordOffsetBytes = segmentHeaderBytes + entries.length * layout.recordBytes;
      entries.push({
        page: { file: fileKeyOf(originOf(number)), index: 0 },
        recordOffsetBytes,
        dataStartBytes: recordOffsetBytes + layout.dataOffsetBytes,
        lengthBytes: fileBytes,
        checksums,
      });
    }
    const footerAt = segmentHeaderBytes + entries.length * layout.recordBytes;
    const footer = encodeFooter(entries, identity, footerAt);
    const fd = openSync(join(folder, segmentFileNameOf(id)), 'wx');
    writeSync(fd, encodeSegmentHeader(identity, storeFile.storeId), 0, segmentHeaderBytes, 0);
    writeSync(fd, footer, 0, footer.length, footerAt);
    closeSync(fd);
    sizeBytes += footerAt + footer.length;
    await turn();
  }
  return sizeBytes;
}

function pathOf(number: number): ScopedPath {
  const ufsPath = originOf(number).ufsPath;
  return { scope: 1, ufsPath, key: ufsPath };
}

function originOf(number: number): PageOrigin {
  return {
    ufsPath: `s3://training-data/imagenet/train/n${number % 1000}/image-${number}.JPEG`,
    version: `etag:${etagOf(number)}`,
    pageSizeBytes,
  };
}

function etagOf(number: number): string {
  return `"${(number * 2_654_435_761).toString(16).padStart(32, '0')}"`;
}

function recordOf(number: number): FileRecord {
  const { ufsPath, version } = originOf(number);
  return {
    status: {
      key: ufsPath,
      sizeBytes: fileBytes,
      modifiedMs: 1_700_000_000_000 + number,
      version,
      etag: etagOf(number),
      headers: { contentType: 'image/jpeg' },
      isPartial: false,
    },
    fileKey: fileKeyOf(originOf(number)),
    checkedAtMs: number,
  };
}

/** Says what the phase that is over came to, and begins the next. */
function tell(phase: string, figures: Readonly<Record<string, number>>): void {
  const { heapUsed, rss } = process.memoryUsage();
  const ofKind = (wanted: string): string => {
    const times = pauses.filter(({ kind }) => kind === wanted).map(({ ms }) => ms);
    times.sort((one, other) => one - other);
    const median = times[times.length >> 1] ?? 0;
    return `${wanted} ${times.length} (median ${median.toFixed(1)} ms, longest ${(times.at(-1) ?? 0).toFixed(1)})`;
  };
  const shown = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toFixed(1))}`);
  console.log(
    [
      `${phase}: ${shown.join(', ')}`,
      `  collections: ${['minor', 'major', 'incremental', 'weak'].map(ofKind).join(', ')}`,
      `  event loop stood ${(delay.max / 1e6).toFixed(1)} ms at most, p99.9 ${(delay.percentile(99.9) / 1e6).toFixed(1)}`,
      `  heap ${(heapUsed / MIB).toFixed(0)} MiB, in all ${(rss / MIB).toFixed(0)} MiB`,
    ].join('\n'),
  );
  pauses.length = 0;
  delay.reset();
}
