import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { sendBody } from '@alluxio-ts/transport/body-sender';
import t from 'tap';
import { parseCacheRules } from '../src/cache/cache-rules.ts';
import type { OpenedFile } from '../src/cache/file-reader.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import {
  CacheRig,
  contentOf,
  maxAgeMs,
  pageSizeBytes,
  staleIfErrorMaxMs,
  withRig,
} from './support/cache-rig.ts';

const down = new AlluxioError('UfsUnavailable', 'the storage is down', { retry: 'never' });
const always = Number.POSITIVE_INFINITY;

t.test('a cold read fetches each page once, the next one nothing', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(1, 3 * pageSizeBytes + 77);
    await rig.memory.write('a', content);
    const cold = await rig.read('a');
    t.ok(Buffer.from(content).equals(cold.bytes));
    t.equal(cold.outcome, 'miss');
    t.strictSame(rig.outcomes, ['miss', 'miss', 'miss', 'miss'], 'a page fetched ahead is no hit');
    t.equal(rig.ufs.callCount('read', 'a'), 4);
    t.equal(rig.ufs.byteCount('a'), content.length);
    await rig.filler.idle();
    const warm = await rig.read('a');
    t.ok(Buffer.from(content).equals(warm.bytes));
    t.equal(warm.outcome, 'hit');
    t.equal(rig.ufs.callCount('read', 'a'), 4);
    t.equal(rig.ufs.callCount('stat', 'a'), 0, 'what it is came with its bytes');
  });
});

t.test('however many readers wait for a cold file, no byte is fetched twice', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(2, 5 * pageSizeBytes);
    await rig.memory.write('a', content);
    const reads = await Promise.all(Array.from({ length: 32 }, () => rig.read('a')));
    for (const read of reads) t.ok(Buffer.from(content).equals(read.bytes));
    t.equal(rig.ufs.byteCount('a'), content.length);
    t.equal(rig.ufs.callCount('stat', 'a'), 0);
    t.strictSame(new Set(reads.map((read) => read.outcome)), new Set(['miss', 'miss-joined']));
  });
});

t.test('a byte deep in a page comes before what lies ahead of it', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(3, pageSizeBytes);
    await rig.memory.write('a', content);
    const from = 400 * 1024 + 5;
    const gate = rig.ufs.holdBody('a', pageSizeBytes - 384 * 1024);
    const opened = await rig.open('a', { from, to: from + 100 });
    t.ok(Buffer.from(content.subarray(from, from + 100)).equals(await rig.take(opened.body)));
    gate.open();
    await rig.filler.idle();
    t.strictSame(
      rig.ufs.calls
        .filter((call) => call.operation === 'read')
        .map((call) => [call.offset, call.lengthBytes]),
      [
        [384 * 1024, pageSizeBytes - 384 * 1024],
        [0, 384 * 1024],
      ],
    );
    t.equal((await rig.read('a')).outcome, 'hit');
    t.ok(Buffer.from(content).equals((await rig.read('a')).bytes));
  });
});

t.test('a new version is seen when the age is over, and until then the old one is whole', async (t) => {
  await withRig(t, {}, async (rig) => {
    const old = contentOf(4, pageSizeBytes + 10);
    const recent = contentOf(5, pageSizeBytes + 10);
    await rig.memory.write('a', old);
    await rig.read('a');
    await rig.filler.idle();
    await rig.memory.write('a', recent);
    rig.clock.advance(maxAgeMs - 1);
    t.ok(Buffer.from(old).equals((await rig.read('a')).bytes));
    rig.clock.advance(1);
    const read = await rig.read('a');
    t.ok(Buffer.from(recent).equals(read.bytes));
    t.equal(read.outcome, 'miss');
  });
});

t.test('a version that went before the first byte is looked up again', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(6, 100));
    await rig.cache.lookup(rig.file('a'));
    const recent = contentOf(7, 120);
    await rig.memory.write('a', recent);
    t.ok(Buffer.from(recent).equals((await rig.read('a')).bytes));
  });
});

