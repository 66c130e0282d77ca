import { KIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { randomOf } from '../../../bench/eviction/traces.ts';
import { type CacheRig, contentOf, pageSizeBytes, withRig } from './support/cache-rig.ts';

/** The pages that were asked for since the last time, in order. */
function pagesAsked(rig: CacheRig): readonly number[] {
  const reads = rig.ufs.calls.filter(({ operation }) => operation === 'read');
  rig.ufs.calls.length = 0;
  return reads.map(({ offset = 0 }) => offset / pageSizeBytes);
}

async function readPage(rig: CacheRig, key: string, index: number): Promise<string> {
  const { outcome } = await rig.read(key, { from: index * pageSizeBytes, to: (index + 1) * pageSizeBytes });
  await rig.filler.idle();
  return outcome;
}

void t.test(
  'a reader that asks for page after page finds the next ones under way, more and more of them',
  async (t) => {
    await withRig(t, {}, async (rig) => {
      const content = contentOf(1, 16 * pageSizeBytes);
      await rig.memory.write('a', content);
      const asked: (readonly number[])[] = [];
      for (let index = 0; index < 16; index++) {
        t.equal(await readPage(rig, 'a', index), 'miss', 'what was fetched for this reader is no hit of it');
        asked.push(pagesAsked(rig));
      }
      t.same(asked.slice(0, 7), [[0], [1, 2], [3, 4], [5, 6, 7], [8], [9], [10]]);
      t.same(asked.flat(), [...Array(16).keys()], 'each page once');
      t.equal(rig.ufs.byteCount('a'), content.length);
      t.equal(rig.ahead.startedBytes, 14 * pageSizeBytes);
      rig.clock.advance(120_000);
      rig.readAhead.sweep();
      t.equal(rig.ahead.unusedBytes, 0);
      t.equal(await readPage(rig, 'a', 15), 'hit', 'of another reader it is one');
    });
  },
);

void t.test('small requests in order begin it after a page', async (t) => {
  await withRig(t, {}, async (rig) => {
    const stepBytes = 64 * KIB;
    await rig.memory.write('a', contentOf(2, 8 * pageSizeBytes));
    const asked: (readonly number[])[] = [];
    for (let from = 0; from < 3 * pageSizeBytes; from += stepBytes) {
      await rig.read('a', { from, to: from + stepBytes });
      await rig.filler.idle();
      const pages = pagesAsked(rig);
      if (pages.length > 0) asked.push(pages);
    }
    t.same(asked, [[0], [1, 2], [3, 4]]);
  });
});

void t.test('whoever jumps about has nothing fetched that it did not ask for', async (t) => {
  await withRig(t, {}, async (rig) => {
    const pageCount = 64;
    await rig.memory.write('a', contentOf(3, pageCount * pageSizeBytes));
    const seed = 7;
    t.comment(`seed ${seed}`);
    const random = randomOf(seed);
    const touched = new Set<number>();
    for (let read = 0; read < 100; read++) {
      // Some within a page, some over the edges of several.
      const lengthBytes = read % 2 === 0 ? 100 : Math.floor(2.5 * pageSizeBytes);
      const from = Math.floor(random() * (pageCount * pageSizeBytes - lengthBytes));
      await rig.read('a', { from, to: from + lengthBytes });
      await rig.filler.idle();
      const last = Math.floor((from + lengthBytes - 1) / pageSizeBytes);
      for (let index = Math.floor(from / pageSizeBytes); index <= last; index++) touched.add(index);
      t.equal(rig.ufs.byteCount('a'), touched.size * pageSizeBytes);
    }
  });
});

void t.test('one request over many pages is served ahead of itself, and not beyond its end', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(4, 16 * pageSizeBytes));
    await rig.read('a', { from: 0, to: 10 * pageSizeBytes });
    await rig.filler.idle();
    t.same(pagesAsked(rig), [...Array(10).keys()]);
    await rig.read('a', { from: 10 * pageSizeBytes, to: 10 * pageSizeBytes + 1 });
    await rig.filler.idle();
    t.same(pagesAsked(rig), [10, 11, 12, 13, 14], 'but who goes on from there is known');
  });
});

void t.test('several readers of a file are each followed', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(5, 30 * pageSizeBytes));
    const asked: (readonly number[])[] = [];
    for (let step = 0; step < 3; step++) {
      for (const from of [0, 10, 20]) await readPage(rig, 'a', from + step);
      asked.push(pagesAsked(rig));
    }
    t.same(asked, [
      [0, 10, 20],
      [1, 2, 11, 12, 21, 22],
      [3, 4, 13, 14, 23, 24],
    ]);
  });
});

void t.test('what is in the store costs nothing, and where it ends the reader is fast at once', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(6, 12 * pageSizeBytes));
    await rig.read('a', { from: 0, to: 4 * pageSizeBytes });
    await rig.filler.idle();
    pagesAsked(rig);
    for (let index = 0; index < 4; index++) {
      t.equal(await readPage(rig, 'a', index), 'hit');
      t.same(pagesAsked(rig), []);
    }
  });
});

void t.test('fills that somebody waits for find memory, however many readers go on', async (t) => {
  await withRig(t, { slotCount: 8 }, async (rig) => {
    const keys = ['a', 'b', 'c', 'd'];
    for (const [seed, key] of keys.entries()) {
      await rig.memory.write(key, contentOf(seed, 8 * pageSizeBytes));
      await readPage(rig, key, 0);
    }
    pagesAsked(rig);
    const gate = rig.ufs.hold({ operation: 'read', times: 100 });
    const reads = keys.map((key) => rig.read(key, { from: pageSizeBytes, to: 2 * pageSizeBytes }));
    await gate.reached;
    while (rig.filler.runningCount < 6) await new Promise((resolve) => setImmediate(resolve));
    t.equal(rig.slots.freeCount, 2, 'four that are waited for, two ahead');
    gate.open();
    for (const { outcome } of await Promise.all(reads)) t.equal(outcome, 'miss');
  });
});

void t.test('what nobody came to is counted', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(8, 8 * pageSizeBytes + 100));
    for (const index of [0, 1, 2]) await readPage(rig, 'a', index);
    t.equal(rig.ahead.startedBytes, 3 * pageSizeBytes);
    rig.clock.advance(59_000);
    rig.readAhead.sweep();
    t.equal(rig.ahead.unusedBytes, 0, 'it may come back');
    rig.clock.advance(2000);
    rig.readAhead.sweep();
    t.equal(rig.ahead.unusedBytes, 2 * pageSizeBytes);
    rig.readAhead.sweep();
    t.equal(rig.ahead.unusedBytes, 2 * pageSizeBytes, 'once');
  });
});

void t.test('it can be switched off', async (t) => {
  await withRig(t, { aheadPagesMax: 0 }, async (rig) => {
    await rig.memory.write('a', contentOf(9, 8 * pageSizeBytes));
    for (let index = 0; index < 8; index++) {
      await readPage(rig, 'a', index);
      t.same(pagesAsked(rig), [index]);
    }
  });
});

void t.test('another version of the file is another file', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(10, 8 * pageSizeBytes));
    await readPage(rig, 'a', 0);
    await rig.memory.write('a', contentOf(11, 8 * pageSizeBytes));
    rig.clock.advance(120_000);
    await readPage(rig, 'a', 1);
    t.same(pagesAsked(rig), [0, 1]);
  });
});
