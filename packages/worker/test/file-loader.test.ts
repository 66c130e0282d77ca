import { AlluxioError } from '@alluxio-ts/common/errors';
import type { LoadBatch, LoadFile } from '@alluxio-ts/common/protocol/load-batch';
import { systemClock } from '@alluxio-ts/common/clock';
import type { FileKey, PageId } from '@alluxio-ts/common/page';
import { KIB } from '@alluxio-ts/common/units';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { S3Ufs } from '@alluxio-ts/ufs-adapters/s3/ufs';
import t, { type Test } from 'tap';
import { S3Origin } from './support/s3-origin.ts';
import { CacheRig, contentOf, pageSizeBytes, type RigOptions } from './support/cache-rig.ts';

const never = new AbortController().signal;

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** After each one nothing may be left over. */
function withRig(name: string, run: (t: Test, rig: CacheRig) => Promise<void>, options: RigOptions = {}) {
  return t.test(name, async (t) => {
    const rig = new CacheRig(options);
    t.teardown(() => rig.close());
    await run(t, rig);
    const { freeSlots, slotCount, openBodies } = await rig.settle();
    t.equal(freeSlots, slotCount, 'every slot is back');
    t.equal(openBodies, 0, 'every body is closed');
    t.equal(rig.loader.runningCount, 0, 'every permit is back');
  });
}

/** The files as a listing shows them, written first. */
async function write(rig: CacheRig, sizes: Readonly<Record<string, number>>): Promise<LoadFile[]> {
  const files: LoadFile[] = [];
  for (const [key, sizeBytes] of Object.entries(sizes)) {
    const { version } = await rig.memory.write(key, contentOf(sizeBytes, sizeBytes));
    files.push({ ufsPath: rig.file(key).ufsPath, fromPage: 0, sizeBytes, ...(version ? { version } : {}) });
  }
  return files;
}

function batchOf(files: readonly LoadFile[], more: Partial<LoadBatch> = {}): LoadBatch {
  return {
    jobId: 'job',
    mode: 'load',
    files: [...files],
    listedAgeMs: 0,
    deadlineMs: 1000,
    bandwidthBytesPerSecond: 0,
    ...more,
  };
}

const sizes = { small: 10 * KIB, empty: 0, large: 3 * pageSizeBytes + 7 };
const totalBytes = sizes.small + sizes.large;

await withRig('a batch is loaded with one request a page, and read without any', async (t, rig) => {
  const files = await write(rig, sizes);
  const result = await rig.loader.load(batchOf(files), { signal: never });
  t.match(result, { doneFiles: 3, loadedBytes: totalBytes, heldBytes: 0, failed: [], unfinished: [] });
  t.same(
    rig.ufs.calls.map(({ operation, key }) => `${operation} ${key}`).toSorted(),
    ['read large', 'read large', 'read large', 'read large', 'read small', 'stat empty'],
    'only the empty file, which has no page, is asked for by itself',
  );
  t.equal(rig.jobBytes, totalBytes);
  rig.ufs.calls.length = 0;
  for (const [key, size] of Object.entries(sizes)) {
    const read = await rig.read(key);
    t.ok(isSame(read.bytes, contentOf(size, size)), key);
    t.equal(read.outcome, 'hit', key);
  }
  t.same(rig.ufs.calls, [], 'nothing is asked again');
});

await withRig('what else the storage says of a file comes with its bytes', async (t, rig) => {
  const headers = { contentType: 'text/csv', metadata: { owner: 'me' } };
  const { version } = await rig.memory.write('a', contentOf(1, 100), { headers });
  const file = { ufsPath: rig.file('a').ufsPath, fromPage: 0, sizeBytes: 100, version: version ?? '' };
  await rig.loader.load(batchOf([file]), { signal: never });
  t.match(rig.cache.files.peek(rig.file('a'))?.status, { headers, isPartial: false });
});

await withRig('a second load fetches nothing and confirms what is known', async (t, rig) => {
  const files = await write(rig, sizes);
  await rig.loader.load(batchOf(files), { signal: never });
  rig.ufs.calls.length = 0;
  await rig.clock.pass(50_000);
  const again = await rig.loader.load(batchOf(files, { listedAgeMs: 1000 }), { signal: never });
  t.match(again, { doneFiles: 3, loadedBytes: 0, heldBytes: totalBytes, failed: [], givesWay: false });
  t.same(rig.ufs.calls, []);
  await rig.clock.pass(30_000);
  t.equal(
    (await rig.read('small')).outcome,
    'hit',
    'older than its age since the first load, not since the listing',
  );
  t.same(rig.ufs.calls, []);
});

