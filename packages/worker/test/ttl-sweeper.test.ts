import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { silentLogger } from '@alluxio-ts/common/logger';
import type { PageId } from '@alluxio-ts/common/page';
import { KIB } from '@alluxio-ts/common/units';
import * as fc from 'fast-check';
import t, { type Test } from 'tap';
import type { Freed } from '../src/cache/file-cache.ts';
import { TtlRules } from '../src/cache/ttl-rules.ts';
import { TtlSweeper } from '../src/cache/ttl-sweeper.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import type { RemoveReason } from '../src/page-store/page-store.ts';
import { CacheRig, contentOf, pageSizeBytes, type RigOptions } from './support/cache-rig.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
/** Longer than any other time here: what goes before, a test has swept. */
const checkIntervalMs = 7 * day;

/** A cache with rules, and a sweeper that goes when the test says so. The mount of the cache is `/m`. */
class TtlRig extends CacheRig {
  readonly rules = new TtlRules();
  readonly sweeper;
  readonly expired: Freed[] = [];

  constructor(rules: Readonly<Record<string, string>>, options: RigOptions = {}) {
    super(options);
    for (const [path, time] of Object.entries(rules)) this.rules.set({ path, time });
    this.sweeper = this.createSweeper();
  }

  createSweeper(): TtlSweeper {
    return new TtlSweeper({
      rules: this.rules,
      cache: this.cache,
      records: this.records,
      mounts: this.mounts,
      pageSizeBytes,
      checkIntervalMs,
      clock: this.clock,
      logger: silentLogger,
      onExpired: (freed) => this.expired.push(freed),
    });
  }

  /** Writes files of one small page and reads them. */
  async load(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      await this.memory.write(key, contentOf(key.length, 100));
      await this.read(key);
    }
    await this.filler.idle();
  }

  /** Of these files those that have pages here. */
  async cached(...keys: readonly string[]): Promise<string[]> {
    const here: string[] = [];
    for (const key of keys) {
      const file = this.file(key);
      const status = await this.memory.stat(key);
      if (status && this.cache.cachedBytesOf(file, status) > 0) here.push(key);
    }
    return here;
  }

  override async close(): Promise<void> {
    await this.sweeper.close();
    await super.close();
  }
}

async function withRig(
  t: Test,
  rules: Readonly<Record<string, string>>,
  use: (rig: TtlRig) => Promise<void>,
  options: RigOptions = {},
): Promise<void> {
  const rig = new TtlRig(rules, options);
  try {
    await use(rig);
  } finally {
    await rig.close();
  }
}

t.test('a file goes when its time since its load is over, however often it was read', async (t) => {
  await withRig(t, { '/m/d/': '1h' }, async (rig) => {
    await rig.load('d/a', 'd/sub/b', 'd', 'd-', 'other/a');
    for (let passed = 0; passed < 59; passed++) {
      rig.clock.advance(minute);
      t.equal((await rig.read('d/a')).outcome, 'hit');
    }
    t.match(await rig.sweeper.sweep(), { fileCount: 0, isComplete: true });
    rig.clock.advance(minute - 1);
    t.match(await rig.sweeper.sweep(), { fileCount: 0 });
    rig.clock.advance(1);
    t.equal((await rig.read('d/a')).outcome, 'hit', 'before the sweep it is read like any other');
    const swept = await rig.sweeper.sweep();
    t.same(swept, { fileCount: 2, pageCount: 2, freedBytes: 200, isComplete: true });
    t.equal(rig.expired.length, 2);
    t.same(await rig.cached('d/a', 'd/sub/b', 'd', 'd-', 'other/a'), ['d', 'd-', 'other/a']);
    t.equal((await rig.read('d/a')).outcome, 'miss');
    await rig.filler.idle();
    rig.clock.advance(59 * minute);
    await rig.sweeper.sweep();
    t.same(await rig.cached('d/a'), ['d/a'], 'its time has begun anew');
    rig.clock.advance(minute);
    await rig.sweeper.sweep();
    t.same(await rig.cached('d/a'), []);
  });
});

