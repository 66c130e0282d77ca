import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { claimsPrefixOf, encodeClaim } from '@alluxio-ts/common/protocol/guard';
import { rulesGuardKeyOf, rulesPrefixOf } from '@alluxio-ts/common/protocol/rules';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { RuleControl } from '../src/control/rule-control.ts';

function open(t: Test) {
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  t.teardown(() => store.close());
  const create = () =>
    new RuleControl({ store, clusterName: 'c', random: systemRandom, logger: silentLogger });
  return { store, control: create(), create };
}

await t.test('a rule is put, replaced by its pattern, listed and removed', async (t) => {
  const { control, store } = open(t);
  const rule = { pattern: 's3://b/tmp/.*', data: 'skipCache' };
  t.same(await control.put(rule), rule);
  const other = { pattern: 's3://b/tmp/.*', metadata: 'maxAge=10s' };
  await control.put(other);
  t.same(await control.list(), [other]);
  const { entries } = await store.list(rulesPrefixOf('c'));
  t.equal(entries[0]?.key, '/alluxio-ts/c/rules/cache/s3://b/tmp/.*');
  t.equal(entries[0]?.value, '{"schema":1,"pattern":"s3://b/tmp/.*","metadata":"maxAge=10s"}');
  t.same(await control.remove('s3://b/tmp/.*'), other);
  await t.rejects(control.remove('s3://b/tmp/.*'), { code: 'RuleNotFound', message: /alluxio rule list/ });
});

await t.test('of many at once none is lost, and there is a bound', async (t) => {
  const { control, create, store } = open(t);
  await Promise.all([0, 1, 2].map((index) => create().put({ pattern: `p${index}`, data: 'immutable' })));
  t.equal((await control.list()).length, 3);
  const value = '{"schema":1,"pattern":"x","data":"immutable"}';
  for (let from = 0; from < 1000; from += 100) {
    const put = Array.from({ length: 100 }, (_, index) => ({
      key: `${rulesPrefixOf('c')}many-${from + index}`,
      value,
    }));
    await store.txn({ put });
  }
  await store.txn({ delete: Array.from({ length: 4 }, (_, index) => `${rulesPrefixOf('c')}many-${index}`) });
  const results = await Promise.allSettled(
    ['x', 'y', 'z'].map((pattern) => create().put({ pattern, data: 'immutable' })),
  );
  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1, 'there was room for one');
  await t.rejects(control.put({ pattern: 'one more', data: 'immutable' }), {
    code: 'InvalidArgument',
    message: /1000 rules, their bound/,
  });
  await control.put({ pattern: 'p0', data: 'skipCache' });
});

await t.test('nothing is added while workers are about to put back what an emptied store had', async (t) => {
  const { control, store } = open(t);
  const claim = {
    key: `${claimsPrefixOf(rulesGuardKeyOf('c'))}one`,
    value: encodeClaim({ schema: 1, id: 'before', revision: 7 }),
  };
  await store.txn({ put: [claim] });
  await t.rejects(control.put({ pattern: 'p', data: 'immutable' }), {
    code: 'StateConflict',
    message: /came back empty, and 1 workers are about to put back/,
  });
  await store.txn({ delete: [claim.key] });
  await control.put({ pattern: 'p', data: 'immutable' });
});
