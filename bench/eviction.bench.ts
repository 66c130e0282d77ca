/**
 * What each policy would keep: hits in per cent of all requests, on traces made from a seed. `node bench/eviction.bench.ts [seed, 1] [part of a trace's name]`. The policies of the page store run over its log
 * of 64 segments and say in brackets how much they write for each page that is filled; the others evict page by page.
 */

import { MIB } from '@alluxio-ts/common/units';
import { AdaptivePolicy } from '@alluxio-ts/worker/page-store/adaptive-policy';
import { fifoPolicy } from '@alluxio-ts/worker/page-store/fifo-policy';
import { FrequencyPolicy } from '@alluxio-ts/worker/page-store/frequency-policy';
import { lruPolicy } from '@alluxio-ts/worker/page-store/lru-policy';
import type { EvictionPolicy } from '@alluxio-ts/worker/page-store/eviction-policy';
import { optimumHits, type PageCache, referenceCaches } from './eviction/reference-caches.ts';
import { SegmentLogCache } from './eviction/segment-log.ts';
import { allTraces, type Trace } from './eviction/traces.ts';

const seed = Number(process.argv[2] ?? 1);
const only = process.argv[3] ?? '';
const shares = [0.05, 0.2, 0.5];

const storePolicies: Readonly<Record<string, (pagesMax: number) => EvictionPolicy>> = {
  fifo: () => fifoPolicy,
  lru: () => lruPolicy,
  frequency: (pagesMax) => new FrequencyPolicy({ capacityBytes: pagesMax * 4 * MIB }),
  adaptive: (pagesMax) => new AdaptivePolicy({ capacityBytes: pagesMax * 4 * MIB }),
};

const columns = [...Object.keys(referenceCaches), 'optimum', ...Object.keys(storePolicies)];
console.log(`| trace, pages kept | ${columns.join(' | ')} |`);
console.log(`|${'---|'.repeat(columns.length + 1)}`);
for (const trace of allTraces(seed)) {
  if (!trace.name.includes(only)) continue;
  for (const share of shares) {
    const pagesMax = Math.floor(share * 10_000);
    console.log(`| ${trace.name}, ${pagesMax} | ${rowOf(trace, pagesMax).join(' | ')} |`);
  }
}

function rowOf(trace: Trace, pagesMax: number): readonly string[] {
  const { pages } = trace;
  const cells = Object.values(referenceCaches).map((make) => percent(hitsOf(make(pagesMax), pages), pages));
  cells.push(percent(optimumHits(pages, pagesMax), pages));
  for (const make of Object.values(storePolicies)) {
    const cache = new SegmentLogCache(make(pagesMax), pagesMax);
    const hits = percent(hitsOf(cache, pages), pages);
    cells.push(`${hits} (${(1 + cache.copiedCount / cache.filledCount).toFixed(2)})`);
  }
  return cells;
}

function hitsOf(cache: PageCache, pages: Uint32Array): number {
  let hits = 0;
  for (const page of pages) if (cache.use(page)) hits++;
  return hits;
}

function percent(hits: number, pages: Uint32Array): string {
  return ((100 * hits) / pages.length).toFixed(1);
}
