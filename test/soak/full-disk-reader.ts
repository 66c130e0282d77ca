/**
 * Reads files through a cache whose disk is smaller than the cache may be: `full-disk-reader.ts <directory>`. Ends with code 0 when every read
 * gave the right bytes and the cache went on to hit after each time that the disk was full.
 */

import { setTimeout } from 'node:timers/promises';
import { systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { MIB } from '@alluxio-ts/common/units';
import { DiskPageStore } from '../../packages/worker/src/page-store/disk-page-store.ts';
import { lruPolicy } from '../../packages/worker/src/page-store/lru-policy.ts';
import { CacheRig, contentOf, pageSizeBytes } from '../../packages/worker/test/support/cache-rig.ts';
import { ManualClock } from '../support/manual-clock.ts';

const probePauseMs = 1000;
const fileCount = 60;
const roundCount = 20;
const probesMax = 3;

const [, , dir] = process.argv;
if (dir === undefined) throw new Error('name a directory');
const clock = new ManualClock();
const store = await DiskPageStore.open({
  dir,
  sizeBytes: 64 * MIB,
  segmentSizeBytes: 2 * MIB,
  pageSizeBytes,
  clock,
  random: systemRandom,
  logger: silentLogger,
  policy: lruPolicy,
  probePauseMs,
});
const rig = new CacheRig({ clock, store });

async function readRight(number: number): Promise<string> {
  const { bytes, outcome } = await rig.read(`f${number}`);
  await rig.filler.idle();
  if (!Buffer.from(contentOf(number, pageSizeBytes)).equals(bytes))
    throw new Error(`wrong bytes of f${number}`);
  return outcome;
}

/** What a full disk gives up first may be a segment that was broken off and frees little; so more than one try is granted. */
async function untilHit(number: number): Promise<void> {
  for (let tries = 0; tries < probesMax; tries++) {
    while (store.health().state !== 'ok') {
      clock.advance(probePauseMs / 10);
      await setTimeout(1);
    }
    await readRight(number);
    if ((await readRight(number)) === 'hit') return;
  }
  throw new Error(`${probesMax} times after the disk was full and left alone, it took nothing`);
}

for (let number = 0; number < fileCount; number++) {
  await rig.memory.write(`f${number}`, contentOf(number, pageSizeBytes));
}
const counts = new Map<string, number>();
for (let round = 0; round < roundCount; round++) {
  for (let number = 0; number < fileCount; number++) {
    const outcome = await readRight(number);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  }
  await untilHit(round);
}
if (!counts.has('bypass-disk')) throw new Error('the disk was never full');
const { failedReclaimCount, failedWriteCount } = store.health();
await rig.close();
process.stdout.write(
  `${JSON.stringify({ ...Object.fromEntries(counts), failedWriteCount, failedReclaimCount })}\n`,
);
