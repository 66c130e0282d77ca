/** Flips bits of cached pages on the device itself and reads them through the running store: every flip is found, none is served. */

import { statSync } from 'node:fs';
import { errnoOf, hasErrorCode } from '@alluxio-ts/common/errors';
import { MIB } from '@alluxio-ts/common/units';
import type { PageHandle } from '@alluxio-ts/common/body';
import type { DiskPageStore } from '../../packages/worker/src/page-store/disk-page-store.ts';
import { areEqual, contentsOf, type KnownPage, pinned } from '../../packages/worker/test/page-contents.ts';
import {
  inspect,
  mixedPages,
  openTestStore,
  putPatiently,
  seededRandom,
} from '../../packages/worker/test/page-store-fixture.ts';
import { type BitFlip, directEndOf, flipOnDevice } from './direct-file.ts';

export interface DirectFlipOptions {
  /** On a file system with direct I/O: not tmpfs. */
  readonly dir: string;
  readonly seed: number;
  readonly count: number;
  readonly report: (line: string) => void;
}

interface Target {
  readonly page: KnownPage;
  /** Pins the segment, so that the page is not moved away from the flip. */
  readonly handle: PageHandle;
  readonly path: string;
  readonly flip: BitFlip;
}

const pageCount = 60;
const reportRounds = 50;

/** Throws at the first byte that is served wrong, and at the first flip that is not found. */
export async function flipDirectly({ count, dir, report, seed }: DirectFlipOptions): Promise<string> {
  const random = seededRandom(seed);
  const pages = mixedPages(pageCount);
  const store = await openTestStore(dir, { sizeBytes: 64 * MIB });
  let flipCount = 0;
  try {
    for (let round = 0; flipCount < count; round++) {
      for (const page of pages) if (!store.has(page.id)) await putPatiently(store, page);
      // A scan waits for what is still being written.
      for await (const entry of store.scan()) if (entry.lengthBytes === 0) throw new Error('an empty page');
      const targets = pages
        .filter(() => random(2) === 0)
        .slice(0, count - flipCount)
        .flatMap((page) => targetOf(store, page, random));
      flipCount += await flipAndRead(targets);
      for (const page of pages) {
        if ((await inspect(store, page)) === 'wrong') throw new Error('a wrong byte was served');
      }
      if (round % reportRounds === 0) report(`${flipCount} of ${count} flips`);
    }
    return `${flipCount} flips on the device, ${store.stats().corruptCount} pages found bad, 0 wrong bytes`;
  } finally {
    await store.close();
  }
}

/** None for a page that lies in the unaligned end of its file. */
function targetOf(
  store: DiskPageStore,
  page: KnownPage,
  random: (below: number) => number,
): readonly Target[] {
  const handle = pinned(store, page);
  const place = handle.native;
  const path = place && store.segmentPathOf(place.segmentId);
  const endBytes = path === undefined ? 0 : directEndOf(sizeOf(path));
  if (!place || path === undefined || place.offset + place.lengthBytes > endBytes) {
    handle.release();
    return [];
  }
  const flip = { offset: place.offset + random(place.lengthBytes), bit: random(8) };
  return [{ page, handle, path, flip }];
}

/** Gives how many flips were made, which is how many were found. */
async function flipAndRead(targets: readonly Target[]): Promise<number> {
  let flipCount = 0;
  try {
    for (const [path, there] of Map.groupBy(targets, (target) => target.path)) {
      // A segment that was being given up when its pages were pinned has no name any more.
      if (sizeOf(path) === 0) continue;
      flipOnDevice(
        path,
        there.map((target) => target.flip),
      );
      for (const target of there) await expectCorrupt(target);
      flipCount += there.length;
    }
  } finally {
    for (const { handle } of targets) handle.release();
  }
  return flipCount;
}

async function expectCorrupt({ flip, handle, page, path }: Target): Promise<void> {
  try {
    const bytes = await handle.read(0, handle.lengthBytes);
    const what = areEqual(bytes, contentsOf(page)) ? 'was not read from the device' : 'was served';
    throw new Error(`${path}: bit ${flip.bit} of byte ${flip.offset} was flipped, and the page ${what}`);
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'PageCorrupt')) throw thrown;
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return 0;
    throw thrown;
  }
}
