import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError, type ErrorCode } from '@alluxio-ts/common/errors';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { Circuit } from '@alluxio-ts/ufs-adapters/circuit';
import type { CircuitChange } from '@alluxio-ts/ufs-adapters/circuit-keeper';
import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import { withRetry } from '@alluxio-ts/ufs-adapters/layers/with-retry';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { RetryBudget } from '@alluxio-ts/ufs-adapters/retry-budget';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import t, { type Test } from 'tap';
import { FaultyUfs } from '../../../test/support/faulty-ufs.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';

const failure = (code: ErrorCode, context = {}): AlluxioError =>
  new AlluxioError(code, 'played', { context });
const range = { offset: 0, lengthBytes: 5 };
const forever = 1_000_000;

function failureOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

interface Rig {
  readonly clock: ManualClock;
  readonly inner: FaultyUfs;
  readonly changes: CircuitChange[];
  /** Opens the mount once more, as another thread does: without a keeper. */
  readonly openAgain: () => Ufs;
  readonly ufs: Ufs;
  /** The questions that the keeper has asked. */
  readonly questions: () => number;
}

async function rig(t: Test, options: { readonly concurrencyMax?: number } = {}): Promise<Rig> {
  const clock = new ManualClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock }));
  await inner.write('file', Buffer.from('bytes'));
  const changes: CircuitChange[] = [];
  const open = (circuit: SharedArrayBuffer, keepsCircuits: boolean): Ufs => {
    const registry = createUfsRegistry({
      clock,
      random: systemRandom,
      localAllowedRoots: [],
      environment: {},
      keepsCircuits,
      onCircuitChange: (_, change) => changes.push(change),
      extraSchemes: [
        {
          scheme: 'mem',
          options: [],
          open: () => ({
            ufs: inner,
            concurrencyMax: options.concurrencyMax ?? 8,
            retryCountMax: 0,
            isRemote: false,
          }),
        },
      ],
    });
    const ufs = registry.open(parseMountUri('mem://bucket'), {}, { circuit });
    t.teardown(() => ufs.close());
    return ufs;
  };
  const circuit = Circuit.newMemory();
  const ufs = open(circuit, true);
  return {
    clock,
    inner,
    changes,
    ufs,
    openAgain: () => open(circuit, false),
    questions: () => inner.callCount('stat', '.alluxio-answers'),
  };
}

/** Fails every call from now on, and has so many fail, each about another name. */
async function breakDown({ inner, ufs }: Pick<Rig, 'inner' | 'ufs'>, count = 5): Promise<void> {
  for (const operation of ['stat', 'read', 'list'] as const) {
    inner.fail(failure('UfsUnavailable'), { operation, times: forever });
  }
  for (let index = 0; index < count; index++) await ufs.stat(`file${index}`).catch(() => undefined);
  await nextTurn();
}

