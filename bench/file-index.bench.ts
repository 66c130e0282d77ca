/**
 * What the index of files costs: bytes a file, time of a lookup beside that of objects in an LRU map, and how long the garbage collector stops the thread while
 * files come and go. `node --expose-gc bench/file-index.bench.ts [files, 10000000]`.
 */

import { PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { FileIndex } from '@alluxio-ts/worker/file-records/file-index';
import type { FileRecord } from '@alluxio-ts/worker/file-records/file-record';
import { LRUCache } from 'lru-cache';

const fileCount = Number(process.argv[2] ?? 10_000_000);
const batch = 10_000;

interface Known {
  readonly name: string;
  get(path: string): FileRecord | undefined;
  set(path: string, record: FileRecord): void;
  memoryBytes(): number;
}

const pauses: number[] = [];
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) pauses.push(entry.duration);
});
observer.observe({ entryTypes: ['gc'] });

await measure(indexOf(fileCount), fileCount);
await measure(indexOf(200_000), 200_000);
await measure(objects(200_000), 200_000);
observer.disconnect();

function indexOf(filesMax: number): Known {
  const index = new FileIndex({ filesMax, oddFilesMax: 1000 });
  return {
    name: 'index',
    get: (path) => index.get({ scope: 1, ufsPath: path, key: path }),
    set: (path, record) => index.set({ scope: 1, ufsPath: path, key: path }, record),
    memoryBytes: () => index.memoryBytes,
  };
}

function objects(filesMax: number): Known {
  const known = new LRUCache<string, FileRecord>({ max: filesMax });
  const beforeBytes = heapBytes();
  return {
    name: 'objects in an LRU map',
    get: (path) => known.get(path),
    set: (path, record) => void known.set(path, record),
    memoryBytes: () => heapBytes() - beforeBytes,
  };
}

async function measure(known: Known, count: number): Promise<void> {
  const putUs = await timeUs(count, (number) => known.set(pathOf(number), recordOf(number)));
  pauses.length = 0;
  const getUs = await timeUs(1_000_000, (at) => known.get(pathOf((at * 7919) % count)));
  const hotUs = await timeUs(1_000_000, (at) => known.get(pathOf(at % 100)));
  const turnOverUs = await timeUs(1_000_000, (at) => known.set(pathOf(count + at), recordOf(at)));
  const pauseMaxMs = Math.max(0, ...pauses);
  const figures = { putUs, getUs, hotUs, turnOverUs, pauseMaxMs, bytesPerFile: known.memoryBytes() / count };
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  console.log(`${known.name}, ${count} files: ${text.join(', ')}`);
}

function pathOf(number: number): string {
  return `s3://training-data/imagenet/train/n${number % 1000}/image-${number}.JPEG`;
}

function recordOf(number: number): FileRecord {
  const etag = `"${(number * 2_654_435_761).toString(16).padStart(32, '0')}"`;
  return {
    status: {
      key: pathOf(number),
      sizeBytes: number,
      modifiedMs: 1_700_000_000_000 + number,
      version: `etag:${etag}`,
      etag,
      headers: { contentType: 'image/jpeg' },
      isPartial: false,
    },
    fileKey: { a: number, b: 1, c: 2 },
    checkedAtMs: number,
  };
}

/** CPU time of this process a call; turns of the event loop between, in which pauses are reported. */
async function timeUs(count: number, body: (at: number) => unknown): Promise<number> {
  const start = process.cpuUsage();
  for (let from = 0; from < count; from += batch) {
    for (let at = from; at < Math.min(count, from + batch); at++) body(at);
    await nextTurn();
  }
  const { system, user } = process.cpuUsage(start);
  return (system + user) / count;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}
