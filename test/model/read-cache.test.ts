/**
 * Random operations against the read cache and a small model of what it may answer: a read gives the bytes of one version that the storage had at some
 * time within the freshness window, or fails while something is broken. It never gives anything else.
 */

import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import fc from 'fast-check';
import t from 'tap';
import { DiskPageStore } from '../../packages/worker/src/page-store/disk-page-store.ts';
import { lruPolicy } from '../../packages/worker/src/page-store/lru-policy.ts';
import {
  CacheRig,
  contentOf,
  maxAgeMs,
  pageSizeBytes,
  staleIfErrorMaxMs,
} from '../../packages/worker/test/support/cache-rig.ts';

const keys = ['a', 'dir/b', 'dir//c'] as const;
type Key = (typeof keys)[number];

const key = fc.constantFrom(...keys);
/** Around the edges of blocks and pages. */
const size = fc.oneof(
  fc.integer({ min: 0, max: 200 }),
  fc.integer({ min: pageSizeBytes - 2, max: pageSizeBytes + 2 }),
  fc.integer({ min: 0, max: 3 * pageSizeBytes }),
);
const fraction = fc.double({ min: 0, max: 1, noNaN: true });

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('write' as const), key, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), key }) },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant('read' as const), key, from: fraction, length: fraction }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('overwrite-while-read' as const), key, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('readers' as const), key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      ms: fc.integer({ min: 1, max: 2 * maxAgeMs }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('break' as const),
      operation: fc.constantFrom('stat' as const, 'read' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('shorten' as const),
      key,
      at: fc.integer({ min: 0, max: pageSizeBytes }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('break-body' as const),
      key,
      at: fc.integer({ min: 0, max: pageSizeBytes }),
    }),
  },
  // Without it the disk would never keep up with a run.
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('free' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('damage' as const),
      how: fc.constantFrom('flip' as const, 'zero' as const, 'cut' as const),
      file: fraction,
      at: fraction,
    }),
  },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** What the storage had, and when: the newest last. An absent file is a life too. */
interface Life {
  readonly content: Uint8Array | undefined;
  readonly fromMs: number;
  toMs: number;
}

class Model {
  readonly #lives = new Map<Key, Life[]>();

  constructor(nowMs: number) {
    for (const name of keys) this.#lives.set(name, [{ content: undefined, fromMs: nowMs, toMs: Infinity }]);
  }

  change(name: Key, content: Uint8Array | undefined, nowMs: number): void {
    const lives = this.#lives.get(name) ?? [];
    const last = lives.at(-1);
    if (last) last.toMs = nowMs;
    lives.push({ content, fromMs: nowMs, toMs: Infinity });
  }

  /** The lives that an answer at this time may show. */
  allowed(name: Key, nowMs: number, windowMs: number): readonly Life[] {
    return (this.#lives.get(name) ?? []).filter((life) => life.toMs >= nowMs - windowMs);
  }

  current(name: Key): Uint8Array | undefined {
    return this.#lives.get(name)?.at(-1)?.content;
  }
}

class Run {
  readonly #rig: CacheRig;
  readonly #model: Model;
  #seed = 1;
  #isBroken = false;

  /** Where the disk store keeps its segments; undefined for the one in memory. */
  readonly #segmentsDir: string | undefined;

  constructor(rig: CacheRig, segmentsDir: string | undefined) {
    this.#rig = rig;
    this.#segmentsDir = segmentsDir;
    this.#model = new Model(rig.clock.monotonic());
  }

