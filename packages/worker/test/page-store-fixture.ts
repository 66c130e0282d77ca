/** A small disk store for tests: 256 KiB pages, 1 MiB segments. */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import { type Logger, silentLogger } from '@alluxio-ts/common/logger';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { DiskPageStore, type DiskPageStoreOptions } from '../src/page-store/disk-page-store.ts';
import { lruPolicy } from '../src/page-store/lru-policy.ts';
import type { PageStore } from '../src/page-store/page-store.ts';
import { type KnownPage, areEqual, contentsOf, getPage, knownPage, putPage } from './page-contents.ts';

export const testPageSizeBytes = 256 * KIB;
export const testSegmentSizeBytes = MIB;

export function openTestStore(
  dir: string,
  options: Partial<DiskPageStoreOptions> = {},
): Promise<DiskPageStore> {
  return DiskPageStore.open({
    dir,
    sizeBytes: 16 * MIB,
    pageSizeBytes: testPageSizeBytes,
    segmentSizeBytes: testSegmentSizeBytes,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    policy: lruPolicy,
    ...options,
  });
}

/** A page whose length its number gives: small, of a block or so, and full ones in turn. */
export function mixedPage(fileNumber: number): KnownPage {
  const lengths = [100, 3000, 65_536, 70_001, 131_072, 200_000, testPageSizeBytes];
  const lengthBytes = lengths[fileNumber % lengths.length] ?? 1;
  return knownPage(fileNumber, lengthBytes, { pageSizeBytes: testPageSizeBytes });
}

export function mixedPages(count: number): readonly KnownPage[] {
  return Array.from({ length: count }, (_, number) => mixedPage(number));
}

/** Puts a page, giving the store time to make room. */
export async function putPatiently(store: PageStore, page: KnownPage): Promise<void> {
  for (let tries = 0; tries < 10_000; tries++) {
    if (await putPage(store, page)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('the store takes nothing any more');
}

export type Finding = 'right' | 'miss' | 'corrupt' | 'wrong';

/** Reads a page and compares it with what it must be. Any failure but PageCorrupt is thrown. */
export async function inspect(store: PageStore, page: KnownPage): Promise<Finding> {
  try {
    const bytes = await getPage(store, page);
    if (!bytes) return 'miss';
    return areEqual(bytes, contentsOf(page)) ? 'right' : 'wrong';
  } catch (thrown) {
    if (hasErrorCode(thrown, 'PageCorrupt')) return 'corrupt';
    throw thrown;
  }
}

export async function inspectAll(
  store: PageStore,
  pages: readonly KnownPage[],
): Promise<Record<Finding, number>> {
  const counts = { right: 0, miss: 0, corrupt: 0, wrong: 0 };
  for (const page of pages) counts[await inspect(store, page)]++;
  return counts;
}

export function segmentNames(dir: string): readonly string[] {
  return readdirSync(join(dir, 'segments')).sort();
}

export function segmentPaths(dir: string): readonly string[] {
  return segmentNames(dir).map((name) => join(dir, 'segments', name));
}

/** Bytes of all segment files, as their sizes say. */
export function segmentBytes(dir: string): number {
  return segmentPaths(dir).reduce((sum, path) => sum + statSync(path).size, 0);
}

export interface LogLine {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function listLogger(lines: LogLine[]): Logger {
  const log = (fields: Readonly<Record<string, unknown>>, event: string): void => {
    lines.push({ event, fields });
  };
  return { debug: log, info: log, warn: log, error: log };
}

/** Random numbers that a seed repeats. */
export function seededRandom(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

/** Fails with what was waited for when it does not come. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const begunMs = performance.now();
  while (!condition()) {
    if (performance.now() - begunMs > 20_000) throw new Error(`waited in vain for: ${what}`);
    await setTimeout(5);
  }
}