await withRig('two loads and a reader at once fetch each byte once', async (t, rig) => {
  const files = await write(rig, { large: sizes.large });
  const gate = rig.ufs.hold({ operation: 'read', key: 'large' });
  const loads = [batchOf(files), batchOf(files, { jobId: 'other' })].map((batch) =>
    rig.loader.load(batch, { signal: never }),
  );
  await gate.reached;
  const read = rig.read('large');
  gate.open();
  const [one, other] = await Promise.all(loads);
  t.ok(isSame((await read).bytes, contentOf(sizes.large, sizes.large)));
  t.equal(one?.doneFiles, 1);
  t.equal(other?.doneFiles, 1);
  t.equal(rig.ufs.calls.filter(({ operation }) => operation === 'read').length, 4, 'one request a page');
});

await withRig('a file that was overwritten since the listing is loaded as it is now', async (t, rig) => {
  const files = await write(rig, { a: 3 * pageSizeBytes });
  await rig.memory.write('a', contentOf(9, 100));
  const result = await rig.loader.load(batchOf(files), { signal: never });
  t.match(result, { doneFiles: 1, loadedBytes: 100, failed: [] });
  t.ok(isSame((await rig.read('a')).bytes, contentOf(9, 100)));
});

await withRig(
  'a listing that is older than what is known does not bring the old version back',
  async (t, rig) => {
    const files = await write(rig, { a: 200 });
    await rig.clock.pass(10_000);
    await rig.memory.write('a', contentOf(9, 100));
    await rig.read('a');
    rig.ufs.calls.length = 0;
    const result = await rig.loader.load(batchOf(files, { listedAgeMs: 10_000 }), { signal: never });
    t.match(result, { doneFiles: 1, heldBytes: 100, failed: [] });
    t.equal((await rig.read('a')).outcome, 'hit');
    t.same(rig.ufs.calls, []);
  },
);

await withRig(
  'failures are told by file, and what may pass is marked',
  async (t, rig) => {
    const files = await write(rig, { a: 10, b: 10, c: 4 * pageSizeBytes, d: 10 });
    rig.strange.add(rig.file('d').ufsPath);
    await rig.memory.remove('a');
    rig.ufs.fail(new AlluxioError('UfsAccessDenied', 'no'), { operation: 'read', key: 'b' });
    const gate = rig.ufs.hold({ operation: 'read', key: 'c', times: 1 });
    gate.open();
    let reads = 0;
    const result = await rig.loader.load(
      batchOf([...files, { ufsPath: 's3://elsewhere/x', fromPage: 0, sizeBytes: 1, version: 'v' }]),
      { signal: never },
    );
    reads = rig.ufs.calls.filter(({ key, operation }) => key === 'c' && operation === 'read').length;
    t.equal(reads, 4);
    t.same(
      result.failed.map(({ index, code, mayPass }) => ({ index, code, mayPass })),
      [
        { index: 0, code: 'FileNotFound', mayPass: false },
        { index: 1, code: 'UfsAccessDenied', mayPass: false },
        { index: 4, code: 'MountNotFound', mayPass: true },
      ],
    );
    t.same(result.strayed, [3]);
    t.equal(result.doneFiles, 1);
  },
  { loadConcurrencyMax: 1 },
);

await withRig(
  'a page that fails leaves what came before it, and goes on from there',
  async (t, rig) => {
    const files = await write(rig, { c: 4 * pageSizeBytes });
    const gate = rig.ufs.hold({ operation: 'read', key: 'c', times: 1 });
    const loading = rig.loader.load(batchOf(files), { signal: never });
    await gate.reached;
    gate.open();
    rig.ufs.fail(new AlluxioError('UfsTimeout', 'slow'), { operation: 'read', key: 'c' });
    const result = await loading;
    t.match(result.failed, [{ index: 0, fromPage: 1, code: 'UfsTimeout', mayPass: true }]);
    t.equal(result.loadedBytes, pageSizeBytes);
    const rest = files.map((file) => ({ ...file, fromPage: 1 }));
    const second = await rig.loader.load(batchOf(rest), { signal: never });
    t.match(second, { doneFiles: 1, loadedBytes: 3 * pageSizeBytes, heldBytes: 0 });
  },
  { loadConcurrencyMax: 1 },
);