/** Lets whoever woke run, however many steps it takes. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}

async function passes(clock: ManualClock, ms: number): Promise<void> {
  clock.advance(ms);
  await turns();
}

void t.test(
  'a storage that answers nothing is left alone, asked with growing pauses, and used again',
  async (t) => {
    const parts = await rig(t);
    const { changes, clock, inner, questions, ufs } = parts;
    await breakDown(parts, 4);
    t.same(changes, [], 'four failures are not enough');
    await breakDown(parts, 1);
    t.match(changes, [{ state: 'open', name: 'mem://bucket', failureCount: 5 }]);

    const calls = inner.calls.length;
    const refused: readonly Promise<unknown>[] = [
      ufs.stat('file'),
      ufs.read('file', range),
      ufs.write('file', Buffer.from('x')),
      ufs.remove('file'),
      ufs.list({ prefix: '' })[Symbol.asyncIterator]().next(),
    ];
    for (const call of refused) {
      t.match(await failureOf(call), {
        code: 'UfsUnavailable',
        message: /mem:\/\/bucket has not answered 5 times .* asked again in 0\.5 s/,
        retry: 'never',
        retryAfterMs: 1000,
      });
    }
    t.equal(inner.calls.length, calls, 'nothing of it reached the storage');

    for (const [index, pauseMs] of [500, 1000, 2000, 4000, 5000, 5000].entries()) {
      await passes(clock, pauseMs - 1);
      t.equal(questions(), index, `not before ${pauseMs} ms`);
      await passes(clock, 1);
      t.equal(questions(), index + 1, `after ${pauseMs} ms`);
    }
    t.match(await failureOf(ufs.stat('file')), { retryAfterMs: 5000 }, 'it says when');
  },
);

void t.test('one question at a time, and calls go through again once it is answered', async (t) => {
  const parts = await rig(t);
  const { changes, clock, inner, questions, ufs } = parts;
  inner.fail(failure('UfsTimeout'), { operation: 'read', times: 5 });
  for (let index = 0; index < 5; index++) await t.rejects(ufs.read('file', range), { code: 'UfsTimeout' });
  await turns();
  const gate = inner.hold({ operation: 'stat' });
  await passes(clock, 500);
  await gate.reached;
  await passes(clock, 9000);
  t.equal(questions(), 1, 'the next one waits for it');
  await t.rejects(ufs.stat('file'), { code: 'UfsUnavailable', message: /asked again just now/ }, 'half-open');
  gate.open();
  await turns();
  t.match(changes, [{ state: 'open' }, { state: 'closed' }]);
  t.equal((await ufs.stat('file'))?.sizeBytes, 5);
});

void t.test('a question without an answer is given up for the next one', async (t) => {
  const { changes, clock, inner, questions, ufs } = await rig(t);
  inner.fail(failure('UfsTimeout'), { operation: 'read', times: 5 });
  for (let index = 0; index < 5; index++) await t.rejects(ufs.read('file', range));
  await turns();
  const gate = inner.hold({ operation: 'stat' });
  await passes(clock, 500);
  await gate.reached;
  await passes(clock, 10_000);
  t.match(changes, [{ state: 'open' }]);
  await passes(clock, 1000);
  t.equal(questions(), 2);
  t.match(changes, [{ state: 'open' }, { state: 'closed' }]);
});

void t.test('answers that one does not like are answers', async (t) => {
  const { changes, inner, ufs } = await rig(t);
  for (const code of [
    'FileNotFound',
    'UfsAccessDenied',
    'VersionChanged',
    'UfsThrottled',
    'UfsBadResponse',
  ] as const) {
    inner.fail(failure(code), { operation: 'read', times: 20 });
    for (let index = 0; index < 20; index++) await t.rejects(ufs.read('file', range), { code });
  }
  // Four failures and an answer, again and again.
  for (let round = 0; round < 5; round++) {
    inner.fail(failure('UfsUnavailable'), { operation: 'stat', times: 4 });
    for (let index = 0; index < 4; index++) await t.rejects(ufs.stat(`file${index}`));
    t.equal(await ufs.stat('none'), undefined);
  }
  await turns();
  t.same(changes, []);
});

void t.test('one object that the storage cannot give does not close the others', async (t) => {
  const { changes, inner, ufs } = await rig(t);
  inner.fail(failure('UfsUnavailable', { status: 500 }), { operation: 'read', times: forever });
  for (let index = 0; index < 50; index++) await t.rejects(ufs.read('broken', range));
  await turns();
  t.same(changes, []);
  for (let index = 0; index < 4; index++) await t.rejects(ufs.read(`other${index}`, range));
  await turns();
  t.match(changes, [{ state: 'open' }], 'server errors about many do');
});

void t.test('few failures are enough when nothing was answered for ten seconds', async (t) => {
  const { changes, clock, inner, ufs } = await rig(t);
  const gate = inner.hold({ operation: 'read' });
  inner.fail(failure('UfsTimeout'), { operation: 'stat', times: 2 });
  const held = ufs.read('file', range);
  await gate.reached;
  await t.rejects(ufs.stat('file'));
  await turns();
  t.same(changes, []);
  clock.advance(10_000);
  await t.rejects(ufs.stat('file'));
  await turns();
  t.match(changes, [{ state: 'open', failureCount: 2, failingMs: 10_000 }]);
  gate.open();
  const { body } = await held;
  for await (const _ of body) break;
});

void t.test('whoever waits for a place when it opens is told at once', async (t) => {
  const parts = await rig(t, { concurrencyMax: 1 });
  const { inner, ufs } = parts;
  const gate = inner.hold({ operation: 'read' });
  const held = ufs.read('file', range);
  await gate.reached;
  inner.fail(failure('UfsUnavailable'), { operation: 'stat', times: 5 });
  const waiting = Array.from({ length: 20 }, () => ufs.stat('file').catch((thrown: unknown) => thrown));
  gate.open();
  for await (const _ of (await held).body) break;
  const failures = await Promise.all(waiting);
  t.ok(failures.every((thrown) => thrown instanceof AlluxioError && thrown.code === 'UfsUnavailable'));
  t.equal(inner.callCount('stat', 'file'), 5);
});

void t.test('what its caller gave up says nothing of the storage', async (t) => {
  const { changes, inner, ufs } = await rig(t);
  for (let index = 0; index < 10; index++) {
    const gate = inner.hold({ operation: 'stat' });
    const control = new AbortController();
    const call = ufs.stat('file', { signal: control.signal });
    await gate.reached;
    control.abort(failure('UfsTimeout'));
    await t.rejects(call);
  }
  await turns();
  t.same(changes, []);
});

void t.test('openings of one mount share their circuit, and one of them keeps it', async (t) => {
  const parts = await rig(t);
  const other = parts.openAgain();
  await breakDown({ inner: parts.inner, ufs: other });
  await turns();
  t.match(parts.changes, [{ state: 'open' }], 'told once');
  await t.rejects(parts.ufs.stat('file'), { message: /has not answered 5 times/ });
  await passes(parts.clock, 500);
  t.equal(parts.questions(), 1);
  await parts.ufs.close();
  t.match(parts.changes, [{ state: 'open' }, { state: 'removed' }]);
});

void t.test('repetitions are a tenth of the calls and a few', async (t) => {
  const clock = new ManualClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock }));
  const outcomes: string[] = [];
  const ufs = withRetry(inner, {
    clock: { now: () => 0, monotonic: () => 0, sleep: async () => undefined },
    random: systemRandom,
    triesMax: 4,
    pauseMinMs: 1,
    pauseMaxMs: 1,
    repeatWithinMs: 3000,
    budget: new RetryBudget((outcome) => outcomes.push(outcome)),
  });
  inner.fail(failure('UfsUnavailable'), { operation: 'stat', times: forever });
  for (let index = 0; index < 1000; index++) {
    await t.rejects(ufs.stat('file'), { code: 'UfsUnavailable', retry: 'never' });
  }
  const repeated = outcomes.filter((outcome) => outcome === 'repeated').length;
  t.ok(repeated >= 100 && repeated <= 110, `${repeated} of 1000`);
  t.equal(inner.callCount('stat'), 1000 + repeated);
});

void t.test('a call that has taken long is not repeated', async (t) => {
  const clock = new ManualClock();
  const inner = new FaultyUfs(new MemoryUfs({ clock }));
  const slow: Ufs = {
    ...delegateTo(inner),
    stat: async (key) => {
      clock.advance(4000);
      return inner.stat(key);
    },
  };
  const ufs = withRetry(slow, {
    clock,
    random: systemRandom,
    triesMax: 4,
    pauseMinMs: 1,
    pauseMaxMs: 1,
    repeatWithinMs: 3000,
    budget: new RetryBudget(),
  });
  inner.fail(failure('UfsTimeout'), { operation: 'stat', times: forever });
  await t.rejects(ufs.stat('file'), { code: 'UfsTimeout' });
  t.equal(inner.callCount('stat'), 1);
});
