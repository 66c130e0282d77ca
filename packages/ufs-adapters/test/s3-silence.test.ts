/** Connections to a real S3 server through which nothing comes any more, without a word: those that were used before, or all. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { RetryBudget, type RetryOutcome } from '@alluxio-ts/ufs-adapters/retry-budget';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { Patience } from '@alluxio-ts/ufs-adapters/s3/patience';
import { S3Ufs } from '@alluxio-ts/ufs-adapters/s3/ufs';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { startS3Server } from '../../../test/support/s3-server.ts';
import { UfsProxy } from '../../../test/support/ufs-proxy.ts';
import { intoMemory } from './support/into-memory.ts';
import { collect, keysOf } from './support/ufs-conformance.ts';

const server = await startS3Server();
const proxy = new UfsProxy(new URL(server.endpoint));
await proxy.start();
t.teardown(async () => {
  await proxy.stop();
  await server.stop();
});
await server.createBucket('silence');

interface Given {
  readonly requestTimeout?: string;
  readonly budget?: RetryBudget;
}

function open(t: Test, { budget = new RetryBudget(), requestTimeout = '1min' }: Given = {}): S3Ufs {
  const options = {
    ...server.mountOptions,
    'alluxio.underfs.s3.endpoint': proxy.endpoint,
    'alluxio.underfs.s3.kept.connection.timeout': '100ms',
    'alluxio.underfs.s3.request.timeout': requestTimeout,
  };
  const uri = parseMountUri('s3://silence/');
  const ufs = new S3Ufs(s3UfsOptions({ uri, options, environment: {}, check: true }), {
    clock: systemClock,
    budget,
  });
  t.teardown(() => ufs.close());
  return ufs;
}

/** A client of HTTP has its connection back a turn after the end of an answer. */
async function kept(call: Promise<unknown>): Promise<unknown> {
  const answer = await call;
  await nextTurn();
  return answer;
}

async function bytesOf(ufs: Ufs): Promise<string> {
  const { body } = await ufs.read('file', { offset: 0, lengthBytes: 5 });
  return (await collect(body)).toString();
}

/** Each by its own client of HTTP, or in another way by the same. */
const calls: readonly (readonly [string, (ufs: Ufs) => Promise<unknown>, unknown])[] = [
  ['a read into memory', (ufs) => bytesOf(intoMemory(ufs)), 'bytes'],
  ['a read in chunks', bytesOf, 'bytes'],
  ['a status', async (ufs) => (await ufs.stat('file'))?.sizeBytes, 5],
  ['a listing', (ufs) => keysOf(ufs.list({ prefix: '' })), ['file']],
];

await open(t).write('file', Buffer.from('bytes'));

for (const [name, call, wanted] of calls) {
  void t.test(`${name} on a kept connection that is silent is sent once more, on a new one`, async (t) => {
    const ufs = open(t);
    for (let round = 0; round < 3; round++) {
      t.strictSame(await kept(call(ufs)), wanted);
      proxy.silenceKept();
      proxy.reset();
      t.strictSame(await call(ufs), wanted);
      t.equal(proxy.requests.length, 2);
    }
  });

  void t.test(`${name} of a storage that is silent altogether is sent twice and fails in time`, async (t) => {
    const ufs = open(t, { requestTimeout: '500ms' });
    t.strictSame(await kept(call(ufs)), wanted);
    t.teardown(() => proxy.speak());
    proxy.silenceAll();
    proxy.reset();
    await t.rejects(call(ufs), { code: 'UfsTimeout' });
    t.equal(proxy.requests.length, 2);
    proxy.reset();
    await t.rejects(call(ufs), { code: 'UfsTimeout' });
    t.equal(proxy.requests.length, 1, 'a new connection is waited for');
    proxy.speak();
    t.strictSame(await call(ufs), wanted);
  });

  void t.test(`${name} is sent once more only within the budget of retries`, async (t) => {
    const spent: RetryOutcome[] = [];
    const budget = new RetryBudget((outcome) => spent.push(outcome));
    const ufs = open(t, { budget });
    t.strictSame(await kept(call(ufs)), wanted);
    while (budget.spend());
    spent.length = 0;
    proxy.silenceKept();
    proxy.reset();
    const answer = call(ufs);
    while (spent.length < 2) await systemClock.sleep(5);
    t.strictSame(spent, ['refused', 'refused']);
    t.equal(proxy.requests.length, 1, 'it waits on');
    for (let earned = 0; earned < 11; earned++) budget.earn();
    t.strictSame(await answer, wanted, 'until some is there');
    t.equal(proxy.requests.length, 2);
    t.equal(spent.at(-1), 'repeated');
  });
}

for (const [name, call, wanted] of calls) {
  void t.test(
    `${name} by a crowd on silent connections: the first to be answered speaks for all`,
    async (t) => {
      const crowdCount = 24;
      const spent: RetryOutcome[] = [];
      const ufs = open(t, { budget: new RetryBudget((outcome) => spent.push(outcome)) });
      const crowd = (): Promise<unknown[]> =>
        Promise.all(Array.from({ length: crowdCount }, () => kept(call(ufs))));
      await crowd();
      proxy.silenceKept();
      proxy.reset();
      t.strictSame(new Set((await crowd()).map(String)), new Set([String(wanted)]));
      t.equal(proxy.requests.length, 2 * crowdCount);
      t.equal(spent.filter((outcome) => outcome === 'repeated').length, crowdCount);
      t.ok(spent.includes('refused'), 'not all at once');
    },
  );
}

void t.test('a storage that is slow as a rule is waited for', async (t) => {
  const clock = new ManualClock();
  const patience = new Patience({ clock, leastMs: 2000, budget: new RetryBudget() });
  t.equal(patience.ms, 2000);
  const take = async (ms: number): Promise<void> => {
    const answer = patience.timed(clock.sleep(ms));
    await clock.pass(ms);
    await answer;
  };
  for (let answer = 0; answer < 100; answer++) await take(20);
  t.equal(patience.ms, 2000);
  for (let answer = 0; answer < 20; answer++) await take(3000);
  t.equal(patience.ms, 12_000);
  const failed = patience.timed(Promise.reject(new Error('gone')));
  await t.rejects(failed, /gone/);
});
