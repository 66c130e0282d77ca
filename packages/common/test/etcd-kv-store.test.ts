import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { makeTestCertificate } from '../../../test/support/certificate.ts';
import { type EtcdServer, startEtcdServer } from '../../../test/support/etcd-server.ts';
import { type Clock, systemClock, systemRandom } from '../src/clock.ts';
import { hasErrorCode } from '../src/errors.ts';
import { silentLogger } from '../src/logger.ts';
import { EtcdKvStore } from '../src/state/etcd-kv-store.ts';
import type { KvEvent, KvStore } from '../src/state/kv-store.ts';
import { JumpingClock } from './support/jumping-clock.ts';
import { kvStoreConformance } from './support/kv-store-conformance.ts';

async function etcdFor(t: Test, options: Parameters<typeof startEtcdServer>[0] = {}): Promise<EtcdServer> {
  const server = await startEtcdServer(options);
  t.teardown(() => server.stop());
  return server;
}

function storeAt(
  t: Test,
  endpoints: readonly string[],
  options: Partial<ConstructorParameters<typeof EtcdKvStore>[0]> = {},
): EtcdKvStore {
  const store = new EtcdKvStore({
    endpoints,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    ...options,
  });
  t.teardown(() => store.close());
  return store;
}

function put(store: KvStore, key: string, value: string) {
  return store.txn({ put: [{ key, value }] });
}

/** Repeats what fails because etcd does not answer, and says how long the whole took. */
async function untilAnswered<T>(call: () => Promise<T>, clock: Clock = systemClock): Promise<[T, number]> {
  const begunAt = clock.monotonic();
  for (;;) {
    try {
      return [await call(), clock.monotonic() - begunAt];
    } catch (thrown) {
      if (!hasErrorCode(thrown, 'StateStoreUnavailable') || clock.monotonic() - begunAt > 20_000)
        throw thrown;
    }
  }
}

async function rejection(call: Promise<unknown>): Promise<{ readonly thrown: unknown; readonly ms: number }> {
  const begunAt = systemClock.monotonic();
  const thrown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { thrown, ms: systemClock.monotonic() - begunAt };
}

function revisionsOf(events: readonly KvEvent[]): readonly number[] {
  return events.map((event) => (event.kind === 'put' ? event.entry.modRevision : event.modRevision));
}

interface Proxy {
  readonly endpoint: string;
  /** Breaks the connections there are, and each new one until `mend`. */
  cut(): void;
  mend(): void;
}

