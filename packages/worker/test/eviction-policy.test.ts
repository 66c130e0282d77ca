import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { optimumHits, referenceCaches } from '../../../bench/eviction/reference-caches.ts';
import { SegmentLogCache } from '../../../bench/eviction/segment-log.ts';
import { allTraces } from '../../../bench/eviction/traces.ts';
import type { EvictionPolicy, PageView, SegmentView, StoreView } from '../src/page-store/eviction-policy.ts';
import { fifoPolicy } from '../src/page-store/fifo-policy.ts';
import { AdaptivePolicy } from '../src/page-store/adaptive-policy.ts';
import { FrequencyPolicy } from '../src/page-store/frequency-policy.ts';
import { FrequencySketch } from '../src/page-store/frequency-sketch.ts';
import { lruPolicy } from '../src/page-store/lru-policy.ts';
import { PolicyDuel } from '../src/page-store/policy-duel.ts';

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

const capacityOf = (pagesMax: number) => ({ capacityBytes: pagesMax * 4 * MIB });
const adaptive = (pagesMax: number): EvictionPolicy => new AdaptivePolicy(capacityOf(pagesMax));
const traces = allTraces(Number(process.env['TEST_SEED'] ?? 7));

for (const trace of traces) {
  const pagesMax = 5000;
  const { length } = trace.pages;
  const optimum = (100 * optimumHits(trace.pages, pagesMax)) / length;

  if (trace.name.startsWith('epochs, ') || /job/.test(trace.name)) {
    t.test(`ADAPTIVE on "${trace.name}" has at least 95 % of the hits that can be had`, async (t) => {
      const hits = hitsOf(adaptive(pagesMax), trace.pages, pagesMax);
      t.ok(hits >= 0.95 * optimum, `${hits} of ${optimum}`);
      t.ok(hits > 2 * hitsOf(lruPolicy, trace.pages, pagesMax), 'more than twice those of LRU');
    });
  } else {
    t.test(
      `ADAPTIVE on "${trace.name}" is within 2.5 points of the best that evicts page by page`,
      async (t) => {
        let best = 0;
        for (const make of Object.values(referenceCaches)) {
          const cache = make(pagesMax);
          let hits = 0;
          for (const page of trace.pages) if (cache.use(page)) hits++;
          best = Math.max(best, (100 * hits) / length);
        }
        const hits = hitsOf(adaptive(pagesMax), trace.pages, pagesMax);
        t.ok(hits >= best - 2.5, `${hits}, the best ${best}, the optimum ${optimum}`);
        t.ok(optimum >= best, 'and the optimum is one');
      },
    );
  }
}

for (const pagesMax of [500, 2000]) {
  t.test(
    `a working set that moves on and is larger than ${pagesMax} pages is kept as LRU would`,
    async (t) => {
      const { pages = new Uint32Array() } = traces.find(({ name }) => name === 'recency') ?? {};
      const hits = hitsOf(adaptive(pagesMax), pages, pagesMax);
      const byLru = hitsOf(lruPolicy, pages, pagesMax);
      const byLfu = hitsOf(new FrequencyPolicy(capacityOf(pagesMax)), pages, pagesMax);
      t.ok(hits >= byLru - 1, `${hits}, LRU ${byLru}`);
      t.ok(hits > byLfu + 10, `LFU ${byLfu}`);
    },
  );
}

t.test(
  'epochs after a moving set, and a moving set after epochs, have the policy that fits them',
  async (t) => {
    const pagesMax = 2000;
    const pagesOf = (wanted: string) =>
      traces.find(({ name }) => name === wanted)?.pages ?? new Uint32Array();
    const [epochs, moving] = [pagesOf('epochs, shuffled'), pagesOf('recency')];
    const cache = new SegmentLogCache(adaptive(pagesMax), pagesMax);
    const shareOf = (pages: Uint32Array): number => {
      let hits = 0;
      for (const page of pages) if (cache.use(page)) hits++;
      return (100 * hits) / pages.length;
    };
    const shares = [moving, epochs, moving].map(shareOf);
    const best = [hitsOf(lruPolicy, moving, pagesMax), (100 * optimumHits(epochs, pagesMax)) / epochs.length];
    t.comment(`${shares.join(', ')} of ${best.join(', ')}`);
    t.ok((shares[0] ?? 0) > (best[0] ?? 0) - 1);
    t.ok((shares[1] ?? 0) > 0.8 * (best[1] ?? 0), 'an epoch goes by until it is known for one');
    t.ok((shares[2] ?? 0) > (best[0] ?? 0) - 3);
  },
);

t.test(
  'of two policies one leads while it hits clearly more, and stays ahead until the other does',
  async (t) => {
    const duelOf = (pageCount: number): PolicyDuel =>
      new PolicyDuel({ pageCount, first: () => fifoPolicy, second: () => lruPolicy });
    /** One page in three is of those that are used again and again. */
    const use = (duel: PolicyDuel, count: number): void => {
      for (let read = 0; read < count; read++) {
        duel.used(pageOf(read % 3 === 0 ? read % 300 : 1_000_000 + read));
      }
    };
    const whole = duelOf(512);
    t.notOk(whole.isSecondAhead);
    use(whole, 20_000);
    t.ok(whole.isSecondAhead, 'LRU keeps what is used again');
    for (let read = 0; read < 20_000; read++) whole.used(pageOf(9_000_000 + read));
    t.ok(whole.isSecondAhead, 'neither has a hit');
  },
);

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