await withRig(
  'nothing is begun after the deadline: the rest comes back, to go on from where it was',
  async (t, rig) => {
    const files = await write(rig, { a: 4 * pageSizeBytes, b: 10 });
    const gate = rig.ufs.hold({ operation: 'read', key: 'a' });
    const loading = rig.loader.load(batchOf(files), { signal: never });
    await gate.reached;
    await rig.clock.pass(1000);
    gate.open();
    const result = await loading;
    t.match(result, { doneFiles: 0, loadedBytes: pageSizeBytes, failed: [] });
    t.same(result.unfinished, [
      { index: 0, fromPage: 1 },
      { index: 1, fromPage: 0 },
    ]);
  },
  { loadConcurrencyMax: 1 },
);

await withRig(
  'beside readers a job begins with a sixteenth of the time: it rests after each page, but a batch does not wait for that',
  async (t, rig) => {
    const files = await write(rig, { a: 2 * pageSizeBytes });
    const gate = rig.ufs.hold({ operation: 'read', key: 'a' });
    rig.reads.read();
    const loading = rig.loader.load(batchOf(files, { deadlineMs: 60_000 }), { signal: never });
    await gate.reached;
    await rig.clock.pass(20);
    gate.open();
    await rig.filler.idle();
    for (let turn = 0; turn < 10; turn++) await rig.clock.pass(0);
    t.equal(rig.ufs.callCount('read', 'a'), 1);
    await rig.clock.pass(299);
    t.equal(rig.ufs.callCount('read', 'a'), 1, 'fifteen times what the page took');
    await rig.clock.pass(1);
    t.match(await loading, { doneFiles: 1, loadedBytes: 2 * pageSizeBytes, givesWay: true });
  },
  { loadConcurrencyMax: 1 },
);

await withRig(
  'an aborted load begins nothing more',
  async (t, rig) => {
    const files = await write(rig, { a: 4 * pageSizeBytes });
    const gate = rig.ufs.hold({ operation: 'read', key: 'a' });
    const stop = new AbortController();
    const loading = rig.loader.load(batchOf(files), { signal: stop.signal });
    await gate.reached;
    stop.abort(new Error('enough'));
    gate.open();
    await t.rejects(loading, { message: 'enough' });
    t.equal(rig.ufs.calls.length, 1);
  },
  { loadConcurrencyMax: 1 },
);

await withRig(
  'bytes beyond the bandwidth wait, past the deadline they are left',
  async (t, rig) => {
    const files = await write(rig, { a: 10 * pageSizeBytes });
    const batch = batchOf(files, { bandwidthBytesPerSecond: 2 * pageSizeBytes, deadlineMs: 1800 });
    const loading = rig.loader.load(batch, { signal: never });
    for (let passedMs = 0; passedMs < 2000; passedMs += 100) await rig.clock.pass(100);
    const result = await loading;
    t.equal(result.loadedBytes, 4 * pageSizeBytes, 'at 0, 0.5, 1 and 1.5 s');
    t.same(result.unfinished, [{ index: 0, fromPage: 4 }]);
  },
  { loadConcurrencyMax: 4 },
);

await withRig('metadata alone is asked for, and not again when the listing confirms it', async (t, rig) => {
  const files = await write(rig, { a: 10, b: 20 });
  const first = await rig.loader.load(batchOf(files, { mode: 'metadata' }), { signal: never });
  t.match(first, { doneFiles: 2, loadedBytes: 0 });
  t.same(
    rig.ufs.calls.map(({ operation }) => operation),
    ['stat', 'stat'],
  );
  await rig.loader.load(batchOf(files, { mode: 'metadata' }), { signal: never });
  t.equal(rig.ufs.calls.length, 2);
});

await withRig('a look says what is here and fetches nothing', async (t, rig) => {
  const files = await write(rig, { a: 2 * pageSizeBytes, b: 20 });
  await rig.read('a', { from: 0, to: 10 });
  await rig.settle();
  rig.ufs.calls.length = 0;
  const result = await rig.loader.load(batchOf(files, { mode: 'look' }), { signal: never });
  t.match(result, { doneFiles: 2, heldBytes: pageSizeBytes, loadedBytes: 0 });
  t.same(rig.ufs.calls, []);
});