t.test('a version that goes in the middle ends the answer, which mixes nothing', async (t) => {
  await withRig(t, {}, async (rig) => {
    const old = contentOf(8, 6 * pageSizeBytes);
    await rig.memory.write('a', old);
    const { body } = await rig.open('a');
    await rig.memory.write('a', contentOf(9, 6 * pageSizeBytes));
    await t.rejects(rig.take(body), { code: 'VersionChanged' });
    t.ok(
      Buffer.from(contentOf(9, 6 * pageSizeBytes)).equals((await rig.read('a')).bytes),
      'known at once after',
    );
  });
});

t.test('a body that is too short is never kept', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(10, pageSizeBytes);
    await rig.memory.write('a', content);
    rig.ufs.shorten('a', 1000);
    const { body } = await rig.open('a');
    const read = await rig.take(body);
    t.ok(Buffer.from(content).equals(read), 'the rest was asked for again');
    await rig.filler.idle();
    t.equal((await rig.read('a')).outcome, 'hit');
    t.ok(Buffer.from(content).equals((await rig.read('a')).bytes));
  });
});

t.test('a storage that fails before the first byte fails the read with its own code', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(11, 100));
    rig.ufs.fail(down, { operation: 'read' });
    await t.rejects(rig.read('a'), { code: 'UfsUnavailable' });
    t.equal((await rig.read('a')).bytes.length, 100);
  });
});

t.test('a reader that joined a fill which then failed asks once for itself', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(21, 1000);
    await rig.memory.write('a', content);
    await rig.cache.lookup(rig.file('a'));
    const gate = rig.ufs.hold({ operation: 'read', key: 'a' });
    rig.ufs.shorten('a', 0);
    const first = t.rejects(rig.read('a'), { code: 'UfsBadResponse' });
    await gate.reached;
    const joined = rig.read('a');
    await rig.cache.lookup(rig.file('a'));
    gate.open();
    await first;
    t.ok(Buffer.from(content).equals((await joined).bytes));
    t.equal(rig.ufs.callCount('read', 'a'), 2);
  });
});

t.test('a reader that finds no memory for a fill waits for some', async (t) => {
  await withRig(t, { slotCount: 1 }, async (rig) => {
    const content = contentOf(22, pageSizeBytes);
    await rig.memory.write('a', content);
    await rig.memory.write('b', content);
    const gate = rig.ufs.holdBody('a', 10);
    const { body } = await rig.open('a');
    const reading = Promise.all([rig.read('b'), rig.read('b')]);
    await rig.clock.pass(1000);
    gate.open();
    t.ok(Buffer.from(content).equals(await rig.take(body)));
    const reads = await reading;
    t.strictSame(new Set(reads.map(({ outcome }) => outcome)), new Set(['miss', 'hit']));
    for (const { bytes } of reads) t.ok(Buffer.from(content).equals(bytes));
    t.equal(rig.ufs.byteCount('b'), content.length);
  });
});

t.test('readers past the cache share a fetch, and who is slow does not hold its memory', async (t) => {
  await withRig(t, {}, async (rig) => {
    const content = contentOf(23, 3 * pageSizeBytes);
    await rig.memory.write('a', content);
    const file = rig.file('a');
    const open = async (): Promise<OpenedFile> => {
      const found = await rig.cache.lookup(file, { bypass: 'bypass-owner-down' });
      if (!found) throw new Error('there is none');
      const signal = new AbortController().signal;
      return rig.cache.open(file, found, { from: 0, to: content.length, signal });
    };
    const gate = rig.ufs.holdBody('a', 10);
    const opened = await Promise.all(Array.from({ length: 16 }, open));
    t.strictSame(new Set(opened.map(({ outcome }) => outcome)), new Set(['bypass-owner-down']));
    gate.open();
    const reads = await Promise.all(opened.map(({ body }) => rig.take(body)));
    for (const bytes of reads) t.ok(Buffer.from(content).equals(bytes));
    t.equal(rig.ufs.byteCount('a'), content.length);
    t.equal(rig.store.stats().pageCount, 0, 'nothing is kept');

    const { body } = await open();
    const isFull = Promise.withResolvers<void>();
    const drained = Promise.withResolvers<void>();
    const sent: Uint8Array[] = [];
    const sink = {
      write: (bytes: Uint8Array) => {
        sent.push(bytes);
        return false;
      },
      drained: () => {
        isFull.resolve();
        return drained.promise;
      },
    };
    if (body.kind !== 'parts') throw new Error('it is no body of parts');
    const sending = sendBody(body, sink, {
      slots: rig.slots,
      clock: rig.clock,
      signal: new AbortController().signal,
    });
    await Promise.all([isFull.promise, rig.filler.idle()]);
    t.equal(rig.slots.freeCount, rig.slots.slotCount);
    drained.resolve();
    await sending;
    body.close();
    t.ok(Buffer.from(content).equals(Buffer.concat(sent)));
    t.equal(rig.ufs.callCount('read', 'a'), 3 + 2, 'a page that it shared, then a stream of its own');
  });
});

