import type { Test } from 'tap';
import { hasErrorCode } from '../../src/errors.ts';
import type { KvEvent, KvStore, KvTxn } from '../../src/state/kv-store.ts';

export interface KvStoreHarness {
  readonly store: KvStore;
  /** Keeps the store from renewing leases for `ms`, as when its process stands still or the network is cut. */
  readonly standStill: (ms: number) => Promise<void>;
}

/** What every KvStore promises. `open` gives an empty store; the suite closes it. */
export async function kvStoreConformance(t: Test, open: (t: Test) => Promise<KvStoreHarness>): Promise<void> {
  const withStore = (name: string, run: (t: Test, harness: KvStoreHarness) => Promise<void>) =>
    t.test(name, async (t) => {
      const harness = await open(t);
      try {
        await run(t, harness);
      } finally {
        await harness.store.close();
      }
    });

  await withStore('an absent key is a value, not an error', async (t, { store }) => {
    t.equal(await store.get('a'), undefined);
    t.same((await store.list('')).entries, []);
  });

  await withStore(
    'the revision grows by one with every change and a key carries its own',
    async (t, { store }) => {
      const { revision: start } = await store.list('');
      t.same(await put(store, 'a', '1'), { succeeded: true, revision: start + 1 });
      t.same(await put(store, 'b', '1'), { succeeded: true, revision: start + 2 });
      t.same(await put(store, 'a', '2'), { succeeded: true, revision: start + 3 });
      t.same(await store.get('a'), {
        key: 'a',
        value: '2',
        createRevision: start + 1,
        modRevision: start + 3,
      });
      t.same(await store.txn({ delete: ['nothing'] }), { succeeded: true, revision: start + 3 });
      t.same(await store.txn({ delete: ['a'] }), { succeeded: true, revision: start + 4 });
      await put(store, 'a', '3');
      t.equal((await store.get('a'))?.createRevision, start + 5, 'a key that came again is new');
    },
  );

  await withStore('a transaction happens wholly or not at all', async (t, { store }) => {
    await put(store, 'a', '1');
    const entry = await store.get('a');
    const change: KvTxn = { put: [{ key: 'b', value: '1' }], delete: ['a'] };
    const refused = await store.txn({
      ...change,
      compare: [
        { key: 'a', modRevision: entry?.modRevision ?? 0 },
        { key: 'a', modRevision: 0 },
      ],
    });
    t.same(refused, { succeeded: false, revision: entry?.modRevision });
    t.equal((await store.get('a'))?.value, '1');
    t.equal(await store.get('b'), undefined);
    const compare = [
      { key: 'a', modRevision: entry?.modRevision ?? 0 },
      { key: 'b', modRevision: 0 },
    ];
    t.equal((await store.txn({ ...change, compare })).succeeded, true);
    t.equal(await store.get('a'), undefined);
    t.equal((await store.txn({ ...change, compare })).succeeded, false, 'the second of two loses');
  });

  await withStore('of many that create the same key one wins', async (t, { store }) => {
    const tries = Array.from({ length: 20 }, (_, index) =>
      store.txn({
        compare: [{ key: 'a', modRevision: 0 }],
        put: [{ key: 'a', value: String(index) }],
      }),
    );
    const results = await Promise.all(tries);
    t.equal(results.filter(({ succeeded }) => succeeded).length, 1);
  });

  await withStore('a list is in the byte order of keys and ends with its prefix', async (t, { store }) => {
    const keys = ['x/\u{1F600}', 'x/￿', 'x/b', 'x/a', 'x/B', 'y', 'x'];
    for (const key of keys) await put(store, key, key);
    const { entries } = await store.list('x/');
    t.same(
      entries.map(({ key }) => key),
      ['x/B', 'x/a', 'x/b', 'x/￿', 'x/\u{1F600}'],
    );
  });

  await withStore(
    'a watch from the revision behind a list misses nothing and sees only its prefix',
    async (t, { store }) => {
      await put(store, 'x/a', '0');
      const { revision } = await store.list('x/');
      await put(store, 'x/a', '1');
      await put(store, 'y', '1');
      const watch = store.watch('x/', { fromRevision: revision + 1 });
      const batches = watch.events[Symbol.asyncIterator]();
      t.same(summary(await nextOf(batches)), ['put x/a 1']);
      const waiting = nextOf(batches);
      await store.txn({
        put: [
          { key: 'x/b', value: '2' },
          { key: 'y', value: '2' },
        ],
        delete: ['x/a'],
      });
      t.same(summary(await waiting), ['put x/b 2', 'delete x/a']);
      const last = batches.next();
      watch.close();
      t.equal((await last).done, true, 'closing ends it');
    },
  );

  await withStore('a watch ends with its signal and with its store', async (t, { store }) => {
    const controller = new AbortController();
    const fromRevision = (await store.list('')).revision + 1;
    const aborted = store.watch('', { fromRevision, signal: controller.signal });
    const open = store.watch('', { fromRevision });
    const ends = [aborted, open].map((watch) => watch.events[Symbol.asyncIterator]().next());
    controller.abort();
    t.equal((await ends[0])?.done, true);
    await store.close();
    t.equal((await ends[1])?.done, true);
  });

  await withStore('a lease keeps its keys until it is revoked', async (t, { store, standStill }) => {
    const lease = await store.lease(9000);
    await store.txn({
      put: [
        { key: 'leased', value: '', lease },
        { key: 'freed', value: '', lease },
      ],
    });
    await put(store, 'freed', 'without a lease');
    for (let third = 0; third < 6; third++) await standStill(3000);
    t.ok(await store.get('leased'), 'renewed in time it stays');
    await lease.revoke();
    t.equal(lease.lost.aborted, true);
    t.equal(await store.get('leased'), undefined);
    t.ok(await store.get('freed'), 'a later put without the lease took the key out of it');
    await t.rejects(
      store.txn({ put: [{ key: 'late', value: '', lease }] }),
      { code: 'StateConflict' },
      'nothing goes under a lease that is over',
    );
  });

  await withStore('a lease that was not renewed in time is lost with its keys', async (t, harness) => {
    const { store } = harness;
    const lease = await store.lease(9000);
    const { revision } = await store.txn({ put: [{ key: 'leased', value: '', lease }] });
    const watch = store.watch('leased', { fromRevision: revision + 1 });
    const gone = nextOf(watch.events[Symbol.asyncIterator]());
    const lost = new Promise<void>((resolve) =>
      lease.lost.addEventListener('abort', () => resolve(), { once: true }),
    );
    await harness.standStill(9001);
    await lost;
    t.same(summary(await gone), ['delete leased']);
    t.equal(await store.get('leased'), undefined);
  });

  await withStore('what is out of bounds is refused and changes nothing', async (t, { store }) => {
    const tooMany = Array.from({ length: 129 }, (_, index) => ({ key: `k${index}`, value: '' }));
    const bad: readonly KvTxn[] = [
      { put: [{ key: 'a', value: 'x'.repeat(1024 * 1024 + 1) }] },
      { put: tooMany },
      { put: [{ key: 'a', value: '' }], delete: ['a'] },
      { put: [{ key: '', value: '' }] },
    ];
    for (const txn of bad) await t.rejects(store.txn(txn), { code: 'InvalidArgument' });
    t.same((await store.list('')).entries, []);
    t.ok((await put(store, 'a', 'x'.repeat(1024 * 1024))).succeeded, 'a value of exactly 1 MiB fits');
  });

  await withStore('calls end with their signal, and with the store', async (t, { store }) => {
    const reason = new Error('enough');
    const options = { signal: AbortSignal.abort(reason) };
    await t.rejects(store.get('a', options), reason);
    await t.rejects(store.txn({ put: [{ key: 'a', value: '' }] }, options), reason);
    t.equal(await store.get('a'), undefined);
    await store.close();
    const calls: readonly Promise<unknown>[] = [
      store.get('a'),
      store.list(''),
      store.txn({}),
      store.lease(1000),
    ];
    for (const call of calls) {
      await t.rejects(call, { code: 'StateStoreUnavailable' });
    }
  });
}