await withRig('a verifying load reads what is here, and fetches what is not', async (t, rig) => {
  const files = await write(rig, { a: 3 * pageSizeBytes });
  await rig.loader.load(batchOf(files), { signal: never });
  const fileKey = rig.cache.files.peek(rig.file('a'))?.fileKey;
  t.ok(fileKey);
  if (fileKey) rig.store.remove({ file: fileKey, index: 1 }, 'evicted');
  const result = await rig.loader.load(batchOf(files, { mode: 'verify' }), { signal: never });
  t.match(result, { doneFiles: 1, loadedBytes: pageSizeBytes, heldBytes: 2 * pageSizeBytes });
});

/** Has every call of `verify` noted with its pages. This version is not read together with others, as where the disk has too much to do, and stays. */
function noteVerified(rig: CacheRig, unread?: FileKey): (readonly PageId[])[] {
  const calls: (readonly PageId[])[] = [];
  const { store } = rig;
  const verify = store.verify.bind(store);
  store.verify = async (pages) => {
    calls.push(pages);
    const areGood = await verify(pages);
    return areGood.map((isGood, at) => isGood && (pages.length === 1 || pages[at]?.file.a !== unread?.a));
  };
  return calls;
}

await withRig('small files are read back together, no more than a page of bytes', async (t, rig) => {
  const small = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`s${index}`, 60 * KIB + index]));
  const files = await write(rig, { ...small, empty: 0, large: 2 * pageSizeBytes + 5, last: 10 });
  await rig.loader.load(batchOf(files), { signal: never });
  const keyOf = (key: string): FileKey => {
    const fileKey = rig.cache.files.peek(rig.file(key))?.fileKey;
    if (!fileKey) throw new Error(`${key} is not known`);
    return fileKey;
  };
  // One is gone, one has another version that is known, one has another that nobody knows of.
  rig.store.remove({ file: keyOf('s3'), index: 0 }, 'corrupt');
  await rig.memory.write('s7', contentOf(77, 2 * pageSizeBytes));
  await rig.cache.lookup(rig.file('s7'), { mustCheck: true });
  await rig.read('s7');
  await rig.settle();
  await rig.memory.write('s9', contentOf(99, 50 * KIB));
  rig.cache.files.forget(rig.file('s9'));
  rig.ufs.calls.length = 0;
  const calls = noteVerified(rig, keyOf('s5'));
  const result = await rig.loader.load(batchOf(files, { mode: 'verify', listedAgeMs: 1 }), { signal: never });
  t.match(result, { doneFiles: files.length, failed: [], unfinished: [], strayed: [] });
  t.equal(result.loadedBytes, 60 * KIB + 3 + 50 * KIB);
  t.same(
    rig.ufs.calls.map(({ operation, key }) => `${operation} ${key}`).toSorted(),
    ['read s3', 'read s9', 'stat s9'],
    'what is here and good is not asked for',
  );
  const together = calls.filter((pages) => pages.length > 1).map((pages) => pages.length);
  t.same(
    together,
    [7, 8, 4],
    'eight of 60 KiB and a few bytes fit into a page, and one of them is longer by now',
  );
  const named = calls.flat().map(({ file, index }) => `${file.a} ${index}`);
  const namedOf = (key: string): readonly string[] =>
    named.filter((name) => name.startsWith(`${keyOf(key).a} `)).toSorted();
  for (const [key, pageCount] of [
    ['large', 3],
    ['s7', 2],
  ] as const) {
    const all = Array.from({ length: pageCount }, (_, index) => `${keyOf(key).a} ${index}`);
    t.same(namedOf(key), all, 'a large one page by page');
  }
  t.equal(namedOf('s0').length, 1, 'none is read back twice');
  t.equal(namedOf('s5').length, 2, 'but for one that was not read');
  for (const [key, seed, size] of [
    ['s3', 60 * KIB + 3, 60 * KIB + 3],
    ['s7', 77, 2 * pageSizeBytes],
    ['s9', 99, 50 * KIB],
  ] as const) {
    t.ok(isSame((await rig.read(key)).bytes, contentOf(seed, size)), key);
  }
});

await withRig('what is not read back in time is said to be unfinished', async (t, rig) => {
  const files = await write(rig, { a: 100, b: 200, c: 300 });
  await rig.loader.load(batchOf(files), { signal: never });
  const calls = noteVerified(rig);
  const late = await rig.loader.load(batchOf(files, { mode: 'verify', deadlineMs: 0 }), { signal: never });
  t.same(
    late.unfinished,
    [0, 1, 2].map((index) => ({ index, fromPage: 0 })),
  );
  t.equal(late.doneFiles, 0);
  t.same(calls, []);
  const control = new AbortController();
  control.abort(new Error('stopped'));
  const batch = batchOf(files, { mode: 'verify' });
  await t.rejects(rig.loader.load(batch, { signal: control.signal }), { message: 'stopped' });
});

