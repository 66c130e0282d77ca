/** The what-if curve: sampled models against whole ones, and what it says of a cache as it is used. */

import t from 'tap';
import { hashOfWords } from '@alluxio-ts/common/row-table';
import { KIB, MIB, GIB } from '@alluxio-ts/common/units';
import { pageIdOf } from '../../../bench/eviction/segment-log.ts';
import { shadowErrorsOf } from '../../../bench/eviction/shadow-error.ts';
import { allTraces, randomOf } from '../../../bench/eviction/traces.ts';
import { ShadowCaches, shadowCachesMaxBytes } from '../src/page-store/shadow-caches.ts';

const seed = Number(process.env['TEST_SEED'] ?? 1);

t.test('one page in two tells within two points what all would', async (t) => {
  t.comment(`seed ${seed}`);
  const traces = allTraces(seed, 18_000).filter(({ name }) =>
    ['epochs + 20 % hot', 'zipf + scan', 'recency'].includes(name),
  );
  t.equal(traces.length, 3);
  for (const trace of traces) {
    for (const { hitRatio, pagesPerSample, policy, sizeFactor, wholeRatio } of shadowErrorsOf(trace, 9000)) {
      const said = `${trace.name}, ${sizeFactor}x ${policy}: ${hitRatio.toFixed(3)} for ${wholeRatio.toFixed(3)}`;
      t.ok(pagesPerSample === 2 && Math.abs(hitRatio - wholeRatio) < 0.02, said);
    }
  }
});

t.test('more of the hottest pages in the sample than their share do not move the curve', async (t) => {
  const options = { capacityBytes: 64 * GIB, pageSizeBytes: 4 * MIB, policy: 'LRU' } as const;
  const random = randomOf(seed);
  /** Half of all reads are of one page, the others of as many as fit four times. */
  const ratioWith = (hot: number): number => {
    const shadows = new ShadowCaches({ ...options, windowReads: Number.POSITIVE_INFINITY });
    for (let read = 0; read < 100_000; read++) {
      const page = read % 2 === 0 ? hot : 1000 + Math.floor(random() * 65_536);
      shadows.onAccess(pageIdOf(page), 4 * MIB, false);
    }
    return shadows.curve()?.points.find(({ sizeFactor }) => sizeFactor === 1)?.hitRatio ?? 0;
  };
  const ratios = Array.from({ length: 16 }, (_, hot) => ratioWith(hot));
  t.ok(Math.max(...ratios) - Math.min(...ratios) < 0.06, ratios.map((ratio) => ratio.toFixed(3)).join(' '));
});

t.test('small pages are sampled less, so that memory keeps its bound', async (t) => {
  const shadows = new ShadowCaches({ capacityBytes: 64 * GIB, pageSizeBytes: 4 * MIB, policy: 'ADAPTIVE' });
  for (let page = 0; page < 2_000_000; page++) shadows.onAccess(pageIdOf(page), 16 * KIB, false);
  t.ok((shadows.curve()?.pagesPerSample ?? 0) >= 32, `one in ${shadows.curve()?.pagesPerSample}`);
  t.ok(shadows.memoryBytes < shadowCachesMaxBytes / 2, `${shadows.memoryBytes} bytes of tables`);
});

t.test('the sample has nothing in common by which the tables place their pages', async (t) => {
  const shadows = new ShadowCaches({
    capacityBytes: 1024 * GIB,
    pageSizeBytes: 4 * MIB,
    policy: 'FIFO',
  });
  const lowBits = new Set<number>();
  for (let number = 0; number < 200_000; number++) {
    const before = shadows.sampledCount;
    const page = pageIdOf(number);
    shadows.onAccess(page, 4 * MIB, false);
    if (shadows.sampledCount > before) lowBits.add(hashOfWords(page.file.a, page.index) & 63);
  }
  t.equal(shadows.curve()?.pagesPerSample, 64);
  t.equal(lowBits.size, 64);
});

t.test('pages of load jobs count as there, uses in a batch after the first as hits', async (t) => {
  const shadows = new ShadowCaches({ capacityBytes: GIB, pageSizeBytes: MIB, policy: 'FIFO' });
  t.equal(shadows.curve(), undefined, 'nothing is said of nothing');
  for (let page = 0; page < 100; page++) shadows.onLoaded(pageIdOf(page), MIB);
  for (let page = 0; page < 200; page++) shadows.onAccess(pageIdOf(page), MIB, page < 150, 4);
  const curve = shadows.curve();
  t.match(curve, { readCount: 800, hitRatio: 750 / 800, pagesPerSample: 1 });
  t.same(
    curve?.points.map(({ policy, sizeFactor }) => `${sizeFactor}x ${policy}`),
    ['0.5x FIFO', '1x FIFO', '2x FIFO', '4x FIFO', '1x ADAPTIVE', '1x LFU', '1x LRU'],
  );
  t.ok(curve?.points.every(({ hitRatio }) => hitRatio === 700 / 800));
});