t.test('of rules for directories within each other the innermost counts', async (t) => {
  const rules = { '/m/': '1h', '/m/short/': '1m', '/m/short/long/': '1d', '/none/': '1s' };
  await withRig(t, rules, async (rig) => {
    const keys = ['x', 'short/x', 'short/long/x', 'short/long/er/x'];
    await rig.load(...keys);
    const left = async (afterMs: number): Promise<string[]> => {
      rig.clock.advance(afterMs);
      await rig.sweeper.sweep();
      return rig.cached(...keys);
    };
    t.same(await left(minute), ['x', 'short/long/x', 'short/long/er/x']);
    t.same(await left(hour), ['short/long/x', 'short/long/er/x']);
    rig.rules.delete('/m/short/long/');
    t.same(await left(0), [], 'without it that of the directory around it does');
  });
});

t.test('the areas of rules hold every file that has one, and no file twice', async (t) => {
  const path = fc.array(fc.constantFrom('a', 'b', 'a-', ''), { maxLength: 4 }).map((parts) => {
    return ['/m', ...parts, ''].join('/');
  });
  const seed = process.env['TEST_SEED'];
  fc.assert(
    fc.property(fc.dictionary(path, fc.integer({ min: 1, max: 9 })), path, (times, directory) => {
      const rules = new TtlRules();
      for (const [each, time] of Object.entries(times)) rules.set({ path: each, time: `${time}s` });
      const file = `${directory}file`;
      const innermost = Object.keys(times)
        .filter((each) => file.startsWith(each))
        .toSorted((one, other) => other.length - one.length)[0];
      const timeMs = innermost === undefined ? undefined : (times[innermost] ?? 0) * second;
      const areas = rules.areas().filter((area) => file.startsWith(area.path));
      if (rules.timeMsOf(file) !== timeMs) return false;
      return timeMs === undefined
        ? areas.length === 0
        : areas.length === 1 && (areas[0]?.timeMinMs ?? Number.POSITIVE_INFINITY) <= timeMs;
    }),
    seed ? { seed: Number(seed) } : {},
  );
  t.pass('as one who tries all of them');
});

t.test('a new version counts anew, and so does a file that was freed', async (t) => {
  await withRig(t, { '/m/': '1h' }, async (rig) => {
    await rig.load('a', 'b');
    rig.clock.advance(50 * minute);
    await rig.load('a');
    await rig.cache.free(rig.file('b'));
    await rig.load('b');
    rig.clock.advance(50 * minute);
    t.match(await rig.sweeper.sweep(), { fileCount: 0 });
    t.same(await rig.cached('a', 'b'), ['a', 'b']);
    rig.clock.advance(10 * minute);
    t.match(await rig.sweeper.sweep(), { fileCount: 2, pageCount: 2 });
  });
});

t.test('what a job loads counts from its load', async (t) => {
  await withRig(t, { '/m/': '1h' }, async (rig) => {
    await rig.memory.write('a', contentOf(1, pageSizeBytes + 1));
    const { version, sizeBytes } = (await rig.memory.stat('a')) ?? { sizeBytes: 0 };
    const file = { ufsPath: rig.file('a').ufsPath, fromPage: 0, sizeBytes, ...(version ? { version } : {}) };
    const batch = {
      jobId: 'job',
      mode: 'load' as const,
      files: [file],
      listedAgeMs: 0,
      deadlineMs: 1000,
      bandwidthBytesPerSecond: 0,
    };
    const load = () => rig.loader.load(batch, { signal: new AbortController().signal });
    t.match(await load(), { doneFiles: 1, loadedBytes: sizeBytes });
    rig.clock.advance(30 * minute);
    t.match(await load(), { doneFiles: 1, loadedBytes: 0 }, 'what is here is not loaded again');
    rig.clock.advance(30 * minute);
    t.match(await rig.sweeper.sweep(), { fileCount: 1, pageCount: 2, freedBytes: sizeBytes });
  });
});

t.test('a restart resets no time', async (t) => {
  const recordsPath = join(t.testdir(), 'files.db');
  const first = new TtlRig({}, { recordsPath });
  await first.load('a');
  await first.sweeper.close();
  await first.records.close();
  const { clock, memory, store } = first;
  clock.advance(40 * minute);
  const again = { recordsPath, clock, memory, store };
  await withRig(
    t,
    { '/m/': '1h' },
    async (rig) => {
      t.equal((await rig.read('a')).outcome, 'hit');
      await rig.load('b');
      rig.clock.advance(20 * minute);
      t.match(await rig.sweeper.sweep(), { fileCount: 1, pageCount: 1 });
      t.same(await rig.cached('a', 'b'), ['b']);
    },
    again,
  );
});

