/**
 * How far sampled shadow caches are from whole ones, what a read costs, and what they take: `node --expose-gc bench/shadow-caches.bench.ts [samples, 160000] [seed, 1]`.
 * The traces are those of `eviction.bench.ts`, over so many samples.
 */

import { GIB, KIB, MIB } from '@alluxio-ts/common/units';
import { ShadowCaches, shadowCachesMaxBytes } from '@alluxio-ts/worker/page-store/shadow-caches';
import { pageIdOf } from './eviction/segment-log.ts';
import { shadowErrorsOf } from './eviction/shadow-error.ts';
import { allTraces, randomOf } from './eviction/traces.ts';

const samples = Number(process.argv[2] ?? 160_000);
const seed = Number(process.argv[3] ?? 1);

benchCost('pages of 4 MiB', 4 * MIB);
benchCost('pages of 64 KiB', 64 * KIB);
console.log('| trace, pages kept | one in | size, policy: sampled (whole) % | largest error |');
console.log('|---|---|---|---|');
for (const trace of allTraces(seed, samples)) {
  for (const share of [0.2, 0.5]) {
    const errors = shadowErrorsOf(trace, share * samples);
    const cells = errors.map(
      ({ hitRatio, policy, sizeFactor, wholeRatio }) =>
        `${sizeFactor}x ${policy} ${percent(hitRatio)} (${percent(wholeRatio)})`,
    );
    const worst = Math.max(...errors.map(({ hitRatio, wholeRatio }) => Math.abs(hitRatio - wholeRatio)));
    const { pagesPerSample = 0 } = errors[0] ?? {};
    console.log(
      `| ${trace.name}, ${share * samples} | ${pagesPerSample} | ${cells.join(', ')} | ${percent(worst)} |`,
    );
  }
}

function percent(ratio: number): string {
  return (100 * ratio).toFixed(1);
}

/** A TiB of cache, read at random from four times as much. */
function benchCost(name: string, lengthBytes: number): void {
  const shadows = new ShadowCaches({ capacityBytes: 1024 * GIB, pageSizeBytes: 4 * MIB, policy: 'ADAPTIVE' });
  const random = randomOf(seed);
  const pages = Array.from({ length: 1_000_000 }, () =>
    pageIdOf(Math.floor(random() * 4 * ((1024 * GIB) / lengthBytes))),
  );
  const held = usedBytes();
  const rounds = 20;
  let sampledNs = 0;
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    // Other pages of the same file in each round.
    for (const { file } of pages) shadows.onAccess({ file, index: round }, lengthBytes, false);
    if (round > rounds / 2) sampledNs += Number(process.hrtime.bigint() - start);
  }
  const meanNs = sampledNs / ((rounds / 2 - 1) * pages.length);
  const strangers = pages.filter((page) => !isSampled(shadows, page, lengthBytes));
  const start = process.hrtime.bigint();
  for (let round = 0; round < 10; round++)
    for (const page of strangers) shadows.onAccess(page, lengthBytes, false);
  const unsampledNs = Number(process.hrtime.bigint() - start) / (10 * strangers.length);
  const takenMib = (usedBytes() - held) / MIB;
  console.log(
    `${name}: ${meanNs.toFixed(0)} ns a read, ${unsampledNs.toFixed(1)} ns one that is not sampled, one page in ${shadows.curve()?.pagesPerSample} sampled, ` +
      `${takenMib.toFixed(1)} MiB taken (tables ${(shadows.memoryBytes / MIB).toFixed(1)}) of at most ${shadowCachesMaxBytes / MIB}`,
  );
}

function isSampled(shadows: ShadowCaches, page: ReturnType<typeof pageIdOf>, lengthBytes: number): boolean {
  const before = shadows.sampledCount;
  shadows.onAccess(page, lengthBytes, false);
  return shadows.sampledCount > before;
}

function usedBytes(): number {
  globalThis.gc?.();
  const { arrayBuffers, heapUsed } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
