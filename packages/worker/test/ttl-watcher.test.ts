import { join } from 'node:path';
import { systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { encodeGuard } from '@alluxio-ts/common/protocol/guard';
import { encodeTtlRule, ttlRulesGuardKeyOf, ttlRulesPrefixOf } from '@alluxio-ts/common/protocol/ttl-rules';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { TtlRules } from '../src/cache/ttl-rules.ts';
import { TtlWatcher } from '../src/cluster/ttl-watcher.ts';
import { SwitchedStore } from './support/switched-store.ts';

const prefix = ttlRulesPrefixOf('c');

function open(t: Test) {
  const clock = new ManualClock();
  const memory = new MemoryKvStore({ clock, random: systemRandom });
  const store = new SwitchedStore(memory);
  const snapshotFile = join(t.testdir(), 'ttl-rules.snapshot');
  t.teardown(() => memory.close());
  const put = async (path: string, time: string, value = encodeTtlRule({ path, time })): Promise<void> => {
    const guard = { key: ttlRulesGuardKeyOf('c'), value: encodeGuard({ schema: 1, id: 'first' }) };
    await memory.txn({ put: [{ key: prefix + path, value }, guard] });
  };
  const watch = () => {
    const rules = new TtlRules();
    const counts = { put: 0 };
    const mirror = {
      store,
      snapshotFile,
      departureHoldMs: 10_000,
      memberCount: () => 1,
      clock,
      random: systemRandom,
      logger: silentLogger,
    };
    const onPut = (): void => {
      counts.put++;
    };
    const watcher = new TtlWatcher({ clusterName: 'c', mirror, rules, logger: silentLogger, onPut });
    return { rules, counts, watcher };
  };
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await clock.pass(100);
  };
  return { memory, store, put, watch, until };
}

t.test('rules come into force, change and go as the state store has them', async (t) => {
  const { memory, put, watch, until } = open(t);
  await put('/s3/a/', '1h');
  const { rules, counts, watcher } = watch();
  await watcher.start();
  t.equal(rules.timeMsOf('/s3/a/f'), 3_600_000);
  t.equal(counts.put, 1);
  await put('/s3/a/', '2s');
  await until(() => rules.timeMsOf('/s3/a/f') === 2000);
  t.equal(counts.put, 2);
  await put('/s3/a/', '', '{"schema":2}');
  await put('/s3/b/', '3s');
  await until(() => rules.timeMsOf('/s3/b/f') === 3000);
  t.equal(rules.timeMsOf('/s3/a/f'), 2000, 'one that cannot be read leaves the one of before');
  await memory.txn({ delete: [`${prefix}/s3/a/`] });
  await until(() => rules.timeMsOf('/s3/a/f') === undefined);
  t.equal(rules.count, 1);
  await watcher.close();
});

t.test('a start without the state store has the rules of before, and a first one none', async (t) => {
  const { store, put, watch, until } = open(t);
  await put('/s3/a/', '1h');
  store.isAway = true;
  const first = watch();
  await first.watcher.start();
  t.equal(first.rules.count, 0, 'reads do not wait for it');
  store.isAway = false;
  await until(() => first.rules.count === 1);
  await first.watcher.close();
  store.isAway = true;
  const second = watch();
  await second.watcher.start();
  t.equal(second.rules.timeMsOf('/s3/a/f'), 3_600_000);
  t.equal(second.counts.put, 1, 'so that a sweep begins at the start');
  await second.watcher.close();
});
