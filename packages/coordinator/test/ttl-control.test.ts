import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import { decodeTtlRule, ttlMsOf, ttlRulesPrefixOf } from '@alluxio-ts/common/protocol/ttl-rules';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { TtlControl } from '../src/control/ttl-control.ts';

async function open(t: Test) {
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  t.teardown(() => store.close());
  await store.txn({ put: [{ key: `${mountsPrefixOf('c')}s3`, value: 'a mount' }] });
  const create = () =>
    new TtlControl({ store, clusterName: 'c', random: systemRandom, logger: silentLogger });
  return { store, control: create(), create };
}

await t.test('a rule is put under its directory, changed, listed and removed', async (t) => {
  const { control, store } = await open(t);
  const added = await control.put({ path: '/s3/data', time: '1h' }, { mustExist: false });
  t.same(added, { path: '/s3/data/', time: '1h' });
  await control.put({ path: '/s3/data//', time: '2d' }, { mustExist: true });
  await control.put({ path: '/s3', time: '1s' }, { mustExist: false });
  t.same(await control.list(), [
    { path: '/s3/', time: '1s' },
    { path: '/s3/data/', time: '2d' },
  ]);
  const { entries } = await store.list(ttlRulesPrefixOf('c'));
  t.equal(entries[1]?.key, '/alluxio-ts/c/rules/ttl//s3/data/');
  t.equal(entries[1]?.value, '{"schema":1,"path":"/s3/data/","time":"2d"}');
  await store.txn({ delete: [`${mountsPrefixOf('c')}s3`] });
  t.same(await control.remove('/s3/data'), { path: '/s3/data/', time: '2d' }, 'its mount need not be there');
  await t.rejects(control.remove('/s3/data'), { code: 'RuleNotFound', message: /alluxio ttl list/ });
});

await t.test('what is not below a mount, or is to be there and is not, is refused', async (t) => {
  const { control } = await open(t);
  for (const path of ['/', '/s', '/s3x/', '//s3/']) {
    await t.rejects(control.put({ path, time: '1h' }, { mustExist: false }), { code: 'MountNotFound' }, path);
  }
  await t.rejects(control.put({ path: '/s3/a', time: '1h' }, { mustExist: true }), {
    code: 'RuleNotFound',
    message: 'there is no TTL rule for /s3/a/; "alluxio ttl list" shows them',
  });
  t.same(await control.list(), []);
});

await t.test('a rule that is removed while it is changed stays removed', async (t) => {
  const { control, store } = await open(t);
  await control.put({ path: '/s3/a', time: '1h' }, { mustExist: false });
  const list = store.list.bind(store);
  store.list = async (prefix, call) => {
    const found = await list(prefix, call);
    await store.txn({ delete: [`${ttlRulesPrefixOf('c')}/s3/a/`] });
    return found;
  };
  await t.rejects(control.put({ path: '/s3/a', time: '2h' }, { mustExist: true }), { code: 'RuleNotFound' });
  t.same(await control.list(), []);
});

await t.test('of many at once none is lost, and there is a bound', async (t) => {
  const { control, create, store } = await open(t);
  for (let from = 0; from < 998; from += 100) {
    const put = Array.from({ length: Math.min(100, 998 - from) }, (_, index) => ({
      key: `${ttlRulesPrefixOf('c')}/s3/many-${from + index}/`,
      value: '{"schema":1,"path":"/s3/many/","time":"1h"}',
    }));
    await store.txn({ put });
  }
  const results = await Promise.allSettled(
    ['x', 'y', 'z'].map((name) => create().put({ path: `/s3/${name}`, time: '1h' }, { mustExist: false })),
  );
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 2, 'there was room for two');
  t.match(
    results.find(({ status }) => status === 'rejected'),
    {
      reason: { code: 'InvalidArgument', message: /1000 rules, their bound/ },
    },
  );
  await control.put({ path: '/s3/many-1', time: '2h' }, { mustExist: false });
});

t.test('times have bounds, and what the store holds is checked', async (t) => {
  t.equal(ttlMsOf('1s'), 1000);
  t.equal(ttlMsOf('36500d'), 3_153_600_000_000);
  for (const text of ['999ms', '0', '36501d', `${'9'.repeat(400)}d`, 'soon', '-1h']) {
    t.throws(() => ttlMsOf(text), { code: /^Invalid/ }, text);
  }
  t.same(decodeTtlRule('k', '{"schema":1,"path":"/s3/","time":"1h","later":true}'), {
    path: '/s3/',
    time: '1h',
  });
  for (const value of [
    '',
    '{}',
    '{"schema":2,"path":"/s3/","time":"1h"}',
    '{"schema":1,"path":"s3","time":"1h"}',
  ]) {
    t.throws(() => decodeTtlRule('k', value), { code: 'Internal' }, value);
  }
});
