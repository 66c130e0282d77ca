import t from 'tap';
import { optimumHits, referenceCaches } from '../../../bench/eviction/reference-caches.ts';
import { SegmentLogCache } from '../../../bench/eviction/segment-log.ts';
import { allTraces } from '../../../bench/eviction/traces.ts';
import type { EvictionPolicy, PageView, SegmentView, StoreView } from '../src/page-store/eviction-policy.ts';
import { fifoPolicy } from '../src/page-store/fifo-policy.ts';
import { FrequencyPolicy } from '../src/page-store/frequency-policy.ts';
import { FrequencySketch } from '../src/page-store/frequency-sketch.ts';
import { lruPolicy } from '../src/page-store/lru-policy.ts';

const segment: Omit<SegmentView, 'id'> = {
  sizeBytes: 1000,
  pageCount: 4,
  pageBytes: 1000,
  tickMean: 10,
  tickLast: 20,
};
const empty = { ...segment, id: 5, pageCount: 0, pageBytes: 0, tickMean: 0 };

function storeOf(tickMean: number): StoreView {
  return { tick: 100, tickMean, pageCount: 100, sample: () => [] };
}

function pageOf(number: number): PageView['page'] {
  return { file: { a: Math.imul(number + 1, 0x85eb_ca6b) >>> 0, b: 0, c: 0 }, index: 0 };
}

t.test('LRU gives up the segment that is oldest and keeps its youngest pages', async (t) => {
  const old = { ...segment, id: 1 };
  const young = { ...segment, id: 2, tickMean: 50 };
  const store = storeOf(4);
  t.equal(lruPolicy.chooseSegment([young, old], store), old);
  const sparse = { ...young, id: 3, pageCount: 1, pageBytes: 10 };
  const segments = [young, { ...sparse, tickMean: 51 }, { ...young, tickMean: 52 }];
  t.equal(lruPolicy.chooseSegment(segments, store).id, 3, 'of those of an age the emptiest');
  t.equal(lruPolicy.chooseSegment([young, empty], store), empty);

  const pages = [5, 9, 7, 1].map((tick) => ({ page: pageOf(tick), lengthBytes: 100, tick }));
  t.same(
    lruPolicy.choosePages(pages, { budgetBytes: 250, store }).map(({ tick }) => tick),
    [9, 7],
  );
  t.same(lruPolicy.choosePages(pages, { budgetBytes: 250, store: storeOf(9) }), [], 'nothing above the mean');
});

t.test('FIFO gives up the first segment whole, and before it one without pages', async (t) => {
  const first = { ...segment, id: 1 };
  t.equal(fifoPolicy.chooseSegment([first, { ...segment, id: 2, tickMean: 0 }], storeOf(0)), first);
  t.equal(fifoPolicy.chooseSegment([first, empty], storeOf(0)), empty);
  const pages = [{ page: pageOf(1), lengthBytes: 1, tick: 99 }];
  t.same(fifoPolicy.choosePages(pages, { budgetBytes: 1000, store: storeOf(0) }), []);
});

t.test('the sketch counts to 15, forgets by halves, and mixes up few', async (t) => {
  const sketch = new FrequencySketch({ countersPerRow: 4096 });
  const hashOf = (number: number): number => Math.imul(number + 1, 0x9e37_79b1) >>> 0;
  for (let number = 0; number < 1000; number++) {
    for (let use = 0; use < 1 + (number % 5); use++) sketch.add(hashOf(number));
  }
  let tooHigh = 0;
  for (let number = 0; number < 1000; number++) {
    const estimate = sketch.estimate(hashOf(number));
    if (estimate < 1 + (number % 5)) t.fail(`${number} was used more often than ${estimate}`);
    if (estimate > 1 + (number % 5)) tooHigh++;
  }
  t.ok(tooHigh < 20, `${tooHigh} of 1000 too high`);
  for (let use = 0; use < 40; use++) sketch.add(hashOf(7));
  t.equal(sketch.estimate(hashOf(7)), 15);
  sketch.halve();
  t.equal(sketch.estimate(hashOf(7)), 7);
  t.equal(sketch.estimate(hashOf(4)), 2);
  t.equal(sketch.memoryBytes, 4 * 2048);
});

/** Hits in per cent. */
function hitsOf(policy: EvictionPolicy, pages: Uint32Array, pagesMax: number): number {
  const cache = new SegmentLogCache(policy, pagesMax);
  let hits = 0;
  for (const page of pages) if (cache.use(page)) hits++;
  t.ok(cache.copiedCount <= cache.filledCount, 'no page is written more than twice');
  return (100 * hits) / pages.length;
}

const frequency = (): EvictionPolicy => new FrequencyPolicy({ capacityBytes: 2 ** 31 });

for (const trace of allTraces(Number(process.env['TEST_SEED'] ?? 7))) {
  const pagesMax = 5000;
  const { length } = trace.pages;
  const optimum = (100 * optimumHits(trace.pages, pagesMax)) / length;

  if (trace.name.startsWith('epochs, ') || trace.name === 'job switch') {
    t.test(`LFU on "${trace.name}" has at least 95 % of the hits that can be had`, async (t) => {
      const hits = hitsOf(frequency(), trace.pages, pagesMax);
      t.ok(hits >= 0.95 * optimum, `${hits} of ${optimum}`);
      t.ok(hits > 2 * hitsOf(lruPolicy, trace.pages, pagesMax), 'more than twice those of LRU');
    });
  } else {
    t.test(`LFU on "${trace.name}" is within 2.5 points of the best that evicts page by page`, async (t) => {
      let best = 0;
      for (const make of Object.values(referenceCaches)) {
        const cache = make(pagesMax);
        let hits = 0;
        for (const page of trace.pages) if (cache.use(page)) hits++;
        best = Math.max(best, (100 * hits) / length);
      }
      const hits = hitsOf(frequency(), trace.pages, pagesMax);
      t.ok(hits >= best - 2.5, `${hits}, the best ${best}, the optimum ${optimum}`);
      t.ok(optimum >= best, 'and the optimum is one');
    });
  }
}

t.test('the parts of a page are one use, though others are read between them', async (t) => {
  let useCount = 0;
  const counting: EvictionPolicy = { ...fifoPolicy, used: () => void useCount++ };
  const cache = new SegmentLogCache(counting, 5000);
  for (let page = 0; page < 4000; page += 8) {
    for (let part = 0; part < 16; part++) {
      for (let stream = 0; stream < 8; stream++) cache.use(page + stream);
    }
  }
  t.equal(cache.filledCount, 4000);
  // As long as there are few pages the parts are told apart.
  t.ok(useCount < 4000 + 16 * 128, `${useCount} uses of 4000 pages in 16 parts each`);
});