t.test(
  'a client that does not keep up with a stream past the cache holds no request of the storage',
  async (t) => {
    const store = new MemoryPageStore({ capacityBytes: 0, pageSizeBytes });
    await withRig(t, { store }, async (rig) => {
      const content = contentOf(24, 3 * pageSizeBytes);
      await rig.memory.write('a', content);
      await rig.cache.lookup(rig.file('a'));
      const { body, outcome } = await rig.open('a');
      t.equal(outcome, 'bypass-disk');
      if (body.kind !== 'parts') throw new Error('it is no body of parts');
      const sent: Uint8Array[] = [];
      const openedBodies: number[] = [];
      let isSlow = true;
      const sink = {
        write: (bytes: Uint8Array) => {
          sent.push(Uint8Array.from(bytes));
          return !isSlow;
        },
        // Each of these is longer than a client may take.
        drained: async () => {
          await rig.clock.pass(0);
          await rig.clock.pass(10_000);
          openedBodies.push(rig.ufs.openBodyCount);
          isSlow = sent.length < 4;
        },
      };
      await sendBody(body, sink, {
        slots: rig.slots,
        clock: rig.clock,
        signal: new AbortController().signal,
      });
      body.close();
      t.ok(Buffer.from(content).equals(Buffer.concat(sent)));
      t.strictSame(openedBodies.slice(1), [0, 0, 0], 'nothing of the storage waits for it');
      const lengths = rig.ufs.calls
        .filter(({ operation }) => operation === 'read')
        .map(({ lengthBytes }) => lengthBytes);
      t.ok(
        lengths.slice(1).every((each) => each !== undefined && each <= 256 * 1024),
        String(lengths),
      );
    });
  },
);

t.test(
  'without a free slot, room in the store, a version or a rule for it, bytes go past the cache',
  async (t) => {
    const content = contentOf(12, 2 * pageSizeBytes);
    await withRig(t, { slotCount: 1 }, async (rig) => {
      await rig.memory.write('a', content);
      await rig.memory.write('b', content);
      const gate = rig.ufs.holdBody('a', 10);
      const { body } = await rig.open('a');
      const reading = rig.read('b');
      while (rig.ufs.callCount('read', 'b') === 0) await rig.clock.pass(1000);
      gate.open();
      t.ok(Buffer.from(content).equals(await rig.take(body)));
      const read = await reading;
      t.equal(read.outcome, 'bypass-quota');
      t.ok(Buffer.from(content).equals(read.bytes));
      t.ok(rig.outcomes.includes('miss'), 'it looks again at each page');
    });
    await withRig(t, { store: new MemoryPageStore({ capacityBytes: 0, pageSizeBytes }) }, async (rig) => {
      await rig.memory.write('a', content);
      const read = await rig.read('a');
      t.equal(read.outcome, 'bypass-disk');
      t.ok(Buffer.from(content).equals(read.bytes));
      t.equal(rig.ufs.callCount('read', 'a'), 2, 'what it is, then one stream for the whole');
    });
    await withRig(t, {}, async (rig) => {
      await rig.memory.write('a', content);
      rig.ufs.claimVersion('a', undefined);
      const read = await rig.read('a');
      t.equal(read.outcome, 'bypass-version');
      t.ok(Buffer.from(content).equals(read.bytes));
    });
    const rules = parseCacheRules(
      '{"apiVersion":1,"data":{"skipCache":["mem://bucket/prefix/tmp/.*"]}}',
      'rules.json',
    );
    await withRig(t, { rules }, async (rig) => {
      await rig.memory.write('tmp/a', content);
      await rig.memory.write('a', content);
      t.equal((await rig.read('tmp/a')).outcome, 'bypass-filter');
      t.equal((await rig.read('a')).outcome, 'miss');
      await rig.memory.write('a', contentOf(13, 5));
      rig.clock.advance(100 * staleIfErrorMaxMs);
      t.ok(Buffer.from(content).equals((await rig.read('a')).bytes), 'immutable is never asked for again');
    });
  },
);

