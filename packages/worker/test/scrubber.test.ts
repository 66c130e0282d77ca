/** The background scrub over a real store: finds every flip on the device without a read, gives way, goes on after a restart. */

import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { MIB } from '@alluxio-ts/common/units';
import { directEndOf, flipOnDevice } from '../../../test/soak/direct-file.ts';
import type { DiskPageStore } from '../src/page-store/disk-page-store.ts';
import {
  inspectAll,
  listLogger,
  type LogLine,
  mixedPage,
  mixedPages,
  openTestStore,
  putPatiently,
  seededRandom,
  segmentPaths,
  until,
} from './page-store-fixture.ts';
import { remount, withTmpfs } from './support/tmpfs.ts';
import { pinned, putPage } from './page-contents.ts';

const fast = { bytesPerSecond: 1000 * MIB };
const pages = mixedPages(60);

async function filled(dir: string): Promise<void> {
  const store = await openTestStore(dir);
  for (const page of pages) await putPatiently(store, page);
  await store.close();
}

const passEnd = (store: DiskPageStore, afterMs = 0): Promise<void> =>
  until(() => (store.scrubStats()?.passEndedMs ?? 0) > afterMs, 'the end of a pass');

void t.test('every flip on the device is found and dropped, without a read', async (t) => {
  const dir = t.testdir();
  await filled(dir);
  const seed = Number(process.env['TEST_SEED'] ?? 20_264);
  t.comment(`seed ${seed}`);
  const random = seededRandom(seed);
  // Where the pages lie is asked of a store that does not scrub.
  const looking = await openTestStore(dir);
  const flipped = pages.filter(() => random(3) === 0);
  const flipsOf = new Map<string, { offset: number; bit: number }[]>();
  let flipCount = 0;
  for (const page of flipped) {
    const handle = pinned(looking, page);
    const place = handle.native ?? t.fail('no place');
    handle.release();
    if (typeof place === 'boolean') return;
    const offset = place.offset + random(place.lengthBytes);
    if (offset >= directEndOf(statSync(place.path).size)) continue;
    flipsOf.set(place.path, [...(flipsOf.get(place.path) ?? []), { offset, bit: random(8) }]);
    flipCount++;
  }
  await looking.close();
  for (const [path, flips] of flipsOf) flipOnDevice(path, flips);
  const lines: LogLine[] = [];
  const store = await openTestStore(dir, { scrub: fast, logger: listLogger(lines) });
  await passEnd(store);
  t.ok(flipCount > 10);
  t.equal(store.scrubStats()?.damagedCount, flipCount);
  t.equal(store.stats().corruptCount, flipCount);
  t.equal(store.stats().pageCount, pages.length - flipCount);
  const allBytes = pages.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  t.ok((store.scrubStats()?.readBytes ?? 0) >= allBytes, 'all was read');
  t.match(await inspectAll(store, pages), { right: pages.length - flipCount, miss: flipCount });
  t.equal(lines.filter(({ event }) => event === 'scrub-found-damage').length, flipCount);
  t.match(lines.find(({ event }) => event === 'scrub-pass-ended')?.fields, { damagedCount: flipCount });
  await store.close();
});

void t.test('a segment that is cut short is found; one that is evicted meanwhile is no damage', async (t) => {
  const dir = t.testdir();
  await filled(dir);
  const store = await openTestStore(dir, {
    sizeBytes: 8 * MIB,
    scrub: { bytesPerSecond: 20 * MIB, passIntervalMs: 0 },
  });
  let passCount = 0;
  let beforeMs = store.scrubStats()?.passEndedMs;
  for (let number = 100; passCount < 2; number++) {
    await putPatiently(store, mixedPage(number));
    const endedMs = store.scrubStats()?.passEndedMs;
    if (endedMs !== beforeMs) passCount++;
    beforeMs = endedMs;
  }
  t.ok(store.stats().evictedCount > 20, `${store.stats().evictedCount} pages evicted`);
  t.equal(store.stats().corruptCount, 0);
  t.equal(store.health().failedReadCount, 0);
  const [path = ''] = segmentPaths(dir);
  writeFileSync(path, readFileSync(path).subarray(0, 300_000));
  await until(() => (store.scrubStats()?.damagedCount ?? 0) > 0, 'the damage');
  t.equal(store.stats().corruptCount, store.scrubStats()?.damagedCount);
  await store.close();
});

void t.test('it reads nothing while the directory is not in order', async (t) => {
  await withTmpfs(t, 64, async (dir) => {
    await filled(dir);
    const store = await openTestStore(dir, { scrub: { bytesPerSecond: 2 * MIB }, probePauseMs: 1000 });
    const readBytes = (): number => store.scrubStats()?.readBytes ?? 0;
    await until(() => readBytes() > 0, 'the begin');
    remount(dir, 'ro');
    await t.rejects(putPage(store, mixedPage(1000)), { code: 'PageStoreUnavailable' });
    t.equal(store.health().state, 'suspect');
    const beforeBytes = readBytes();
    await until(() => store.health().reason === 'a probe failed with EROFS', 'a probe');
    t.ok(readBytes() <= beforeBytes + MIB, `no more than what had begun: ${readBytes() - beforeBytes} bytes`);
    remount(dir, 'rw');
    await until(() => readBytes() > beforeBytes + MIB, 'it to go on');
    t.equal(store.health().state, 'ok');
    await store.close();
  });
});

void t.test('it goes on where it was after a restart, and begins again when a pass is due', async (t) => {
  const dir = t.testdir();
  await filled(dir);
  const slow = { scrub: { bytesPerSecond: 4 * MIB } };
  const progressOf = (): { segmentId: number } =>
    JSON.parse(readFileSync(join(dir, 'scrub.json'), 'utf8')) as { segmentId: number };
  const isSaved = (): boolean => {
    try {
      return progressOf().segmentId > 0;
    } catch {
      return false;
    }
  };
  const first = await openTestStore(dir, slow);
  await until(isSaved, 'the first segment');
  await first.close();
  const readBytes = first.scrubStats()?.readBytes ?? 0;
  const again = await openTestStore(dir, { scrub: fast });
  await passEnd(again);
  const allBytes = pages.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const restBytes = again.scrubStats()?.readBytes ?? 0;
  t.ok(restBytes > 0 && restBytes < allBytes, `${restBytes} bytes are left of ${allBytes}`);
  t.ok(readBytes + restBytes >= allBytes, 'the two together');
  t.equal(again.scrubStats()?.readBytes, restBytes, 'the next pass is a day away');
  await again.close();
  const third = await openTestStore(dir, { scrub: { ...fast, passIntervalMs: 0 } });
  const beforeMs = Date.now();
  await passEnd(third, beforeMs);
  t.ok((third.scrubStats()?.readBytes ?? 0) >= allBytes);
  await third.close();
});