  async step(step: Operation): Promise<void> {
    const { ufs, clock } = this.#rig;
    switch (step.kind) {
      case 'write':
        return this.#write(step.key, step.size);
      case 'remove':
        await this.#rig.memory.remove(step.key);
        this.#model.change(step.key, undefined, clock.monotonic());
        return undefined;
      case 'read':
        return this.#read(step.key, step.from, step.length);
      case 'overwrite-while-read': {
        const reading = this.#read(step.key, 0, 1);
        await this.#write(step.key, step.size);
        return reading;
      }
      case 'readers':
        await Promise.all([0, 0.1, 0.5, 0.9].map((from) => this.#read(step.key, from, 1)));
        return undefined;
      case 'advance':
        clock.advance(step.ms);
        return undefined;
      case 'break':
        this.#isBroken = true;
        ufs.fail(new AlluxioError('UfsUnavailable', 'down', { retry: 'never' }), {
          operation: step.operation,
          times: 2,
        });
        return undefined;
      case 'shorten':
        this.#isBroken = true;
        ufs.shorten(step.key, step.at);
        return undefined;
      case 'break-body':
        this.#isBroken = true;
        ufs.breakBody(step.key, step.at, new AlluxioError('UfsUnavailable', 'reset'));
        return undefined;
      case 'free':
        this.#rig.cache.free(this.#rig.file(step.key));
        return undefined;
      case 'settle':
        return this.#rig.filler.idle();
      case 'damage':
        return this.#damage(step.how, step.file, step.at);
      default:
        return step satisfies never;
    }
  }

  /** What a bad disk does to a segment behind the store's back. */
  async #damage(how: 'flip' | 'zero' | 'cut', fileFraction: number, atFraction: number): Promise<void> {
    if (this.#segmentsDir === undefined) return;
    const names = (await readdir(this.#segmentsDir)).toSorted();
    const name = names[Math.min(names.length - 1, Math.floor(fileFraction * names.length))];
    if (name === undefined) return;
    const file = await open(join(this.#segmentsDir, name), 'r+');
    try {
      const { size } = await file.stat();
      const at = Math.min(size - 1, Math.floor(atFraction * size));
      if (at < 0) return;
      if (how === 'cut') return await file.truncate(at);
      const bytes = Buffer.alloc(how === 'flip' ? 1 : 5000);
      await file.read(bytes, 0, bytes.length, at);
      await file.write(
        how === 'flip' ? Buffer.from([(bytes[0] ?? 0) ^ 0x10]) : Buffer.alloc(bytes.length),
        0,
        undefined,
        at,
      );
    } finally {
      await file.close();
    }
  }

  async #write(name: Key, sizeBytes: number): Promise<void> {
    const content = contentOf(this.#seed++, sizeBytes);
    await this.#rig.memory.write(name, content);
    this.#model.change(name, content, this.#rig.clock.monotonic());
  }

  async #read(name: Key, fromFraction: number, lengthFraction: number): Promise<void> {
    const { cache, clock } = this.#rig;
    const sizeBytes = this.#model.current(name)?.length ?? 0;
    const from = Math.floor(fromFraction * sizeBytes);
    const to = Math.min(sizeBytes, from + Math.ceil(lengthFraction * sizeBytes));
    const startedMs = clock.monotonic();
    const windowMs = maxAgeMs + staleIfErrorMaxMs;
    let shown: Uint8Array | undefined;
    let range = { from, to };
    try {
      const file = this.#rig.file(name);
      const found = await cache.lookup(file);
      if (found) {
        // The version that was found may be shorter than the newest.
        const end = found.record.status.sizeBytes;
        range = { from: Math.min(from, end), to: Math.min(to, end) };
        const opened = await cache.open(file, found, { ...range, signal: new AbortController().signal });
        shown = await this.#rig.take(opened.body);
      }
    } catch (thrown) {
      const code = thrown instanceof AlluxioError ? thrown.code : String(thrown);
      const isExplained =
        code === 'VersionChanged' ||
        code === 'FileNotFound' ||
        (this.#isBroken && ['UfsUnavailable', 'UfsBadResponse'].includes(code));
      if (!isExplained) throw thrown;
      return;
    }
    const lives = this.#model.allowed(name, startedMs, windowMs);
    const isRight = lives.some(({ content }) =>
      content === undefined
        ? shown === undefined
        : shown !== undefined && Buffer.from(content.subarray(range.from, range.to)).equals(shown),
    );
    if (!isRight) throw new Error(`${name} [${range.from}, ${range.to}) gave what no version had`);
  }
}

t.test('an answer is one version of the file or a failure, whatever happens', async (t) => {
  const seed = Number(process.env['FC_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const numRuns = Number(process.env['FC_RUNS'] ?? 100);
  t.comment(`seed ${seed}, ${numRuns} runs`);
  let corruptCount = 0;
  let hitCount = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(operation, { minLength: 20, maxLength: 80 }),
      fc.boolean(),
      async (steps, onDisk) => {
        const dir = await mkdtemp(join(tmpdir(), 'alluxio-model-'));
        // Room for about ten pages, so that pages are evicted all the time.
        const store = onDisk
          ? await DiskPageStore.open({
              dir,
              sizeBytes: 12 * 2 * pageSizeBytes,
              segmentSizeBytes: 2 * pageSizeBytes,
              pageSizeBytes,
              clock: systemClock,
              random: systemRandom,
              logger: silentLogger,
              policy: lruPolicy,
            })
          : undefined;
        const rig = new CacheRig({ slotCount: 6, ...(store ? { store } : {}) });
        try {
          const run = new Run(rig, onDisk ? join(dir, 'segments') : undefined);
          for (const step of steps) await run.step(step);
          const { freeSlots, slotCount, openBodies } = await rig.settle();
          corruptCount += rig.store.stats().corruptCount;
          hitCount += rig.outcomes.filter((outcome) => outcome === 'hit').length;
          if (freeSlots !== slotCount) throw new Error(`${slotCount - freeSlots} slots were not given back`);
          if (openBodies > 0) throw new Error(`${openBodies} bodies of the storage were left open`);
        } finally {
          await rig.close();
          await rm(dir, { recursive: true, force: true });
        }
      },
    ),
    { seed, numRuns, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
  );
  t.comment(`${hitCount} hits, ${corruptCount} bad pages found`);
  t.ok(hitCount > 0, 'pages were read from the store');
  t.ok(corruptCount > 0, 'damage was met');
});
