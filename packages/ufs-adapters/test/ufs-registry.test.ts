import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError, type ErrorCode } from '@alluxio-ts/common/errors';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { RetryBudget } from '@alluxio-ts/ufs-adapters/retry-budget';
import { withLimit } from '@alluxio-ts/ufs-adapters/layers/with-limit';
import { type UfsMetrics, withMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import { withRetry } from '@alluxio-ts/ufs-adapters/layers/with-retry';
import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { probeUfs } from '@alluxio-ts/ufs-adapters/probe-ufs';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { createUfsRegistry, type UfsRegistry, type UfsScheme } from '@alluxio-ts/ufs-adapters/ufs-registry';
import t from 'tap';
import { noUfsMetrics } from '../../../test/support/no-ufs-metrics.ts';
import { FaultyUfs } from '../../../test/support/faulty-ufs.ts';
import { collect, keysOf, patternBytes, testUfs } from './support/ufs-conformance.ts';

/** Time that stands still: a pause is over at once and is written down. */
function stillClock(): { readonly clock: Clock; readonly pauses: number[] } {
  const pauses: number[] = [];
  const sleep = async (ms: number): Promise<void> => void pauses.push(ms);
  return { clock: { now: () => 1_700_000_000_000, monotonic: () => 0, sleep }, pauses };
}

function countingMetrics(): UfsMetrics & { readonly seen: string[]; readonly bytesSeen: () => number } {
  const seen: string[] = [];
  let sum = 0;
  return {
    seen,
    ...noUfsMetrics,
    bytesSeen: () => sum,
    calls: (operation, outcome) => void seen.push(`${operation} ${outcome}`),
    bytes: (count) => {
      sum += count;
    },
  };
}

function memoryScheme(ufs: () => Ufs): UfsScheme {
  return {
    scheme: 'mem',
    options: [{ name: 'mem.token', isSecret: true, help: 'For tests.' }],
    open: () => ({ ufs: ufs(), concurrencyMax: 4, retryCountMax: 2, isRemote: false }),
  };
}

function registryWith(ufs: () => Ufs, metrics?: UfsMetrics): UfsRegistry {
  return createUfsRegistry({
    clock: stillClock().clock,
    random: systemRandom,
    localAllowedRoots: [base],
    environment: {},
    ...(metrics ? { metrics: () => metrics } : {}),
    extraSchemes: [memoryScheme(ufs)],
  });
}

const base = t.testdir();
const failure = (code: ErrorCode, retryAfterMs?: number): AlluxioError =>
  new AlluxioError(code, 'played', retryAfterMs === undefined ? {} : { retryAfterMs });

testUfs(t, 'behind all layers', {
  open: async () =>
    registryWith(() => new MemoryUfs({ clock: systemClock }), countingMetrics()).open(
      parseMountUri('mem://x/'),
      {},
    ),
  oddKeys: 'kept',
});

void t.test('passing failures are repeated with growing pauses, others are not', async (t) => {
  const { clock, pauses } = stillClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  await inner.write('file', Buffer.from('bytes'));
  const layer = {
    clock,
    random: { ...systemRandom, next: () => 1 },
    triesMax: 4,
    pauseMinMs: 50,
    pauseMaxMs: 5000,
    repeatWithinMs: 3000,
    budget: new RetryBudget(),
  };
  const ufs = withRetry(inner, layer);

  inner.fail(failure('UfsUnavailable'), { operation: 'stat', times: 2 });
  t.equal((await ufs.stat('file'))?.sizeBytes, 5);
  t.same(pauses.splice(0), [50, 100]);
  inner.fail(failure('UfsThrottled', 3000), { operation: 'read' });
  const { body } = await ufs.read('file', { offset: 0, lengthBytes: 5 });
  t.equal((await collect(body)).toString(), 'bytes');
  t.same(pauses.splice(0), [3000]);

  inner.fail(failure('UfsTimeout'), { operation: 'write', times: 4 });
  await t.rejects(ufs.write('file', Buffer.from('x')), { code: 'UfsTimeout', retry: 'never' });
  t.equal(pauses.splice(0).length, 3);
  for (const code of ['UfsAccessDenied', 'VersionChanged', 'Overloaded', 'FileNotFound'] as const) {
    inner.fail(failure(code), { operation: 'read' });
    await t.rejects(ufs.read('file', { offset: 0, lengthBytes: 5 }), { code, retry: failure(code).retry });
  }
  t.same(pauses, []);
});

void t.test('a body is never repeated, a listing goes on where it stopped', async (t) => {
  const { clock } = stillClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  for (const key of ['a', 'b/1', 'b/2', 'c']) await inner.write(key, patternBytes(200_000));
  const layer = {
    clock,
    random: systemRandom,
    triesMax: 3,
    pauseMinMs: 1,
    pauseMaxMs: 1,
    repeatWithinMs: 3000,
    budget: new RetryBudget(),
  };
  const ufs = withRetry(inner, layer);
  inner.breakBody('a', 100_000, failure('UfsUnavailable'));
  const { body } = await ufs.read('a', { offset: 0, lengthBytes: 200_000 });
  await t.rejects(collect(body), { code: 'UfsUnavailable' });
  t.equal(inner.callCount('read', 'a'), 1);

  const flaky = withRetry(breakingAfter(inner, 1), layer);
  t.same(await keysOf(flaky.list({ prefix: '' })), ['a', 'b/1', 'b/2', 'c']);
  t.same(await keysOf(flaky.list({ prefix: '', delimiter: '/', limit: 3 })), ['a', '[b/]', 'c']);
  const unordered = breakingAfter(inner, 1);
  const stubborn = withRetry(
    { ...unordered, capability: { ...unordered.capability, orderedList: false } },
    layer,
  );
  await t.rejects(keysOf(stubborn.list({ prefix: '' })), { code: 'UfsUnavailable' });
});

/** Every listing fails once it has given so many pages. */
function breakingAfter(ufs: Ufs, pagesMax: number): Ufs {
  return {
    ...delegateTo(ufs),
    list: async function* (options) {
      let given = 0;
      for await (const page of ufs.list(options)) {
        if (given++ >= pagesMax) throw failure('UfsUnavailable');
        yield page;
      }
    },
  };
}

void t.test('reads at the pace of whoever asked leave half of the places to others', async (t) => {
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  await inner.write('file', patternBytes(3000));
  const ufs = withLimit(inner, { concurrencyMax: 4, queueMax: 1, name: 'mem://x' });
  const range = { offset: 0, lengthBytes: 3000 };
  const left = new AbortController();
  await ufs.read('file', { ...range, signal: left.signal });
  await ufs.read('file', range);
  const waiting = ufs.read('file', range);
  await t.rejects(ufs.read('file', range), { code: 'Overloaded', message: /past the cache of mem:\/\/x/ });
  const into = new Uint8Array(new SharedArrayBuffer(3000));
  const fills = [0, 1].map(() => ufs.receive('file', { ...range, into, onReceived: () => undefined }));
  for (const fill of fills) t.equal(await (await fill).over, 3000);
  left.abort(new Error('gone'));
  t.equal((await collect((await waiting).body)).length, 3000);
});

void t.test('a read holds its place until its body is over, in whatever way', async (t) => {
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  await inner.write('file', patternBytes(300_000));
  const ufs = withLimit(inner, { concurrencyMax: 1, queueMax: 1, name: 'mem://x' });
  const range = { offset: 0, lengthBytes: 300_000 };
  const endings: readonly ((
    read: () => AsyncIterable<Uint8Array>,
    control: AbortController,
  ) => Promise<unknown>)[] = [
    (body) => collect(body()),
    async (body) => {
      for await (const _ of body()) break;
    },
    async (_, control) => control.abort(),
    (body) => collect(body()).catch(() => undefined),
  ];
  for (const [index, end] of endings.entries()) {
    if (index === 3) inner.breakBody('file', 1000, failure('UfsUnavailable'));
    const control = new AbortController();
    const { body } = await ufs.read('file', { ...range, signal: control.signal });
    const waiting = ufs.stat('file');
    await t.rejects(ufs.stat('file'), { code: 'Overloaded', message: /mem:\/\/x/ }, 'the queue holds one');
    await end(() => body, control);
    t.equal((await waiting)?.sizeBytes, 300_000, `ending ${index}`);
  }
  inner.fail(failure('UfsAccessDenied'), { operation: 'read' });
  await t.rejects(ufs.read('file', range), { code: 'UfsAccessDenied' });
  const into = new Uint8Array(300_000);
  for (const isBroken of [false, true]) {
    const gate = inner.holdBody('file', 1000);
    const control = new AbortController();
    const asked = { ...range, into, onReceived: () => undefined, signal: control.signal };
    const { over } = await ufs.receive('file', asked);
    const waiting = ufs.stat('file');
    await t.rejects(ufs.stat('file'), { code: 'Overloaded' }, 'bytes on their way hold a place');
    if (isBroken) control.abort(new Error('left'));
    else gate.open();
    t.equal(await over.catch((thrown: unknown) => String(thrown)), isBroken ? 'Error: left' : 300_000);
    t.equal((await waiting)?.sizeBytes, 300_000);
  }
  inner.fail(failure('UfsAccessDenied'), { operation: 'read' });
  await t.rejects(ufs.receive('file', { ...range, into, onReceived: () => undefined }), {
    code: 'UfsAccessDenied',
  });
  for await (const _ of ufs.list({ prefix: '' }))
    t.ok(await ufs.stat('file'), 'a lister may ask for what it lists');
});

void t.test('metrics count what the caller saw', async (t) => {
  const metrics = countingMetrics();
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  await inner.write('file', patternBytes(300_000));
  const ufs = withMetrics(inner, { metrics, clock: stillClock().clock });
  const range = { offset: 0, lengthBytes: 300_000 };
  await collect((await ufs.read('file', range)).body);
  t.equal(metrics.bytesSeen(), 300_000);
  for await (const _ of (await ufs.read('file', range)).body) break;
  inner.breakBody('file', 10, failure('UfsBadResponse'));
  await t.rejects(collect((await ufs.read('file', range)).body));
  await t.rejects(ufs.read('none', range));
  await t.rejects(ufs.stat('file', { signal: AbortSignal.abort() }));
  await keysOf(ufs.list({ prefix: '' }));
  inner.fail(failure('UfsTimeout'), { operation: 'list' });
  await t.rejects(keysOf(ufs.list({ prefix: '' })));
  const seenBytes = metrics.bytesSeen();
  const into = new Uint8Array(300_000);
  const left = new AbortController();
  const asked = { ...range, into, onReceived: () => undefined, signal: left.signal };
  await (await ufs.receive('file', asked)).over;
  t.equal(metrics.bytesSeen() - seenBytes, 300_000, 'each byte once');
  inner.breakBody('file', 10, failure('UfsBadResponse'));
  await t.rejects((await ufs.receive('file', asked)).over);
  inner.holdBody('file', 10);
  const { over } = await ufs.receive('file', asked);
  left.abort();
  await t.rejects(over);
  t.same(metrics.seen, [
    'read ok',
    'body ok',
    'read ok',
    'body aborted',
    'read ok',
    'body UfsBadResponse',
    'read FileNotFound',
    'stat aborted',
    'list ok',
    'list UfsTimeout',
    'read ok',
    'body ok',
    'read ok',
    'body UfsBadResponse',
    'read ok',
    'body aborted',
  ]);
});

void t.test(
  'the registry puts the layers in order: a pause takes no place, a retry is one call',
  async (t) => {
    const metrics = countingMetrics();
    const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
    await inner.write('file', Buffer.from('x'));
    const ufs = registryWith(() => inner, metrics).open(parseMountUri('mem://x/'), {});
    inner.fail(failure('UfsUnavailable'), { operation: 'stat', times: 2 });
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => ufs.stat('file')));
    t.equal(inner.callCount('stat'), 8);
    t.same(new Set(metrics.seen), new Set(['stat ok']));
    t.equal(metrics.seen.length, 6);
  },
);

