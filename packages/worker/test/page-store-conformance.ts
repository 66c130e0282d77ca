/** What every page store does, whatever it keeps pages in. */

import type { Test } from 'tap';
import { fileKeyOf } from '@alluxio-ts/common/page';
import { KIB } from '@alluxio-ts/common/units';
import type { PageStore, ScanEntry } from '../src/page-store/page-store.ts';
import {
  type KnownPage,
  areEqual,
  contentsOf,
  getPage,
  knownPage,
  pinned,
  putPage,
} from './page-contents.ts';

export interface PageStoreMaker {
  readonly name: string;
  open(
    t: Test,
    options: { readonly capacityBytes: number; readonly pageSizeBytes: number },
  ): Promise<PageStore>;
}

const pageSizeBytes = 256 * KIB;
const capacityBytes = 8 * 1024 * KIB;

export function pageStoreConformance(t: Test, maker: PageStoreMaker): void {
  const withStore = (name: string, body: (t: Test, store: PageStore) => Promise<void>): void => {
    void t.test(`${maker.name}: ${name}`, async (t) => {
      const store = await maker.open(t, { capacityBytes, pageSizeBytes });
      try {
        await body(t, store);
      } finally {
        await store.close();
      }
    });
  };

  withStore('a page that is here is verified, one that is not is not', async (t, store) => {
    const pages = [1, 65_536, 65_537, 262_144].map((lengthBytes, fileNumber) =>
      knownPage(fileNumber, lengthBytes, { pageSizeBytes }),
    );
    const ids = pages.map(({ id }) => id);
    t.same(await store.verify(ids), [false, false, false, false]);
    for (const [number, page] of pages.entries()) {
      await putPage(store, page);
      t.same(
        await store.verify(ids),
        ids.map((_, other) => other <= number),
      );
    }
    for (const [number, id] of ids.entries()) {
      store.remove(id, 'freed');
      t.same(
        await store.verify(ids),
        ids.map((_, other) => other > number),
      );
    }
    t.same(await store.verify([]), []);
  });

  withStore('a finished page is read back whole and in part', async (t, store) => {
    for (const [fileNumber, lengthBytes] of [
      1, 5, 4096, 65_535, 65_536, 65_537, 200_000, 262_144,
    ].entries()) {
      const page = knownPage(fileNumber, lengthBytes, { pageSizeBytes });
      const bytes = contentsOf(page);
      t.equal(await putPage(store, page), true);
      const handle = pinned(store, page);
      t.equal(handle.lengthBytes, lengthBytes);
      for (const [from, to] of rangesOf(lengthBytes)) {
        const part = await handle.read(from, to);
        t.ok(areEqual(part, bytes.subarray(from, to)), `bytes ${from} to ${to} of ${lengthBytes}`);
      }
      handle.release();
    }
  });

  withStore('what was never written is a miss', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    t.equal(store.get(page.id), undefined);
    t.equal(store.has(page.id), false);
    await putPage(store, page);
    t.equal(store.has(page.id), true);
    t.equal(store.get(knownPage(1, 1000, { pageSizeBytes, index: 1 }).id), undefined, 'another page');
    t.equal(
      store.get(knownPage(1, 1000, { pageSizeBytes, version: '"b"' }).id),
      undefined,
      'another version',
    );
  });

  withStore('a page is not there before its writer finishes, and never after it aborts', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    const writer = store.openWriter(page.id, page.origin, page.lengthBytes);
    t.equal(store.has(page.id), false);
    await writer?.write(contentsOf(page));
    t.equal(store.has(page.id), false);
    writer?.abort();
    t.equal(store.has(page.id), false);
    store.openWriter(page.id, page.origin, page.lengthBytes)?.abort();
    t.equal(store.has(page.id), false);
    t.equal(store.stats().pageCount, 0);
  });

  withStore('writers under way at once do not touch one another', async (t, store) => {
    const pages = [1, 2, 3, 4, 5, 6].map((number) => knownPage(number, 30_000 * number, { pageSizeBytes }));
    const writers = pages.map((page) => store.openWriter(page.id, page.origin, page.lengthBytes));
    await Promise.all(writers.map(async (writer, at) => writer?.write(contentsOf(pages[at] as KnownPage))));
    for (const writer of writers.toReversed()) writer?.finish();
    for (const page of pages) {
      const bytes = await getPage(store, page);
      t.ok(bytes && areEqual(bytes, contentsOf(page)));
    }
  });

  withStore('bytes in shared memory are taken', async (t, store) => {
    const page = knownPage(1, 100_000, { pageSizeBytes });
    const shared = new Uint8Array(new SharedArrayBuffer(200_000), 5000, 100_000);
    shared.set(contentsOf(page));
    t.equal(await putPage(store, page, shared), true);
    shared.fill(0);
    const bytes = await getPage(store, page);
    t.ok(bytes && areEqual(bytes, contentsOf(page)));
  });

  withStore('a page written again replaces the first', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    await putPage(store, page);
    await putPage(store, page);
    t.equal(store.stats().pageCount, 1);
    t.equal(store.stats().pageBytes, 1000);
    t.ok(await getPage(store, page));
  });

  withStore('a removed page is a miss, and its handle still reads', async (t, store) => {
    const page = knownPage(1, 100_000, { pageSizeBytes });
    await putPage(store, page);
    const handle = store.get(page.id);
    store.remove(page.id, 'freed');
    store.remove(page.id, 'freed');
    t.equal(store.get(page.id), undefined);
    t.ok(handle && areEqual(await handle.read(0, 100_000), contentsOf(page)));
    handle?.release();
    t.match(store.stats(), { pageCount: 0, pageBytes: 0, corruptCount: 0, evictedCount: 0 });
  });

  withStore('a page taken out as corrupt is counted', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    await putPage(store, page);
    store.remove(page.id, 'corrupt');
    t.equal(store.stats().corruptCount, 1);
  });

  withStore('a page that does not fit the store is not taken', async (t, store) => {
    const { id, origin } = knownPage(1, 1000, { pageSizeBytes });
    t.equal(store.openWriter(id, origin, 0), undefined, 'no byte');
    t.equal(store.openWriter(id, origin, pageSizeBytes + 1), undefined, 'more than a page');
    const other = knownPage(1, 1000, { pageSizeBytes: 2 * pageSizeBytes });
    t.equal(store.openWriter(other.id, other.origin, 1000), undefined, 'another page size');
    t.throws(
      () => store.openWriter(other.id, origin, 1000),
      { code: 'Internal' },
      'a name of another origin',
    );
  });

  withStore('a writer and a handle that are misused say so', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    const writer = store.openWriter(page.id, page.origin, page.lengthBytes);
    t.throws(() => writer?.finish(), { code: 'Internal' }, 'finish before write');
    await t.rejects(
      writer?.write(new Uint8Array(999)) ?? Promise.resolve(),
      { code: 'Internal' },
      'a short page',
    );
    await writer?.write(contentsOf(page));
    writer?.finish();
    const handle = pinned(store, page);
    await t.rejects(handle.read(0, 1001), { code: 'Internal' }, 'a range beyond the end');
    t.equal((await handle.read(7, 7)).length, 0, 'an empty range');
    handle.release();
    handle.release();
    await t.rejects(handle.read(0, 1), { code: 'Internal' }, 'a read after release');
  });

  withStore('a scan gives every page with its origin to the letter', async (t, store) => {
    const pages = [1, 2, 3].map((number) =>
      knownPage(number, 1000 * number, { pageSizeBytes, index: number }),
    );
    const odd = { ufsPath: 's3://bücket/a//b/%2F/../ż', version: '"x"-ü', pageSizeBytes };
    for (const page of pages) await putPage(store, page);
    const oddPage = { id: { file: fileKeyOf(odd), index: 9 }, origin: odd, lengthBytes: 77 };
    await putPage(store, oddPage);
    const found: ScanEntry[] = [];
    for await (const entry of store.scan()) found.push(entry);
    const wanted = [...pages, oddPage].map(({ id, lengthBytes, origin }) => ({
      origin,
      index: id.index,
      lengthBytes,
    }));
    t.same(found.sort(byIndex), wanted.sort(byIndex));
    await t.rejects(async () => {
      for await (const entry of store.scan({ signal: AbortSignal.abort(new Error('enough')) }))
        t.fail(entry.origin.ufsPath);
    }, /enough/);
  });

  withStore(
    'after everything is removed nothing is left, a reader goes on, and the store takes pages again',
    async (t, store) => {
      const pages = [1, 2, 3, 4].map((number) => knownPage(number, 200_000, { pageSizeBytes }));
      for (const page of pages) await putPage(store, page);
      const [held, ...others] = pages as [KnownPage, ...KnownPage[]];
      const handle = pinned(store, held);
      t.same(await store.removeAll('freed'), { pageCount: 4, pageBytes: 800_000 });
      for (const page of pages) t.equal(store.has(page.id), false);
      t.ok(
        areEqual(await handle.read(0, held.lengthBytes), contentsOf(held)),
        'who holds a page reads it to its end',
      );
      handle.release();
      t.match(store.stats(), { pageCount: 0, pageBytes: 0, usedBytes: 0, evictedCount: 0 });
      t.same(await store.removeAll('freed'), { pageCount: 0, pageBytes: 0 });
      for (const page of others) t.equal(await putPage(store, page), true);
      t.equal(store.stats().pageCount, 3);
    },
  );

  withStore('the bound holds and the least recently used pages go first', async (t, store) => {
    const kept = knownPage(0, pageSizeBytes, { pageSizeBytes });
    await putPage(store, kept);
    let refusedCount = 0;
    let usedMaxBytes = 0;
    for (let number = 1; number <= 120; number++) {
      const page = knownPage(number, pageSizeBytes, { pageSizeBytes });
      while (!(await putPage(store, page))) {
        // The store makes room in the background.
        if (++refusedCount > 10_000) throw new Error('the store takes nothing any more');
        await new Promise((resolve) => setImmediate(resolve));
      }
      usedMaxBytes = Math.max(usedMaxBytes, store.stats().usedBytes);
      store.get(kept.id)?.release();
    }
    t.ok(usedMaxBytes <= capacityBytes, 'used bytes stay within the capacity');
    t.ok(store.has(kept.id), 'a page in steady use stays');
    t.notOk(store.has(knownPage(1, pageSizeBytes, { pageSizeBytes }).id), 'an old one goes');
    t.ok(store.has(knownPage(120, pageSizeBytes, { pageSizeBytes }).id), 'the newest is there');
    const { evictedBytes, evictedCount, pageCount } = store.stats();
    t.ok(evictedCount > 80, 'evictions are counted');
    t.equal(evictedBytes, evictedCount * pageSizeBytes);
    t.ok(pageCount >= 14, 'at least half of the capacity holds pages');
  });

  withStore('after close everything is a miss', async (t, store) => {
    const page = knownPage(1, 1000, { pageSizeBytes });
    await putPage(store, page);
    const writer = store.openWriter(page.id, page.origin, page.lengthBytes);
    await Promise.all([store.close(), store.close()]);
    writer?.abort();
    t.equal(store.get(page.id), undefined);
    t.equal(store.has(page.id), false);
    t.equal(store.openWriter(page.id, page.origin, page.lengthBytes), undefined);
  });
}

function rangesOf(lengthBytes: number): readonly (readonly [number, number])[] {
  const middle = Math.floor(lengthBytes / 2);
  const edge = Math.min(lengthBytes, 65_536);
  return [
    [0, lengthBytes],
    [middle, lengthBytes],
    [0, middle],
    [edge, lengthBytes],
    [edge - 1, edge],
    [middle, middle],
  ];
}

function byIndex(one: ScanEntry, other: ScanEntry): number {
  return one.index - other.index;
}