t.test(
  'with the storage down, what is cached is served as stale, also after a restart, and not for ever',
  async (t) => {
    const recordsPath = join(t.testdir(), 'files.db');
    const content = contentOf(14, pageSizeBytes + 1);
    const first = new CacheRig({ recordsPath });
    await first.memory.write('a', content);
    await first.memory.write('b', content);
    await first.read('a');
    await first.filler.idle();
    await first.records.close();
    const { store, clock, memory } = first;
    await withRig(t, { recordsPath, store, clock, memory }, async (rig) => {
      clock.advance(maxAgeMs);
      for (const operation of ['stat', 'read'] as const) rig.ufs.fail(down, { operation, times: always });
      const stale = await rig.read('a');
      t.equal(stale.outcome, 'hit-stale');
      t.ok(Buffer.from(content).equals(stale.bytes));
      const asked = rig.ufs.callCount('stat');
      t.equal((await rig.read('a')).outcome, 'hit-stale');
      t.equal(rig.ufs.callCount('stat'), asked, 'a storage that just failed is left alone for a second');
      await t.rejects(rig.read('b'), { code: 'UfsUnavailable' });
      clock.advance(staleIfErrorMaxMs);
      await t.rejects(rig.read('a'), { code: 'UfsUnavailable' });
    });
  },
);

t.test('a record is renewed ahead of its end, and stands until then if the storage is silent', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(18, 100));
    await rig.read('a');
    const file = rig.file('a');
    const renew = () => rig.cache.lookup(file, { renewAheadMs: 10_000 });
    rig.clock.advance(maxAgeMs - 10_001);
    t.match(await renew(), { wasChecked: false }, 'long enough');
    rig.clock.advance(1);
    rig.ufs.fail(down, { operation: 'stat' });
    t.match(
      await renew(),
      { wasChecked: false, isStale: false },
      'a storage that is down is no reason to doubt',
    );
    t.match(await renew(), { wasChecked: true, isStale: false });
    t.match(await renew(), { wasChecked: false });
    rig.clock.advance(maxAgeMs - 1);
    await rig.memory.write('a', contentOf(19, 200));
    t.equal((await renew())?.record.status.sizeBytes, 200, 'and what is new is seen');
    await rig.memory.remove('a');
    rig.clock.advance(maxAgeMs - 1);
    t.equal(await renew(), undefined);
  });
});