void t.test('the registry knows its schemes, their options and their secrets', async (t) => {
  const registry = registryWith(() => new MemoryUfs({ clock: systemClock }));
  t.same(registry.schemes, ['file', 'mem', 's3']);
  t.equal(registry.knownOptions('s3a'), registry.knownOptions('s3'));
  t.same(registry.knownOptions('hdfs'), []);
  t.equal(registry.isSecretOption('s3', 'aws.secretKey'), true);
  t.equal(registry.isSecretOption('s3', 'alluxio.underfs.s3.region'), false);
  t.equal(registry.isSecretOption('hdfs', 'some.password'), true);
  t.same(
    registry.maskOptions('s3', {
      's3a.secretKey': 'visible?',
      'alluxio.underfs.s3.region': 'us-east-1',
      's3a.accessKeyId': 'visible?',
      's3a.secretkey': 'visible?',
    }),
    {
      's3a.secretKey': 'xxx',
      'alluxio.underfs.s3.region': 'us-east-1',
      's3a.accessKeyId': 'xxx',
      's3a.secretkey': 'xxx',
    },
  );
  const open = (uri: string, options = {}, how = {}): Ufs => registry.open(parseMountUri(uri), options, how);
  t.throws(() => open('hdfs://nn:8020/p'), { code: 'UfsUnsupported', message: /file, mem, s3/ });
  t.throws(() => open('s3://buc/', { typo: 'x' }), { code: 'InvalidOptions', message: /no option "typo"/ });
  t.throws(() => open(`file://${base}`, { typo: 'x' }), {
    code: 'InvalidOptions',
    message: /takes no options/,
  });
  t.throws(() => open('/etc'), { code: 'AccessDenied', message: /alluxio\.ufs\.local\.allowed\.roots/ });
  t.throws(() => open('/etc', {}, { check: false }), { code: 'AccessDenied' }, 'whatever is passed over');
  const lenient = open(
    's3a://buc/',
    { typo: 'x', 's3a.accessKeyId': 'i', 's3a.secretKey': 'k' },
    { check: false },
  );
  t.match(lenient.capability, { pin: 'atomic', orderedList: true });
  await lenient.close();
  await mkdir(join(base, 'local'));
  const local = open(`file://${base}/local`);
  t.match(await local.write('a', Buffer.from('x')), { key: 'a', sizeBytes: 1 });
});

void t.test('a probe passes on what is wrong, and does not wait for ever', async (t) => {
  const { clock } = stillClock();
  const patient: Clock = { ...clock, sleep: (_, { signal } = {}) => untilAborted(signal) };
  const inner = new FaultyUfs(new MemoryUfs({ clock: systemClock }));
  await probeUfs(inner, { clock: patient });
  inner.fail(failure('UfsBucketNotFound'), { operation: 'list' });
  await t.rejects(probeUfs(inner, { clock: patient }), { code: 'UfsBucketNotFound' });
  inner.hold({ operation: 'list' });
  await t.rejects(probeUfs(inner, { clock, timeoutMs: 5 }), { code: 'UfsTimeout', message: /within 5 ms/ });
  const reason = new Error('given up');
  const gate = inner.hold({ operation: 'list' });
  const control = new AbortController();
  const probing = probeUfs(inner, { clock: patient, signal: control.signal });
  await gate.reached;
  control.abort(reason);
  await t.rejects(probing, reason);
  const missing = registryWith(() => inner).open(parseMountUri(`file://${base}/missing`), {});
  await t.rejects(probeUfs(missing, { clock: patient }), { code: 'UfsBucketNotFound', message: /missing/ });
});

function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)));
}