/** A watcher that fell behind what the store keeps is told so. For stores that bound their history by `changeCount`. */
export async function compactionConformance(t: Test, store: KvStore, changeCount: number): Promise<void> {
  const { revision } = await store.list('');
  const watch = store.watch('', { fromRevision: revision + 1 });
  const batches = watch.events[Symbol.asyncIterator]();
  await put(store, 'a', '0');
  t.same(summary(await nextOf(batches)), ['put a 0']);
  for (let index = 0; index <= changeCount; index++) await put(store, 'a', String(index));
  const thrown = await batches.next().catch((reason: unknown) => reason);
  t.ok(hasErrorCode(thrown, 'StateConflict'), 'the watch fails with StateConflict');
  const late = store.watch('', { fromRevision: revision }).events[Symbol.asyncIterator]();
  await t.rejects(late.next(), { code: 'StateConflict' });
}

async function put(store: KvStore, key: string, value: string) {
  return store.txn({ put: [{ key, value }] });
}

async function nextOf(batches: AsyncIterator<readonly KvEvent[]>): Promise<readonly KvEvent[]> {
  const result = await batches.next();
  return result.done ? [] : result.value;
}

function summary(events: readonly KvEvent[]): readonly string[] {
  return events.map((event) =>
    event.kind === 'put' ? `put ${event.entry.key} ${event.entry.value}` : `delete ${event.key}`,
  );
}