t.test('what is not known to be loaded counts from the first sweep that sees its pages', async (t) => {
  const recordsPath = join(t.testdir(), 'files.db');
  await withRig(
    t,
    { '/m/': '1h' },
    async (rig) => {
      await rig.load('a');
      await rig.memory.write('asked', contentOf(1, 100));
      await rig.cache.lookup(rig.file('asked'));
      await rig.records.flush();
      // As the database was before it had the column.
      const database = new DatabaseSync(recordsPath);
      database.exec('UPDATE files SET loaded_at_ms = NULL');
      database.close();
      rig.clock.advance(day);
      t.match(await rig.sweeper.sweep(), { fileCount: 0 });
      rig.clock.advance(30 * minute);
      await rig.read('asked');
      await rig.filler.idle();
      rig.clock.advance(30 * minute - 1);
      t.match(await rig.sweeper.sweep(), { fileCount: 0 });
      rig.clock.advance(1);
      t.match(await rig.sweeper.sweep(), { fileCount: 1 });
      t.same(await rig.cached('a', 'asked'), ['asked'], 'a question is no load');
      rig.clock.advance(30 * minute);
      t.match(await rig.sweeper.sweep(), { fileCount: 1 });
    },
    { recordsPath },
  );
});

t.test(
  'a wall clock that is set back drops nothing; one that is set on drops what is old by it',
  async (t) => {
    await withRig(t, { '/m/': '1h' }, async (rig) => {
      await rig.load('a');
      rig.clock.advance(59 * minute);
      rig.clock.jumpWall(-day);
      t.match(await rig.sweeper.sweep(), { fileCount: 0 });
      rig.clock.advance(59 * minute);
      t.match(await rig.sweeper.sweep(), { fileCount: 0 }, 'its time counts from the sweep after the jump');
      rig.clock.advance(minute);
      t.match(await rig.sweeper.sweep(), { fileCount: 1 }, 'and is not a day longer');
      await rig.load('a');
      rig.clock.jumpWall(day);
      await rig.load('b');
      t.match(await rig.sweeper.sweep(), { fileCount: 1 });
      t.same(await rig.cached('a', 'b'), ['b']);
    });
  },
);

/** Tells of every page that is removed, before it goes. */
class WatchedStore extends MemoryPageStore {
  onRemove: () => void = () => undefined;

  override remove(page: PageId, reason: RemoveReason): void {
    this.onRemove();
    super.remove(page, reason);
  }
}

t.test('closed on the way it stops, and the next one goes on', async (t) => {
  const store = new WatchedStore({ capacityBytes: 1024 * KIB, pageSizeBytes });
  await withRig(
    t,
    { '/m/': '1h' },
    async (rig) => {
      const keys = Array.from({ length: 50 }, (_, index) => `f-${index}`);
      await rig.load(...keys);
      rig.clock.advance(hour);
      let removed = 0;
      let closed: Promise<void> | undefined;
      store.onRemove = () => {
        if (++removed === 10) closed = rig.sweeper.close();
      };
      t.match(await rig.sweeper.sweep(), { fileCount: 10, isComplete: false });
      await closed;
      t.equal((await rig.cached(...keys)).length, 40);
      const next = rig.createSweeper();
      t.match(await next.sweep(), { fileCount: 40, isComplete: true });
      await next.close();
    },
    { store },
  );
});

/** Says that every page is here. */
class FullStore extends WatchedStore {
  override has(): boolean {
    return true;
  }
}

