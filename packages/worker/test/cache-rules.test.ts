import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@alluxio-ts/common/logger';
import t from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { CacheRulesFile } from '../src/cache/cache-rules-file.ts';
import { parseCacheRules } from '../src/cache/cache-rules.ts';
import { StoredRules } from '../src/cache/stored-rules.ts';

const forEver = Number.POSITIVE_INFINITY;

t.test('the rules of the documented example', async (t) => {
  const rules = parseCacheRules(
    JSON.stringify({
      apiVersion: 1,
      data: {
        immutable: ['s3://bucket/immutable/.*'],
        skipCache: ['s3://bucket/tmp/.*'],
        maxAge: { 's3://bucket/hourly/.*': '1h' },
        defaultType: 'immutable',
      },
      metadata: {
        maxAge: { 's3://bucket/hourly/.*': '10s', 's3://bucket/live/.*': '0s' },
        skipCache: ['.*\\.lock'],
      },
    }),
    'f',
  );
  t.strictSame(rules.ruleOf('s3://bucket/immutable/a'), { isKept: true, maxAgeMs: forEver });
  t.strictSame(rules.ruleOf('s3://bucket/other'), { isKept: true, maxAgeMs: forEver });
  t.strictSame(rules.ruleOf('s3://bucket/hourly/a'), { isKept: true, maxAgeMs: 10_000 }, 'the shorter age');
  t.equal(rules.ruleOf('s3://bucket/tmp/a').isKept, false);
  t.strictSame(rules.ruleOf('s3://bucket/a.lock'), { isKept: true, maxAgeMs: 0 }, 'asked for at every use');
  t.ok(rules.ruleOf('s3://bucket/live/a').maxAgeMs < 1e-9);
  t.equal(rules.ruleOf('x-s3://bucket/tmp/a').isKept, true, 'a pattern matches the whole path');
});

t.test('a part that defaults to skipCache keeps only what a rule names', async (t) => {
  const rules = parseCacheRules(
    '{"apiVersion":1,"data":{"defaultType":"skipCache","immutable":["mem://b/keep/.*"]}}',
    'f',
  );
  t.equal(rules.ruleOf('mem://b/keep/a').isKept, true);
  t.equal(rules.ruleOf('mem://b/other').isKept, false);
});

t.test('of several ages that match the shortest counts, in whatever order', async (t) => {
  const rules = parseCacheRules(
    '{"apiVersion":1,"data":{"maxAge":{"mem://b/.*":"1h","mem://b/live/.*":"5s"},"immutable":["mem://b/live/a"]}}',
    'f',
  );
  t.equal(rules.ruleOf('mem://b/live/a').maxAgeMs, 5000);
  t.equal(rules.ruleOf('mem://b/other').maxAgeMs, 3_600_000);
});

t.test('rules of the cluster go before those of the process, part by part', async (t) => {
  const rules = new StoredRules(
    parseCacheRules('{"apiVersion":1,"data":{"skipCache":["mem://b/file/.*"],"maxAge":{".*":"1h"}}}', 'f'),
  );
  const ruleOf = (name: string) => rules.ruleOf(`mem://b/${name}`);
  t.strictSame(ruleOf('a'), { isKept: true, maxAgeMs: 3_600_000 });
  rules.set({ pattern: 'mem://b/a', metadata: 'maxAge=5s' });
  t.strictSame(ruleOf('a'), { isKept: true, maxAgeMs: 5000 });
  rules.set({ pattern: 'mem://b/file/.*', metadata: 'maxAge=5s' });
  t.strictSame(ruleOf('file/a'), { isKept: false, maxAgeMs: 5000 }, 'of the bytes the file alone speaks');
  rules.set({ pattern: 'mem://b/file/.*', data: 'immutable' });
  t.strictSame(ruleOf('file/a'), { isKept: true, maxAgeMs: forEver }, 'replaced, not added to');
  rules.set({ pattern: 'mem://b/file/a', data: 'skipCache' });
  t.strictSame(ruleOf('file/a'), { isKept: false, maxAgeMs: 0 }, 'skipCache goes before immutable');
  rules.delete('mem://b/file/a');
  rules.delete('mem://b/file/.*');
  t.equal(ruleOf('file/a').isKept, false, 'the file again');
});

t.test('a wrong file is refused with what is wrong in it', async (t) => {
  const cases = [
    ['not json', /rules\.json: not JSON/],
    ['{"apiVersion":2}', /apiVersion/],
    ['{"apiVersion":1,"data":{"imutable":[]}}', /imutable/],
    ['{"apiVersion":1,"data":{"skipCache":["("]}}', /data\.skipCache\.0: "\(" is not a regular expression/],
    ['{"apiVersion":1,"data":{"maxAge":{".*":"soon"}}}', /data\.maxAge\.\.\*: "soon"/],
  ] as const;
  for (const [text, message] of cases) {
    t.throws(() => parseCacheRules(text, 'rules.json'), { code: 'InvalidOptions', message }, text);
  }
});

t.test(
  'a changed file comes into force at the next look, and one that became wrong changes nothing',
  async (t) => {
    const path = join(t.testdir(), 'rules.json');
    const rulesOf = (pattern: string): string =>
      JSON.stringify({ apiVersion: 1, data: { skipCache: [pattern] } });
    await t.rejects(
      CacheRulesFile.open({
        path,
        checkIntervalMs: 10,
        clock: new ManualClock(),
        logger: silentLogger,
        onChange: () => undefined,
      }),
      { code: 'InvalidOptions', message: /cannot be read \(ENOENT\)/ },
    );
    await writeFile(path, rulesOf('mem://b/one'));
    const clock = new ManualClock();
    const logged: string[] = [];
    let signalLog = Promise.withResolvers<void>();
    const note = (_: unknown, event: string): void => {
      logged.push(event);
      signalLog.resolve();
    };
    let changeCount = 0;
    const file = await CacheRulesFile.open({
      path,
      checkIntervalMs: 1000,
      clock,
      logger: { ...silentLogger, info: note, error: note },
      onChange: () => changeCount++,
    });
    const look = async (): Promise<void> => {
      signalLog = Promise.withResolvers<void>();
      clock.advance(1000);
      await signalLog.promise;
    };
    t.equal(file.ruleOf('mem://b/one').isKept, false);
    await writeFile(path, rulesOf('mem://b/two'));
    t.equal(file.ruleOf('mem://b/one').isKept, false, 'not before it was looked at');
    await look();
    t.equal(file.ruleOf('mem://b/one').isKept, true);
    t.equal(file.ruleOf('mem://b/two').isKept, false);
    await writeFile(path, 'broken');
    await look();
    t.equal(file.ruleOf('mem://b/two').isKept, false);
    t.strictSame(logged, ['cache-rules-changed', 'cache-rules-not-changed']);
    t.equal(changeCount, 1);
    await file.close();
  },
);