t.test('nobody waits for the check of a file that is read often', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(18, 100));
    await rig.memory.write('b', contentOf(18, 100));
    for (const key of ['a', 'b']) await rig.read(key);
    rig.clock.advance(maxAgeMs - 10_001);
    const asked = rig.ufs.callCount('stat');
    await rig.read('a');
    t.equal(rig.ufs.callCount('stat'), asked, 'long enough');
    rig.clock.advance(1);
    await rig.memory.write('a', contentOf(19, 200));
    const gate = rig.ufs.hold({ operation: 'stat', key: 'a' });
    t.match(await rig.read('a'), { outcome: 'hit' });
    await gate.reached;
    t.match(await rig.read('a'), { outcome: 'hit' });
    t.equal(rig.ufs.callCount('stat'), asked + 1, 'one question at a time');
    gate.open();
    await passTurns();
    const { bytes } = await rig.read('a');
    t.ok(Buffer.from(bytes).equals(contentOf(19, 200)), 'what was learned meanwhile is what counts');

    rig.ufs.fail(down, { operation: 'stat', key: 'b' });
    t.match(await rig.read('b'), { outcome: 'hit' }, 'a storage that is down is no reason to doubt');
    await passTurns();
    await rig.read('b');
    await passTurns();
    t.equal(rig.ufs.callCount('stat', 'b'), 1, 'and is left alone for a second');
    rig.clock.advance(1000);
    await rig.read('b');
    await passTurns();
    t.equal(rig.ufs.callCount('stat', 'b'), 2);
    rig.clock.advance(maxAgeMs - 1);
    t.match(await rig.read('b'), { outcome: 'hit' }, 'which counted');
  });
});

/** Until what does not wait for a clock or a gate is over. */
async function passTurns(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn();
}

t.test('a refusal or a removal is never covered by a record', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(15, 100));
    await rig.read('a');
    rig.clock.advance(maxAgeMs);
    rig.ufs.fail(new AlluxioError('UfsAccessDenied', 'no'), { operation: 'stat' });
    await t.rejects(rig.read('a'), { code: 'UfsAccessDenied' });
    t.equal(rig.cache.files.peek(rig.file('a')), undefined);
    await rig.read('a');
    await rig.memory.remove('a');
    rig.clock.advance(maxAgeMs);
    await t.rejects(rig.read('a'), { code: 'FileNotFound' });
    const asked = rig.ufs.callCount('stat');
    await t.rejects(rig.read('a'), { code: 'FileNotFound' });
    t.equal(rig.ufs.callCount('stat'), asked, 'absence is remembered');
    await rig.memory.write('a', contentOf(16, 10));
    rig.clock.advance(1000);
    t.equal((await rig.read('a')).bytes.length, 10, 'for a second');
  });
});

t.test('an empty file has no page and an empty answer', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', new Uint8Array(0));
    t.equal((await rig.read('a')).bytes.length, 0);
    t.equal((await rig.read('a')).outcome, 'hit');
    t.equal(rig.ufs.callCount('read'), 1, 'which told that it is empty');
  });
});

t.test('a file that nobody knows is learned from the answer that carries its bytes', async (t) => {
  const content = contentOf(30, 2 * pageSizeBytes + 100);
  const asked = (rig: CacheRig) =>
    rig.ufs.calls.map(({ operation, offset, version }) => [operation, offset, version !== undefined]);
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', content);
    const from = pageSizeBytes + 400_000;
    const read = await rig.read('a', { from, to: from + 10 });
    t.equal(read.outcome, 'miss');
    t.ok(Buffer.from(content.subarray(from, from + 10)).equals(read.bytes));
    await rig.filler.idle();
    t.strictSame(asked(rig), [
      ['read', pageSizeBytes + 393_216, false],
      ['read', pageSizeBytes, true],
    ]);
    t.equal((await rig.read('a', { from: pageSizeBytes, to: 2 * pageSizeBytes })).outcome, 'hit');
    t.equal(rig.ufs.byteCount('a'), pageSizeBytes);
  });
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', content);
    await t.rejects(rig.read('none'), { code: 'FileNotFound' });
    await t.rejects(rig.read('none'), { code: 'FileNotFound' });
    t.strictSame(asked(rig), [['read', 0, false]], 'absence is remembered');
    await rig.open('a', { from: 100 * pageSizeBytes, to: 100 * pageSizeBytes });
    t.equal(rig.cache.files.peek(rig.file('a'))?.status.sizeBytes, content.length, 'behind its end');
    t.equal(rig.ufs.byteCount('a'), 0);
  });
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', content);
    const gate = rig.ufs.holdBody('a', 10);
    const first = rig.read('a');
    await gate.reached;
    const [one, other] = [rig.read('a', { from: pageSizeBytes }), rig.read('a', { to: 5 })];
    gate.open();
    t.equal((await first).outcome, 'miss');
    t.match([(await one).outcome, (await other).outcome], [/^miss/, 'miss-joined']);
    t.equal(rig.ufs.byteCount('a'), content.length);
    t.equal(rig.ufs.callCount('stat'), 0);
  });
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', content);
    rig.ufs.breakBody('a', 1000, new AlluxioError('UfsUnavailable', 'it broke'));
    const read = await rig.read('a');
    t.ok(
      Buffer.from(content).equals(read.bytes),
      'a body that breaks is asked for again, of the same version',
    );
    const begins = asked(rig).filter(([, offset]) => offset === 0);
    t.strictSame(begins, [
      ['read', 0, false],
      ['read', 0, true],
    ]);
  });
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', content);
    await rig.read('a');
    await rig.filler.idle();
    rig.cache.files.forget(rig.file('a'));
    const again = await rig.read('a');
    t.equal(again.outcome, 'hit', 'its pages are here');
    t.ok(Buffer.from(content).equals(again.bytes));
    t.ok(rig.ufs.byteCount('a') <= content.length + 1, 'and not fetched again');
  });
});