t.test('readers have turns while many pages go, of one file or of many', async (t) => {
  const store = new FullStore({ capacityBytes: 1024 * KIB, pageSizeBytes });
  await withRig(
    t,
    { '/m/': '1h' },
    async (rig) => {
      const put = (key: string, pageCount: number): void => {
        const { ufsPath } = rig.file(key);
        const sizeBytes = pageCount * pageSizeBytes;
        const status = { key, sizeBytes, modifiedMs: 0, version: 'v', etag: undefined, headers: {} };
        rig.records.put({ ufsPath, status: { ...status, isPartial: false }, checkedAtMs: 0 });
        rig.records.loaded({ ufsPath, version: 'v', loadedAtMs: rig.clock.now() });
      };
      put('large', 5000);
      for (let number = 0; number < 500; number++) put(`some-${number}`, 10);
      for (let number = 0; number < 4000; number++) put(`small-${number}`, 1);
      rig.clock.advance(hour);
      let sinceTurn = 0;
      let longest = 0;
      let isOver = false;
      store.onRemove = () => (longest = Math.max(longest, ++sinceTurn));
      const turn = (): void => {
        sinceTurn = 0;
        if (!isOver) setImmediate(turn);
      };
      turn();
      t.match(await rig.sweeper.sweep(), { fileCount: 4501, pageCount: 14_000, isComplete: true });
      isOver = true;
      t.ok(longest <= 2000, `${longest} pages without a turn`);
    },
    { store },
  );
});

t.test('a file that is checked or recalled while others go is remembered like any other', async (t) => {
  await withRig(t, { '/m/': '1h' }, async (rig) => {
    await rig.load('old');
    rig.clock.advance(hour);
    await rig.memory.write('new', contentOf(3, 100));
    const gate = rig.ufs.hold({ operation: 'read', key: 'new' });
    const reading = rig.read('new');
    await gate.reached;
    t.match(await rig.sweeper.sweep(), { fileCount: 1 });
    gate.open();
    await reading;
    await rig.filler.idle();
    t.ok(await rig.records.get(rig.file('new').ufsPath), 'it is in the database');
    rig.clock.advance(hour);
    t.match(await rig.sweeper.sweep(), { fileCount: 1, pageCount: 1 });
    await rig.load('one');
    await rig.cache.free(rig.file('one'));
    const status = await rig.memory.stat('one');
    if (!status) throw new Error('the file is gone');
    rig.records.put({ ufsPath: rig.file('one').ufsPath, status, checkedAtMs: rig.clock.now() });
    const recalled = rig.cache.files.recall(rig.file('one'));
    rig.cache.files.forget(rig.file('other'));
    t.ok(await recalled, 'what was not forgotten is believed');
    await rig.cache.free(rig.file('one'));
    rig.records.put({ ufsPath: rig.file('one').ufsPath, status, checkedAtMs: rig.clock.now() });
    const forgotten = rig.cache.files.recall(rig.file('one'));
    rig.cache.files.forget(rig.file('one'));
    t.equal(await forgotten, undefined, 'what was forgotten in between does not come back');
  });
});

t.test('it sweeps at each interval and when a rule comes, and ends while it waits', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.load('a', 'b');
    const gone = async (key: string): Promise<void> => {
      while ((await rig.cached(key)).length > 0) await new Promise((resolve) => setImmediate(resolve));
    };
    await rig.clock.pass(checkIntervalMs);
    rig.rules.set({ path: '/m/', time: '1s' });
    rig.sweeper.wake();
    await gone('a');
    await gone('b');
    t.pass('a rule was looked at on its arrival');
    rig.sweeper.wake();
    await rig.load('a');
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
    await turns();
    await rig.clock.pass(checkIntervalMs - 1);
    await turns();
    t.same(await rig.cached('a'), ['a'], 'over, and not yet looked for');
    await rig.clock.pass(1);
    await gone('a');
  });
});

t.test('a database that does not answer is asked again soon', async (t) => {
  await withRig(t, { '/m/': '1h' }, async (rig) => {
    await rig.load('a');
    const { records } = rig;
    let isSilent = true;
    const asked = Promise.withResolvers<void>();
    const ask = records.loadedFiles.bind(records);
    let askedCount = 0;
    records.loadedFiles = async (range) => {
      askedCount++;
      asked.resolve();
      return isSilent ? undefined : ask(range);
    };
    rig.clock.advance(checkIntervalMs);
    await asked.promise;
    isSilent = false;
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    t.same(await rig.cached('a'), ['a']);
    rig.clock.advance(10 * second);
    while ((await rig.cached('a')).length > 0) await new Promise((resolve) => setImmediate(resolve));
    t.equal(askedCount, 2);
  });
});