/** A way to etcd that can be cut for one client alone. */
async function proxyTo(t: Test, endpoint: string): Promise<Proxy> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((socket) => {
    const onward = connect({ host: '127.0.0.1', port: Number(new URL(endpoint).port) });
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    if (isCut) socket.destroy();
    else socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  t.teardown(() => {
    cut();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, cut, mend: () => void (isCut = false) };
}

await t.test('one member', async (t) => {
  const server = await etcdFor(t);

  await t.test('keeps what every store promises', async (t) => {
    await kvStoreConformance(t, async (t) => {
      await server.control('del', '', '--from-key');
      const clock = new JumpingClock();
      const store = storeAt(t, server.endpoints, { clock });
      const standStill = async (ms: number): Promise<void> => {
        const renewed = clock.nextSleep(2500);
        clock.jump(ms);
        // Within the lease's time the renewal is awaited: the next one is slept for.
        if (ms < 9000) await renewed;
      };
      return { store, standStill };
    });
  });

  await t.test('a list is whole however many pages it takes', async (t) => {
    await server.control('del', '', '--from-key');
    const store = storeAt(t, server.endpoints);
    const small = Array.from({ length: 3000 }, (_, index) => `many/${String(index).padStart(5, '0')}`);
    for (let at = 0; at < small.length; at += 100)
      await store.txn({ put: small.slice(at, at + 100).map((key) => ({ key, value: key })) });
    const large = Array.from({ length: 12 }, (_, index) => `many/large-${String(index).padStart(2, '0')}`);
    for (const key of large) await put(store, key, 'x'.repeat(1024 * 1024));
    const { entries, revision } = await store.list('many/');
    t.same(
      entries.map(({ key }) => key),
      [...small, ...large],
    );
    t.equal(revision, entries.at(-1)?.modRevision);
    await put(store, 'many/00000', 'changed');
    const events = store.watch('many/', { fromRevision: revision - large.length + 1 }).events;
    let bytes = 0;
    let count = 0;
    for await (const batch of events) {
      count += batch.length;
      for (const event of batch) bytes += event.kind === 'put' ? event.entry.value.length : 0;
      if (count === large.length + 1) break;
    }
    t.equal(
      bytes,
      large.length * 1024 * 1024 + 'changed'.length,
      'a watch catches up over large changes too',
    );
    await server.control('del', '', '--from-key');
  });

  await t.test('a large transaction comes as one batch', async (t) => {
    const store = storeAt(t, server.endpoints);
    const { revision } = await store.list('');
    const keys = Array.from({ length: 100 }, (_, index) => `batch/${index}`);
    for (let round = 0; round < 30; round++)
      await store.txn({ put: keys.map((key) => ({ key, value: 'x'.repeat(10_000) })) });
    let next = revision + 1;
    for await (const batch of store.watch('batch/', { fromRevision: next }).events) {
      t.same([...new Set(revisionsOf(batch))], [next++]);
      t.equal(batch.length, keys.length);
      if (next > revision + 30) break;
    }
  });

  await t.test('frozen, it fails calls within their time and heals by itself', async (t) => {
    const store = storeAt(t, server.endpoints);
    const { revision } = await put(store, 'before', '');
    const batches = store.watch('', { fromRevision: revision + 1 }).events[Symbol.asyncIterator]();
    const first = batches.next();
    await put(store, 'n', '0');
    t.match((await first).value, [{ entry: { key: 'n', value: '0' } }]);
    const pending = batches.next();
    server.freeze();
    const calls = [store.get('n'), store.list(''), put(store, 'n', '1'), store.lease(5000)];
    for (const { thrown, ms } of await Promise.all(calls.map((call) => rejection(call)))) {
      t.ok(hasErrorCode(thrown, 'StateStoreUnavailable'), `fails with ${String(thrown)}`);
      t.ok(ms <= 2500, `after ${Math.round(ms)} ms`);
    }
    server.thaw();
    const [, healedMs] = await untilAnswered(() => put(store, 'n', '2'));
    t.ok(healedMs < 30_000, `answers again after ${Math.round(healedMs)} ms`);
    let last = '';
    for (let next = await pending; !next.done; next = await batches.next()) {
      const event = next.value[0];
      last = event?.kind === 'put' ? event.entry.value : '';
      if (last === '2') break;
    }
    t.equal(last, '2', 'the watch goes on');
  });

  await t.test('a lease is lost by the clock when etcd stands still, and its keys go', async (t) => {
    const store = storeAt(t, server.endpoints);
    const ttlMs = 2000;
    const begunAt = systemClock.monotonic();
    const lease = await store.lease(ttlMs);
    const { revision } = await store.txn({ put: [{ key: 'leased', value: '', lease }] });
    const gone = store
      .watch('leased', { fromRevision: revision + 1 })
      .events[Symbol.asyncIterator]()
      .next();
    const lost = new Promise((resolve) => lease.lost.addEventListener('abort', resolve, { once: true }));
    server.freeze();
    const frozenAt = systemClock.monotonic();
    await lost;
    const now = systemClock.monotonic();
    server.thaw();
    t.ok(now - frozenAt <= ttlMs + 100, `heard ${Math.round(now - frozenAt)} ms after etcd froze`);
    t.ok(now - begunAt >= ttlMs - 1, 'and not before its time');
    t.match((await gone).value, [{ kind: 'delete', key: 'leased' }]);
  });

  await t.test('a lease lives for as long as it is renewed, and over a restart of etcd', async (t) => {
    const failed = Promise.withResolvers<void>();
    const renewed = Promise.withResolvers<void>();
    const note = (_: unknown, event: string): void => {
      if (event === 'state-lease-not-renewed') failed.resolve();
      if (event === 'state-lease-renewed-again') renewed.resolve();
    };
    const store = storeAt(t, server.endpoints, { logger: { ...silentLogger, warn: note, info: note } });
    const lease = await store.lease(6000);
    await store.txn({ put: [{ key: 'leased', value: 'mine', lease }] });
    await server.kill();
    await failed.promise;
    await server.restart();
    await renewed.promise;
    t.notOk(lease.lost.aborted);
    t.equal((await store.get('leased'))?.value, 'mine');
    await lease.revoke();
  });

  await t.test('a watch that was cut off goes on where it was, or says that it cannot', async (t) => {
    const direct = storeAt(t, server.endpoints);
    const proxy = await proxyTo(t, server.endpoints[0] ?? '');
    const store = storeAt(t, [proxy.endpoint]);
    const { revision } = await put(direct, 'a', '0');
    const batches = store.watch('', { fromRevision: revision + 1 }).events[Symbol.asyncIterator]();
    const first = batches.next();
    await put(direct, 'a', '1');
    t.same(revisionsOf((await first).value ?? []), [revision + 1]);
    proxy.cut();
    await put(direct, 'a', '2');
    proxy.mend();
    t.same(revisionsOf((await batches.next()).value ?? []), [revision + 2]);
    proxy.cut();
    const ended = rejection(batches.next());
    await put(direct, 'a', '3');
    const { revision: last } = await put(direct, 'a', '4');
    await server.control('compact', String(last));
    proxy.mend();
    t.match((await ended).thrown, { code: 'StateConflict', message: /list again/ });
    const late = direct.watch('', { fromRevision: revision }).events[Symbol.asyncIterator]();
    await t.rejects(late.next(), { code: 'StateConflict' }, 'and so one that begins in what is compacted');
  });

  await t.test('emptied, it ends the watches that waited for its future', async (t) => {
    const store = storeAt(t, server.endpoints);
    for (let index = 0; index < 20; index++) await put(store, 'a', String(index));
    const { revision } = await store.list('');
    const batches = store.watch('', { fromRevision: revision + 1 }).events[Symbol.asyncIterator]();
    const ended = rejection(batches.next());
    await untilAnswered(() => store.get('a'));
    await server.kill();
    await server.restart({ empty: true });
    const { thrown } = await ended;
    t.ok(hasErrorCode(thrown, 'StateConflict'), String(thrown));
    const ahead = store.watch('', { fromRevision: revision }).events[Symbol.asyncIterator]();
    await t.rejects(ahead.next(), { code: 'StateConflict' }, 'one that begins there too');
  });

  await t.test('nobody there is said with the address and what to do, without secrets', async (t) => {
    const [endpoint = ''] = server.endpoints;
    await server.kill();
    const auth = { username: 'root', password: 'top-secret' };
    const store = storeAt(t, [endpoint], { auth });
    const { thrown, ms } = await rejection(store.get('a'));
    t.ok(ms <= 2500);
    t.match(thrown, {
      code: 'StateStoreUnavailable',
      message: new RegExp(`etcd at ${endpoint} did not answer.*alluxio.etcd.endpoints`),
    });
    t.notMatch(JSON.stringify(thrown, Object.getOwnPropertyNames(thrown)), /top-secret/);
    await server.restart();
  });
});

await t.test('users and passwords', async (t) => {
  const server = await etcdFor(t);
  for (const command of ['user add root:root-password', 'user grant-role root root', 'auth enable'])
    await server.control(...command.split(' '));
  const auth = { username: 'root', password: 'root-password' };
  const store = storeAt(t, server.endpoints, { auth });
  await put(store, 'a', '1');
  t.equal((await store.get('a'))?.value, '1');
  const { revision } = await store.list('');
  const batches = store.watch('', { fromRevision: revision + 1 }).events[Symbol.asyncIterator]();
  const first = batches.next();
  // From now on the tokens that were given out are refused as old.
  await server.control('--user=root:root-password', 'user', 'add', 'other:other-password');
  await put(store, 'a', '2');
  t.match((await first).value, [{ entry: { value: '2' } }]);
  for (const wrong of [{ username: 'root', password: 'wrong-password' }, undefined]) {
    const { thrown } = await rejection(storeAt(t, server.endpoints, wrong ? { auth: wrong } : {}).get('a'));
    t.match(thrown, {
      code: 'StateStoreUnavailable',
      retry: 'never',
      message: /check alluxio.etcd.username/,
    });
    t.notMatch(String(thrown), /wrong-password/);
  }
});

await t.test('TLS, with certificates of both sides', async (t) => {
  const { certificate, key } = makeTestCertificate('etcd');
  const server = await etcdFor(t, { tls: { certificate, key } });
  const store = storeAt(t, server.endpoints, { tls: { ca: certificate, certificate, key } });
  await put(store, 'a', '1');
  t.equal((await store.get('a'))?.value, '1');
  const refused = [
    undefined,
    { ca: certificate },
    { ca: makeTestCertificate('other').certificate, certificate, key },
  ];
  for (const tls of refused) {
    const { thrown } = await rejection(storeAt(t, server.endpoints, tls ? { tls } : {}).get('a'));
    t.ok(hasErrorCode(thrown, 'StateStoreUnavailable'), 'who is not vouched for is refused');
    t.notMatch(String(thrown), /PRIVATE KEY/);
  }
});

await t.test('addresses that cannot be are refused', async (t) => {
  const bad = [
    [],
    ['etcd:2379'],
    ['http://a:1', 'https://b:1'],
    ['http://user:password@a:1'],
    ['ftp://a'],
    ['https://[::1]:2379'],
  ];
  for (const endpoints of bad) t.throws(() => storeAt(t, endpoints), { code: 'InvalidOptions' });
  t.throws(() => storeAt(t, ['http://a:1'], { tls: { ca: '' } }), { code: 'InvalidOptions' });
  t.throws(() => storeAt(t, ['https://a:1'], { tls: { ca: '', certificate: '' } }), {
    code: 'InvalidOptions',
  });
});

await t.test('of three members one may be frozen', async (t) => {
  const server = await etcdFor(t, { memberCount: 3 });
  const store = storeAt(t, server.endpoints);
  await put(store, 'n', 'start');
  server.freeze(((await server.leader()) + 1) % 3);
  for (let index = 0; index < 30; index++) {
    await untilAnswered(() => put(store, 'n', String(index)));
    t.equal((await store.get('n'))?.value, String(index), 'reads find another one each time');
  }
});

await t.test('of three members the leader may be killed', async (t) => {
  const server = await etcdFor(t, { memberCount: 3 });
  const writer = storeAt(t, server.endpoints);
  const reader = storeAt(t, server.endpoints);
  const { revision: start } = await put(writer, 'n', 'start');
  const batches = reader.watch('', { fromRevision: start + 1 }).events[Symbol.asyncIterator]();
  const seen: KvEvent[] = [];
  const reading = (async () => {
    for (let next = await batches.next(); !next.done; next = await batches.next()) {
      seen.push(...next.value);
      if (next.value.some((event) => event.kind === 'put' && event.entry.value === 'end')) return;
    }
  })();
  let gapMaxMs = 0;
  for (let index = 0; index < 60; index++) {
    if (index === 20) await server.kill(await server.leader());
    const [, ms] = await untilAnswered(() => put(writer, 'n', String(index)));
    gapMaxMs = Math.max(gapMaxMs, ms);
  }
  const [{ revision: end }] = await untilAnswered(() => put(writer, 'n', 'end'));
  await reading;
  t.comment(`longest time until a write was answered: ${Math.round(gapMaxMs)} ms`);
  t.ok(gapMaxMs < 30_000, `writes go on after ${Math.round(gapMaxMs)} ms`);
  const all = Array.from({ length: end - start }, (_, index) => start + 1 + index);
  t.same(revisionsOf(seen), all, 'each change is seen once and in order');
});
