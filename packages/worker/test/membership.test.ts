import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import type { AlluxioError } from '@alluxio-ts/common/errors';
import { buildHashRing, identityOfHost } from '@alluxio-ts/common/hash-ring';
import { silentLogger } from '@alluxio-ts/common/logger';
import { workerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import {
  encodeWorkerEntity,
  livePrefixOf,
  registeredPrefixOf,
  workerEntity,
  workerNameOf,
} from '@alluxio-ts/common/protocol/worker-entity';
import { EtcdKvStore } from '@alluxio-ts/common/state/etcd-kv-store';
import type { KvStore } from '@alluxio-ts/common/state/kv-store';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { type EtcdServer, startEtcdServer } from '../../../test/support/etcd-server.ts';
import { DepartureGuard } from '../src/cluster/departure-guard.ts';
import { type ClusterMember, Membership, type MembershipOptions } from '../src/cluster/membership.ts';
import { type MemberSource, RingPlacement } from '../src/cluster/ring-placement.ts';
import { readOrCreateWorkerIdentity } from '../src/cluster/worker-identity.ts';

const leaseTtlMs = 2000;

/** Made once: asked for again, tap would empty it. */
const directory = t.testdir();

function addressOf(host: string) {
  return workerNetAddress({ host, httpServerPort: 28080, webPort: 30000, s3Port: 29998 });
}

function nameOf(host: string): string {
  return workerNameOf(identityOfHost(host));
}

interface JoinOptions extends Partial<MembershipOptions> {
  readonly store: KvStore;
  readonly host: string;
  readonly clusterName: string;
}

function membershipOf(t: Test, { host, ...options }: JoinOptions): Membership {
  const membership = new Membership({
    identity: identityOfHost(host),
    failureDetectionTimeoutMs: leaseTtlMs,
    snapshotFile: join(directory, `${options.clusterName}-${host}`, 'members'),
    clock: systemClock,
    logger: silentLogger,
    onConflict: (error) => t.fail(error.message),
    ...options,
  });
  t.teardown(() => membership.close());
  return membership;
}

async function joined(t: Test, options: JoinOptions): Promise<Membership> {
  const membership = membershipOf(t, options);
  await membership.recall();
  await membership.start(addressOf(options.host));
  return membership;
}

function liveHosts(membership: Membership): readonly string[] {
  return membership.members
    .filter(({ isLive }) => isLive)
    .map(({ address }) => address.Host)
    .sort();
}

/** Resolves when the live members are these; a test that waits in vain runs into its timeout. */
async function untilLive(membership: Membership, ...hosts: readonly string[]): Promise<void> {
  const wanted = JSON.stringify([...hosts].sort());
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = (): void => {
    if (JSON.stringify(liveHosts(membership)) === wanted) resolve();
  };
  const end = membership.onChange(check);
  check();
  await promise;
  end();
}

await t.test('an identity is made once and kept', async (t) => {
  const file = join(directory, 'conf', 'worker_identity');
  const [one, other] = await Promise.all([1, 2].map(() => readOrCreateWorkerIdentity(file, systemRandom)));
  t.same(one, other, 'two that make it at once agree');
  t.same(await readOrCreateWorkerIdentity(file, systemRandom), one);
  const uuid = randomUUID();
  writeFileSync(file, `# made by another version\n\n${uuid}\n`);
  const given = await readOrCreateWorkerIdentity(file, systemRandom);
  t.equal(workerNameOf(given), `worker-${uuid}`);
  for (const bad of ['', '# nothing\n', 'worker-1', `${uuid}\n${uuid}`, uuid.slice(1)]) {
    writeFileSync(file, bad);
    await t.rejects(readOrCreateWorkerIdentity(file, systemRandom), {
      code: 'InvalidOptions',
      message: new RegExp(`${file} does not hold one UUID`),
    });
  }
});

await t.test('departures of more than half within a lease time are doubted for one', async (t) => {
  const mapOf = (...names: readonly string[]) => new Map(names.map((name) => [name, name]));
  const names = (guarded: { readonly members: ReadonlyMap<string, string> }) =>
    [...guarded.members.keys()].sort();
  const guard = new DepartureGuard<string>(100);
  guard.update(mapOf('a', 'b', 'c', 'd'), 0);
  t.same(names(guard.update(mapOf('b', 'c', 'd'), 1)), ['b', 'c', 'd'], 'one may go');
  t.same(names(guard.update(mapOf('c', 'd'), 2)), ['c', 'd'], 'half may go');
  const held = guard.update(mapOf('d'), 3);
  t.same([names(held), held.held, held.heldUntil], [['c', 'd'], ['c'], 103], 'more than half may not');
  t.same(names(guard.update(mapOf('d', 'e'), 50)), ['c', 'd', 'e'], 'who comes is let in meanwhile');
  t.same(names(guard.update(mapOf('d', 'e'), 103)), ['d', 'e'], 'after its time it is believed');
  guard.update(mapOf('a', 'b', 'c', 'd'), 1000);
  t.equal(guard.update(mapOf(), 1001).held.length, 4);
  const back = guard.update(mapOf('a', 'b', 'c'), 1002);
  t.same(
    [names(back), back.heldUntil],
    [['a', 'b', 'c'], undefined],
    'when most are back, the rest has gone',
  );
  t.equal(guard.update(mapOf(), 5000).heldUntil, 5100, 'the doubt begins anew each time');
  t.same(names(guard.update(mapOf(), 5100)), []);
});

await t.test('members of an emptied store are held for a lease time', async (t) => {
  const clock = new ManualClock();
  const store = new MemoryKvStore({ clock, random: systemRandom });
  const clusterName = 'held';
  const hosts = ['a', 'b', 'c', 'd'];
  for (const host of hosts.slice(1)) {
    const value = encodeWorkerEntity(workerEntity(identityOfHost(host), addressOf(host)));
    await store.txn({ put: [{ key: `${livePrefixOf(clusterName)}${nameOf(host)}`, value }] });
  }
  const membership = await joined(t, { store, host: 'a', clusterName, clock });
  t.same(liveHosts(membership), hosts);
  await store.txn({ delete: hosts.slice(1).map((host) => `${livePrefixOf(clusterName)}${nameOf(host)}`) });
  await clock.pass(leaseTtlMs - 100);
  t.same(liveHosts(membership), hosts);
  await clock.pass(100);
  t.same(liveHosts(membership), ['a']);
});

await t.test('a worker whose place another one took is told so', async (t) => {
  const clock = new ManualClock();
  const store = new MemoryKvStore({ clock, random: systemRandom });
  const clusterName = 'taken';
  const told: AlluxioError[] = [];
  const onConflict = (error: AlluxioError): void => void told.push(error);
  const membership = await joined(t, { store, host: 'a', clusterName, clock, onConflict });
  const value = encodeWorkerEntity(workerEntity(identityOfHost('a'), addressOf('thief')));
  await store.txn({ put: [{ key: `${livePrefixOf(clusterName)}${nameOf('a')}`, value }] });
  for (let second = 0; second < 10 && told.length === 0; second++) await clock.pass(1000);
  t.match(told[0], { code: 'AlreadyExists', message: /live worker at thief/ });
  t.notOk(membership.isRegistered);
  t.equal(
    (await store.get(`${livePrefixOf(clusterName)}${nameOf('a')}`))?.value,
    value,
    'the other keeps it',
  );
});

function sourceOf(
  initial: readonly ClusterMember[],
): MemberSource & { set(members: readonly ClusterMember[]): void } {
  let members = initial;
  const listeners = new Set<() => void>();
  return {
    get members() {
      return members;
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set: (next) => {
      members = next;
      for (const listener of listeners) listener();
    },
  };
}

await t.test('owners are those of the ring of the members', async (t) => {
  const memberOf = (host: string, isLive = true): ClusterMember => ({
    ...workerEntity(identityOfHost(host), addressOf(host)),
    isLive,
  });
  const byName = (members: readonly ClusterMember[]) =>
    [...members].sort((one, other) => (one.name < other.name ? -1 : 1));
  const all = byName(['a', 'b', 'c', 'd'].map((host) => memberOf(host)));
  const source = sourceOf([]);
  const options = {
    provider: 'DEFAULT',
    virtualNodeCount: 2000,
    ownerCount: 2,
    logger: silentLogger,
  } as const;
  const self = () => addressOf('self');
  const dynamic = new RingPlacement(source, { ...options, isDynamic: true, self });
  const fixed = new RingPlacement(source, { ...options, isDynamic: false, self });
  t.same(dynamic.ownersOf('s3://b/x'), [addressOf('self')], 'alone, a worker owns everything');
  source.set(all);
  const paths = Array.from({ length: 300 }, (_, index) => `s3://b/file-${index}`);
  const ownersBy = (members: readonly ClusterMember[]) => {
    const ring = buildHashRing(
      members.map(({ identity, address }) => ({ ...identity, address })),
      options,
    );
    return paths.map((path) => ring.getMultiple(path, 2).map(({ address }) => address));
  };
  const ownersOf = (placement: RingPlacement) => paths.map((path) => placement.ownersOf(path));
  t.same(ownersOf(dynamic), ownersBy(all));
  t.same(ownersOf(fixed), ownersBy(all));
  source.set(all.map((member) => ({ ...member, isLive: member.address.Host !== 'c' })));
  t.same(
    ownersOf(dynamic),
    ownersBy(all.filter(({ address }) => address.Host !== 'c')),
    'a lost one has no files',
  );
  t.same(ownersOf(fixed), ownersBy(all), 'in static mode it keeps them');
  source.set(all.map((member) => ({ ...member, address: { ...member.address, HttpServerPort: 1 } })));
  t.ok(
    dynamic.ownersOf('s3://b/x').every(({ HttpServerPort }) => HttpServerPort === 1),
    'a move is followed',
  );
  dynamic.close();
  fixed.close();
  source.set([]);
  t.equal(dynamic.ownersOf('s3://b/x')[0]?.HttpServerPort, 1);
});

await t.test('in etcd', async (t) => {
  const server: EtcdServer = await startEtcdServer();
  t.teardown(() => server.stop());
  const storeFor = (t: Test): KvStore => {
    const { endpoints } = server;
    const store = new EtcdKvStore({
      endpoints,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    t.teardown(() => store.close());
    return store;
  };
  const valueAt = async (key: string): Promise<string> =>
    (await server.control('get', key, '--print-value-only')).trim();

  await t.test('workers see each other come and go', async (t) => {
    const clusterName = 'come-and-go';
    const a = await joined(t, { store: storeFor(t), host: 'a', clusterName });
    const b = await joined(t, { store: storeFor(t), host: 'b', clusterName });
    await untilLive(a, 'a', 'b');
    t.same(liveHosts(b), ['a', 'b']);
    const value = encodeWorkerEntity(workerEntity(identityOfHost('b'), addressOf('b')));
    t.equal(await valueAt(`${livePrefixOf(clusterName)}${nameOf('b')}`), value);
    t.equal(await valueAt(`${registeredPrefixOf(clusterName)}${nameOf('b')}`), value);
    const begunAt = systemClock.monotonic();
    await b.close();
    await untilLive(a, 'a');
    t.ok(systemClock.monotonic() - begunAt < leaseTtlMs, 'who leaves is gone at once');
    t.match(
      a.members.filter(({ isLive }) => !isLive).map(({ address }) => address.Host),
      ['b'],
      'and stays registered',
    );
  });

  await t.test('a worker whose lease or key was taken away registers again', async (t) => {
    const clusterName = 'again';
    const a = await joined(t, { store: storeFor(t), host: 'a', clusterName });
    const observer = await joined(t, { store: storeFor(t), host: 'observer', clusterName });
    const key = `${livePrefixOf(clusterName)}${nameOf('a')}`;
    const revisionOf = async (): Promise<number> => (await store.get(key))?.createRevision ?? 0;
    const store = storeFor(t);
    await untilLive(observer, 'a', 'observer');
    const takings = [
      async () => {
        const text = await server.control('get', key, '-w', 'fields');
        const lease = BigInt(/"Lease" : (\d+)/.exec(text)?.[1] ?? '0').toString(16);
        await server.control('lease', 'revoke', lease);
      },
      () => server.control('del', key),
    ];
    for (const take of takings) {
      const before = await revisionOf();
      const watch = store.watch(key, { fromRevision: before + 1 });
      await take();
      for await (const events of watch.events) {
        if (events.some((event) => event.kind === 'put')) break;
      }
      t.ok((await revisionOf()) > before);
      await untilLive(observer, 'a', 'observer');
    }
    t.ok(a.isRegistered);
  });

  await t.test('a copy of an identity is refused while its holder lives', async (t) => {
    const clusterName = 'copy';
    const store = storeFor(t);
    const a = await joined(t, { store, host: 'a', clusterName });
    const copy = membershipOf(t, {
      store: storeFor(t),
      host: 'copy',
      clusterName,
      identity: identityOfHost('a'),
    });
    await t.rejects(copy.start(addressOf('copy')), {
      code: 'AlreadyExists',
      message: /live worker at a .*worker-0cc175b9.* identity file of its own/,
    });
    t.same(liveHosts(a), ['a']);
    t.ok(a.isRegistered);
  });

  await t.test('a worker that moved takes its place when its old lease is over', async (t) => {
    const clusterName = 'moved';
    const store = storeFor(t);
    const lease = /lease (\w+) granted/.exec(await server.control('lease', 'grant', '2'))?.[1] ?? '';
    const before = encodeWorkerEntity(workerEntity(identityOfHost('a'), addressOf('old')));
    await server.control('put', `--lease=${lease}`, `${livePrefixOf(clusterName)}${nameOf('a')}`, before);
    await server.control('put', `${registeredPrefixOf(clusterName)}${nameOf('a')}`, before);
    const a = await joined(t, { store, host: 'a', clusterName });
    t.match(a.members, [{ address: { Host: 'a' }, isLive: true }]);
    t.match(JSON.parse(await valueAt(`${registeredPrefixOf(clusterName)}${nameOf('a')}`)), {
      WorkerNetAddress: { Host: 'a' },
    });
  });

  await t.test(
    'with etcd away a worker starts with the last known members, and joins when it is back',
    async (t) => {
      const clusterName = 'away';
      const snapshotFile = join(directory, 'kept-members');
      const b = await joined(t, { store: storeFor(t), host: 'b', clusterName });
      const first = await joined(t, { store: storeFor(t), host: 'a', clusterName, snapshotFile });
      await untilLive(first, 'a', 'b');
      const known = first.members;
      await server.kill();
      await first.close();
      const registered = Promise.withResolvers<void>();
      const note = (_: unknown, event: string): void => {
        if (event === 'worker-registered') registered.resolve();
      };
      const logger = { ...silentLogger, info: note };
      const again = await joined(t, { store: storeFor(t), host: 'a', clusterName, snapshotFile, logger });
      t.same(again.members, known);
      t.notOk(again.isRegistered);
      const bad = Buffer.from(readFileSync(snapshotFile));
      bad[40] = (bad[40] ?? 0) ^ 1;
      const badFile = join(directory, 'bad-members');
      writeFileSync(badFile, bad);
      const blind = await joined(t, { store: storeFor(t), host: 'c', clusterName, snapshotFile: badFile });
      t.same(blind.members, [], 'a damaged file is as good as none');
      await server.restart();
      await untilLive(blind, 'a', 'b', 'c');
      await untilLive(again, 'a', 'b', 'c');
      await registered.promise;
      t.ok(again.isRegistered);
      await untilLive(b, 'a', 'b', 'c');
    },
  );

  await t.test('emptied, etcd gets its workers back, and nobody loses one meanwhile', async (t) => {
    const clusterName = 'emptied';
    const hosts = ['a', 'b', 'c'];
    const members: Membership[] = [];
    for (const host of hosts) members.push(await joined(t, { store: storeFor(t), host, clusterName }));
    await Promise.all(members.map((member) => untilLive(member, ...hosts)));
    const fewest = members.map(() => hosts.length);
    for (const [index, member] of members.entries()) {
      member.onChange(() => {
        fewest[index] = Math.min(fewest[index] ?? 0, liveHosts(member).length);
      });
    }
    await server.kill();
    await server.restart({ empty: true });
    const store = storeFor(t);
    const { revision } = await store.list('');
    const prefix = livePrefixOf(clusterName);
    for await (const events of store.watch(prefix, { fromRevision: Math.min(revision, 2) }).events) {
      t.ok(events.every((event) => event.kind === 'put'));
      if ((await store.list(prefix)).entries.length === hosts.length) break;
    }
    await Promise.all(members.map((member) => untilLive(member, ...hosts)));
    t.same(fewest, [3, 3, 3]);
  });
});
