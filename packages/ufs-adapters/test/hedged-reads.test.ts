import { AlluxioError } from '@alluxio-ts/common/errors';
import { type HedgeOutcome, withHedge } from '@alluxio-ts/ufs-adapters/layers/with-hedge';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { receiveChunks } from '@alluxio-ts/ufs-adapters/reception';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import t from 'tap';
import { FaultyUfs } from '../../../test/support/faulty-ufs.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { collect } from './support/ufs-conformance.ts';

const range = { offset: 0, lengthBytes: 5 };

/** A storage in the time of a manual clock: reads begin after what `delayMs` says for the n-th of them. */
class TimedUfs extends MemoryUfs {
  readCount = 0;
  abortedCount = 0;
  readonly #clock: ManualClock;
  readonly #delayMs: (read: number) => number;

  constructor(clock: ManualClock, delayMs: (read: number) => number) {
    super({ clock });
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  override async read(...[key, options]: Parameters<Ufs['read']>): ReturnType<Ufs['read']> {
    const { signal } = options;
    try {
      await this.#clock.sleep(this.#delayMs(this.readCount++), signal ? { signal } : {});
    } catch (thrown) {
      this.abortedCount++;
      throw thrown;
    }
    return super.read(key, options);
  }

  /** As an adapter whose first bytes are there, and told, before the answer is passed on. */
  override async receive(...[key, options]: Parameters<Ufs['receive']>): ReturnType<Ufs['receive']> {
    options.onReceived(1);
    const { body, file } = await this.read(key, options);
    const over = receiveChunks(body, options);
    await over;
    return { file, over };
  }
}

/** Until the call settles, a millisecond at a time. */
async function timed<T>(clock: ManualClock, call: Promise<T>): Promise<{ result: T; ms: number }> {
  const beginMs = clock.monotonic();
  const progress = { isOver: false };
  const end = (): void => {
    progress.isOver = true;
  };
  call.then(end, end);
  await clock.pass(0);
  while (!progress.isOver) await clock.pass(1);
  return { result: await call, ms: clock.monotonic() - beginMs };
}

function percentile(times: readonly number[], share: number): number {
  return times.toSorted((one, other) => one - other)[Math.floor(share * times.length)] ?? 0;
}

/** 5 to 9 ms, and 500 for one in a hundred. */
function stalling(seed: number): () => number {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return () => (next() < 0.01 ? 500 : 5 + Math.floor(next() * 5));
}

async function readMany(isHedged: boolean, seed: number) {
  const clock = new ManualClock();
  const inner = new TimedUfs(clock, stalling(seed));
  await inner.write('file', Buffer.from('bytes'));
  const outcomes: HedgeOutcome[] = [];
  const ufs = isHedged ? withHedge(inner, { clock, onHedge: (outcome) => outcomes.push(outcome) }) : inner;
  const times: number[] = [];
  const readsMax = 4000;
  for (let index = 0; index < readsMax; index++) {
    const { ms, result } = await timed(clock, ufs.read('file', range));
    times.push(ms);
    for await (const _ of result.body);
  }
  return { inner, outcomes, readsMax, times };
}

void t.test('where one answer in a hundred stalls, one read in fifty more takes the tail away', async (t) => {
  const seed = 20_261_122;
  t.comment(`seed ${seed}`);
  const plain = await readMany(false, seed);
  const hedged = await readMany(true, seed);
  const extra = hedged.inner.readCount - hedged.readsMax;
  t.comment(
    `p99 ${percentile(plain.times, 0.99)} → ${percentile(hedged.times, 0.99)} ms, p99.5 ${percentile(plain.times, 0.995)} → ${percentile(hedged.times, 0.995)} ms, ${extra} more requests of ${hedged.readsMax}`,
  );
  t.ok(percentile(plain.times, 0.995) >= 500);
  t.ok(percentile(hedged.times, 0.995) < 50);
  t.ok(extra <= hedged.readsMax * 0.02, 'at most one in fifty');
  const sent = hedged.outcomes.filter((outcome) => outcome !== 'refused').length;
  t.equal(sent, extra, 'each is counted');
  t.equal(hedged.inner.abortedCount, sent, 'the one that lost is given up');
  t.ok(hedged.outcomes.filter((outcome) => outcome === 'second').length > sent * 0.8, 'hardly one in vain');
});

void t.test('a storage that stalls as a whole gets no flood', async (t) => {
  const clock = new ManualClock();
  let delayMs = 5;
  const inner = new TimedUfs(clock, () => delayMs);
  await inner.write('file', Buffer.from('bytes'));
  const outcomes: HedgeOutcome[] = [];
  const ufs = withHedge(inner, { clock, onHedge: (outcome) => outcomes.push(outcome) });
  for (let index = 0; index < 200; index++) await timed(clock, ufs.read('file', range));
  t.same(outcomes, [], 'nothing is late where all take the same time');
  delayMs = 1000;
  await timed(clock, Promise.all(Array.from({ length: 500 }, () => ufs.read('file', range))));
  t.ok(inner.readCount - 700 <= 14, `${inner.readCount - 700} more requests`);
  t.ok(outcomes.includes('refused'));
});

void t.test('a failure counts when both fail, and the caller may give up', async (t) => {
  const clock = new ManualClock();
  const delays = [500, 20, 500, 20];
  const inner = new TimedUfs(clock, (read) => (read < 100 ? 5 : (delays[read - 100] ?? 5)));
  await inner.write('file', Buffer.from('bytes'));
  const faulty = new FaultyUfs(inner);
  const outcomes: HedgeOutcome[] = [];
  const ufs = withHedge(faulty, { clock, onHedge: (outcome) => outcomes.push(outcome) });
  for (let index = 0; index < 100; index++) await timed(clock, ufs.read('file', range));
  const gate = faulty.hold({ operation: 'read' });
  faulty.fail(new AlluxioError('UfsTimeout', 'played'), { operation: 'read' });
  const call = ufs.read('file', range);
  await gate.reached;
  await clock.pass(10);
  t.equal(faulty.callCount('read'), 102, 'the second one failed');
  gate.open();
  const { result } = await timed(clock, call);
  t.equal((await collect(result.body)).toString(), 'bytes');
  t.same(outcomes, ['first']);
  t.equal(faulty.openBodyCount, 0);

  const control = new AbortController();
  const given = ufs.read('file', { ...range, signal: control.signal });
  control.abort(new Error('gone'));
  await t.rejects(given, /gone/);
});

void t.test('what is received into memory is that of the one that began first, and told once', async (t) => {
  const clock = new ManualClock();
  // The 101st and the 103rd begin, and the second request for each comes before or after it.
  const delays = [500, 3, 12, 500];
  const inner = new TimedUfs(clock, (read) => (read < 100 ? 5 : (delays[read - 100] ?? 5)));
  await inner.write('file', Buffer.from('bytes'));
  const outcomes: HedgeOutcome[] = [];
  const ufs = withHedge(inner, { clock, onHedge: (outcome) => outcomes.push(outcome) });
  for (let index = 0; index < 100; index++) await timed(clock, ufs.read('file', range));
  for (const [index, winner] of (['second', 'first'] as const).entries()) {
    const into = new Uint8Array(5);
    const told: number[] = [];
    const onReceived = (count: number): void => void told.push(count);
    const { result } = await timed(clock, ufs.receive('file', { ...range, into, onReceived }));
    t.equal(await result.over, 5);
    t.equal(Buffer.from(into).toString(), 'bytes');
    t.same(told, [5], winner);
    t.equal(outcomes[index], winner);
    await clock.pass(1000);
    t.same(told, [5], 'of the other one nothing is heard');
  }
  t.equal(inner.abortedCount, 2, 'the one that lost is given up');
});
