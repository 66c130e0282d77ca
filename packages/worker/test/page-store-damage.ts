/** Damage to the files of a page store, at random places, between and during its runs: whatever happens, no wrong byte may come out. */

import { closeSync, ftruncateSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { decodeRecordHeader } from '../src/page-store/record-format.ts';
import { decodeSegmentHeader, segmentHeaderBytes } from '../src/page-store/segment-format.ts';
import type { DiskPageStore } from '../src/page-store/disk-page-store.ts';
import { putPage } from './page-contents.ts';
import {
  type Finding,
  inspect,
  mixedPages,
  openTestStore,
  seededRandom,
  segmentPaths,
} from './page-store-fixture.ts';

export interface DamageOptions {
  readonly dir: string;
  readonly seed: number;
  readonly count: number;
  readonly pageCount: number;
}

export type DamageCounts = Record<Finding, number> & { readonly byKind: Record<string, number> };

type Random = (below: number) => number;

interface Range {
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * Fills a store, then damages it `count` times, in turn while it is closed and while it is open, and reads every page after each time.
 * Pages that were lost are written again. A failure names the damage.
 */
export async function damageStore(options: DamageOptions): Promise<DamageCounts> {
  const { count, dir, pageCount, seed } = options;
  const random = seededRandom(seed);
  const pages = mixedPages(pageCount);
  const counts = { right: 0, miss: 0, corrupt: 0, wrong: 0, byKind: {} as Record<string, number> };
  let store = await openTestStore(dir);
  for (const page of pages) await putPage(store, page);
  try {
    for (let round = 0; round < count; round++) {
      const isClosed = round % 2 === 0;
      if (isClosed) await store.close();
      const kind = damageOnce(dir, random);
      counts.byKind[kind] = (counts.byKind[kind] ?? 0) + 1;
      if (isClosed) store = await openTestStore(dir);
      for (const page of pages) {
        const finding = await inspect(store, page);
        counts[finding]++;
        if (finding === 'wrong') throw new Error(`${kind} in round ${round} of seed ${seed}: a wrong byte`);
        if (finding !== 'right') await putPage(store, page);
      }
      await scanAll(store, new Set(pages.map(({ origin }) => origin.ufsPath)));
    }
  } finally {
    await store.close();
  }
  return counts;
}

async function scanAll(store: DiskPageStore, known: ReadonlySet<string>): Promise<void> {
  for await (const { origin } of store.scan()) {
    if (!known.has(origin.ufsPath))
      throw new Error(`the scan gave ${origin.ufsPath}, which was never stored`);
  }
}

const kinds = [
  'flip',
  'flip-head',
  'flip-tail',
  'zero',
  'cut',
  'grow',
  'swap',
  'copy-over',
  'swap-data',
  'store-file',
] as const;

function damageOnce(dir: string, random: Random): string {
  const paths = segmentPaths(dir);
  const kind = kinds[random(kinds.length)] ?? 'flip';
  // The store file decides about the whole directory: damaged once in a while only.
  if (kind === 'store-file') {
    if (random(5) === 0) flip(join(dir, 'store.json'), random, 0, statSync(join(dir, 'store.json')).size);
    return kind;
  }
  const path = paths[random(paths.length)];
  if (path === undefined) return 'nothing';
  const { size } = statSync(path);
  if (kind === 'flip') flip(path, random, 0, size);
  if (kind === 'flip-head') flip(path, random, 0, Math.min(size, segmentHeaderBytes + 600));
  if (kind === 'flip-tail') flip(path, random, Math.max(0, size - 700), size);
  if (kind === 'zero') zero(path, random(size), 1 + random(100_000));
  if (kind === 'cut') resize(path, random(size + 1));
  if (kind === 'grow') resize(path, size + 1 + random(10_000));
  if (kind === 'swap' || kind === 'copy-over') moveRecords(paths, random, kind === 'swap', 'whole');
  if (kind === 'swap-data') moveRecords(paths, random, true, 'data');
  return kind;
}

function flip(path: string, random: Random, from: number, to: number): void {
  if (to <= from) return;
  const offset = from + random(to - from);
  const [byte = 0] = readRange({ path, offset, length: 1 });
  writeRange(path, offset, Buffer.from([byte ^ (1 << random(8))]));
}

function zero(path: string, offset: number, length: number): void {
  const { size } = statSync(path);
  writeRange(path, offset, Buffer.alloc(Math.min(length, size - offset)));
}

function resize(path: string, size: number): void {
  const fd = openSync(path, 'r+');
  ftruncateSync(fd, size);
  closeSync(fd);
}

/** Puts a record, or only its data, where another one lies, and the other way round. */
function moveRecords(
  paths: readonly string[],
  random: Random,
  isSwap: boolean,
  part: 'whole' | 'data',
): void {
  const ranges = paths.flatMap((path) => recordsOf(path, part));
  const one = ranges[random(ranges.length)];
  const others = ranges.filter((range) => range !== one && range.length === one?.length);
  const other = others[random(others.length)];
  if (!one || !other) return;
  const oneBytes = readRange(one);
  const otherBytes = readRange(other);
  writeRange(other.path, other.offset, oneBytes);
  if (isSwap) writeRange(one.path, one.offset, otherBytes);
}

function recordsOf(path: string, part: 'whole' | 'data'): readonly Range[] {
  const { size } = statSync(path);
  const bytes = readRange({ path, offset: 0, length: size });
  const header = decodeSegmentHeader(bytes);
  if (!header) return [];
  const ranges: Range[] = [];
  for (let offset = segmentHeaderBytes; offset < size; ) {
    const record = decodeRecordHeader(bytes.subarray(offset), header.identity, offset);
    if (!record) break;
    const { dataOffsetBytes, lengthBytes, recordBytes } = record.layout;
    const whole = { path, offset, length: recordBytes };
    ranges.push(part === 'whole' ? whole : { path, offset: offset + dataOffsetBytes, length: lengthBytes });
    offset += recordBytes;
  }
  return ranges;
}

function readRange({ length, offset, path }: Range): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, 'r');
  readSync(fd, bytes, 0, length, offset);
  closeSync(fd);
  return bytes;
}

function writeRange(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}