await withRig('a file without a version from a listing is asked for', async (t, rig) => {
  await write(rig, { a: 100 });
  const asked = { ufsPath: rig.file('a').ufsPath, fromPage: 0 };
  const result = await rig.loader.load(batchOf([asked]), { signal: never });
  t.match(result, { doneFiles: 1, loadedBytes: 100, learnedBytes: 100 });
  const gone = { ufsPath: rig.file('none').ufsPath, fromPage: 0 };
  const missing = await rig.loader.load(batchOf([gone]), { signal: never });
  t.match(missing.failed, [{ index: 0, code: 'FileNotFound', mayPass: false }]);
});

await withRig(
  'two jobs share the permits evenly',
  async (t, rig) => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`many-${index}`, 10]));
    const few = Object.fromEntries(Array.from({ length: 3 }, (_, index) => [`few-${index}`, 10]));
    const [manyFiles, fewFiles] = [await write(rig, many), await write(rig, few)];
    await Promise.all([
      rig.loader.load(batchOf(manyFiles), { signal: never }),
      rig.loader.load(batchOf(fewFiles, { jobId: 'few' }), { signal: never }),
    ]);
    const order = rig.ufs.calls.map(({ key }) => key);
    const lastFew = order.findLastIndex((key) => key.startsWith('few'));
    t.ok(lastFew < 12, `the small job is over while the large one goes on (${lastFew})`);
  },
  { loadConcurrencyMax: 2, slotCount: 8 },
);

/** A bucket with one object of so many pages, and its file as a listing shows it. */
async function startOrigin(t: Test, sizeBytes: number) {
  const origin = await S3Origin.start();
  t.teardown(() => origin.close());
  const content = contentOf(1, sizeBytes);
  origin.put('large', content);
  const uri = parseMountUri('s3://bucket/');
  const options = s3UfsOptions({ uri, options: origin.mountOptions, environment: {}, check: true });
  const ufs = new S3Ufs(options, { clock: systemClock });
  t.teardown(() => ufs.close());
  const { version } = (await ufs.stat('large')) ?? {};
  const file = { ufsPath: 'mem://bucket/prefix/large', fromPage: 0, sizeBytes, version: version ?? '' };
  return { origin, ufs, file, content };
}

/** What was asked for, in units of so many bytes, by where it begins. */
function rangesOf({ ranges }: S3Origin, unitBytes = 1): readonly (readonly number[])[] {
  const asked = ranges.map(([, from, to]) => [from / unitBytes, to / unitBytes]);
  return asked.toSorted(([one = 0], [other = 0]) => one - other);
}

/** Loads one object of so many bytes, all of it at once. */
async function loadLarge(t: Test, sizeBytes: number, options: RigOptions = {}) {
  const parts = await startOrigin(t, sizeBytes);
  const rig = new CacheRig({ ...options, inner: parts.ufs, slotCount: 6 });
  t.teardown(() => rig.close());
  const result = await rig.loader.load(batchOf([parts.file], { deadlineMs: 60_000 }), { signal: never });
  t.match(result, { doneFiles: 1, loadedBytes: sizeBytes, failed: [], unfinished: [] });
  return { ...parts, rig };
}

const mib16 = 16 * 1024 * KIB;

void t.test('pages of a large file come several by one request, each once', async (t) => {
  const { content, origin, rig } = await loadLarge(t, 2 * mib16 + pageSizeBytes + 7);
  t.same(rangesOf(origin), [
    [0, mib16],
    [mib16, 2 * mib16],
    [2 * mib16, content.length],
  ]);
  t.ok(isSame((await rig.read('large')).bytes, content));
  t.equal(origin.ranges.length, 3, 'all of it is here');
  t.equal((await rig.settle()).freeSlots, 6);
});

void t.test('where no permit is left a request is for more', async (t) => {
  const { content, origin } = await loadLarge(t, 3 * mib16 + 7, { loadConcurrencyMax: 2 });
  t.same(rangesOf(origin), [
    [0, mib16],
    [mib16, content.length],
  ]);
});