t.test('after a change of owners a record is asked for again before it is believed', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(21, 100));
    await rig.read('a');
    await rig.filler.idle();
    await rig.memory.write('a', contentOf(22, 100));
    t.ok(Buffer.from(contentOf(21, 100)).equals((await rig.read('a')).bytes), 'believed for its age');
    rig.cache.files.distrust();
    rig.clock.advance(1);
    t.ok(Buffer.from(contentOf(22, 100)).equals((await rig.read('a')).bytes));
    rig.ufs.fail(down, { operation: 'stat', times: always });
    rig.clock.advance(1);
    rig.cache.files.distrust();
    rig.clock.advance(1);
    t.equal((await rig.read('a')).outcome, 'hit-stale', 'and stands in while the storage is silent');
  });
});

t.test('freeing a file drops its pages and its record', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(17, pageSizeBytes + 5));
    await rig.read('a');
    await rig.filler.idle();
    t.strictSame(await rig.cache.free(rig.file('a')), {
      fileCount: 1,
      pageCount: 2,
      freedBytes: pageSizeBytes + 5,
    });
    t.equal((await rig.read('a')).outcome, 'miss');
    await rig.memory.write('d/b', contentOf(20, 7));
    await rig.read('d/b');
    await rig.filler.idle();
    const { mount } = rig.file('');
    t.strictSame(await rig.cache.freeBelow(mount, 'd'), { fileCount: 1, pageCount: 1, freedBytes: 7 });
    t.equal((await rig.read('d/b')).outcome, 'miss');
    t.equal((await rig.read('a')).outcome, 'hit', 'what lies elsewhere stays');
    await rig.filler.idle();
    t.strictSame(await rig.cache.freeBelow(mount, ''), {
      fileCount: 2,
      pageCount: 3,
      freedBytes: pageSizeBytes + 12,
    });
  });
});

t.test('records know a file by its id', async (t) => {
  await withRig(t, {}, async (rig) => {
    await rig.memory.write('a', contentOf(18, 5));
    const id = '8d6ce5b4f2c4c5c8d9ab1a35b0ed0d6a0f6e2a6c9ad1f5b5b3a4d8f2a6b0c1d2';
    t.equal(await rig.cache.files.pathOfId(id), undefined);
    await rig.read('a');
    const { fileIdOf } = await import('@alluxio-ts/common/page');
    t.equal(await rig.cache.files.pathOfId(fileIdOf('mem://bucket/prefix/a')), 'mem://bucket/prefix/a');
    await rig.records.flush();
    t.equal(await rig.cache.files.pathOfId(fileIdOf('mem://bucket/prefix/a')), 'mem://bucket/prefix/a');
  });
});