void t.test('what is here already splits a request, and a rate asks for page by page', async (t) => {
  const { content, file, origin, ufs } = await startOrigin(t, 5 * pageSizeBytes);
  const rig = new CacheRig({ inner: ufs });
  t.teardown(() => rig.close());
  await rig.read('large', { from: 2 * pageSizeBytes, to: 2 * pageSizeBytes + 1 });
  await rig.filler.idle();
  origin.ranges.length = 0;
  await rig.loader.load(batchOf([file], { deadlineMs: 60_000 }), { signal: never });
  t.same(rangesOf(origin, pageSizeBytes), [
    [0, 2],
    [3, 5],
  ]);
  await rig.cache.free(rig.file('large'));
  origin.ranges.length = 0;
  const slow = batchOf([file], { deadlineMs: 60_000, bandwidthBytesPerSecond: 10 * content.length });
  const loading = rig.loader.load(slow, { signal: never });
  for (let turn = 0; turn < 100; turn++) await rig.clock.pass(50);
  t.match(await loading, { doneFiles: 1, failed: [] });
  t.equal(origin.ranges.length, 5);
});

void t.test('an answer that breaks costs the pages that had not come, and those once more', async (t) => {
  const { content, file, origin, ufs } = await startOrigin(t, 4 * pageSizeBytes);
  const rig = new CacheRig({ inner: ufs });
  t.teardown(() => rig.close());
  origin.cut('large', 2 * pageSizeBytes + 1000);
  const broken = await rig.loader.load(batchOf([file], { deadlineMs: 60_000 }), { signal: never });
  t.match(broken, { doneFiles: 0, failed: [{ fromPage: 2, mayPass: true }] });
  const [failed] = broken.failed;
  const rest = { ...file, fromPage: failed?.fromPage ?? 0 };
  const again = await rig.loader.load(batchOf([rest], { deadlineMs: 60_000 }), { signal: never });
  t.match(again, { doneFiles: 1, loadedBytes: 2 * pageSizeBytes, failed: [] });
  t.same(
    origin.ranges.map(([, from, to]) => [from / pageSizeBytes, to / pageSizeBytes]),
    [
      [0, 4],
      [2, 4],
    ],
  );
  t.ok(isSame((await rig.read('large')).bytes, content));
});

void t.test(
  'with readers about, pages are asked for one by one, and each with a permit of its own',
  async (t) => {
    for (const readsAt of [0, 1]) {
      const { content, file, origin, ufs } = await startOrigin(t, 4 * pageSizeBytes);
      const rig = new CacheRig({ inner: ufs });
      t.teardown(() => rig.close());
      const open = origin.hold('large', readsAt * pageSizeBytes + 1000);
      if (readsAt === 0) rig.reads.read();
      const loading = rig.loader.load(batchOf([file], { deadlineMs: 600_000 }), { signal: never });
      while (rig.store.stats().pageCount < readsAt || origin.ranges.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      rig.reads.read();
      open();
      const progress = { isOver: false };
      const end = (): void => void (progress.isOver = true);
      loading.then(end, end);
      while (!progress.isOver) await rig.clock.pass(10);
      t.match(await loading, { doneFiles: 1, loadedBytes: content.length, failed: [] });
      const pages = origin.ranges.map(([, from, to]) => [from / pageSizeBytes, to / pageSizeBytes]);
      const alone = [0, 1, 2, 3].map((page) => [page, page + 1]);
      t.same(pages, readsAt === 0 ? alone : [[0, 4]], 'what was asked for already is gone on with');
      t.ok(isSame((await rig.read('large')).bytes, content));
    }
  },
);

void t.test(
  'a job that is stopped while it gives way in the middle of a request ends by that alone',
  async (t) => {
    const { file, origin, ufs } = await startOrigin(t, 4 * mib16 + pageSizeBytes);
    const rig = new CacheRig({ inner: ufs, loadConcurrencyMax: 1 });
    t.teardown(() => rig.close());
    const open = origin.hold('large', pageSizeBytes + 1000);
    const stop = new AbortController();
    const loading = rig.loader.load(batchOf([file], { deadlineMs: 600_000 }), { signal: stop.signal });
    while (rig.store.stats().pageCount < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    rig.reads.read();
    // The permit rests after what took a while.
    rig.clock.advance(100);
    open();
    // Two wait for the permit then: the rest of this request, and the next one.
    while (rig.loader.runningCount > 0) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort(new Error('stopped'));
    await t.rejects(loading, /stopped/);
    await new Promise(setImmediate);
    t.equal((await rig.settle()).freeSlots, rig.slots.slotCount);
  },
);
