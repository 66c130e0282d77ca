import { readdirSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { defaultLoadOptions, isEnded } from '@alluxio-ts/common/protocol/jobs';
import t, { type Test } from 'tap';
import { until } from '../../../test/support/cluster.ts';
import { pageSizeBytes } from '../../worker/test/support/cache-rig.ts';
import { removeOldFailedFiles } from '../src/control/jobs/failed-files.ts';
import { JobRig, mountUri } from './support/job-rig.ts';

async function open(t: Test, options: ConstructorParameters<typeof JobRig>[1] = {}) {
  const rig = new JobRig(t, options);
  await rig.mount();
  return rig;
}

/** Every worker has what it owns, and nothing was asked for twice. */
function checkLoaded(t: Test, rig: JobRig, keys: readonly string[], readsEach = 1): void {
  const counts = rig.readCounts();
  t.equal(counts.size, keys.length, 'every file was read');
  t.same(
    [...counts.values()].filter((count) => count !== readsEach),
    [],
    'each page once',
  );
  const missing = keys.filter((key) => {
    const worker = rig.workers.get(rig.ownerOf(`${mountUri}/${key}`) ?? '');
    const file = worker?.file(key);
    const status = file && worker?.cache.files.peek(file)?.status;
    return !file || !status || worker?.cache.cachedBytesOf(file, status) !== status.sizeBytes;
  });
  t.same(missing, [], 'all of it is at its owner');
}

await t.test('what lies below a path is loaded to its owners, each page once', async (t) => {
  const rig = await open(t);
  const keys = await rig.write(2500, 100);
  const job = await rig.load(rig.start());
  t.match(job, {
    state: 'SUCCEEDED',
    shown: { scannedFiles: 2500, processedFiles: 2500, loadedBytes: 250_000, heldBytes: 0, failedFiles: 0 },
    total: { files: 2500, bytes: 250_000, isComplete: true },
    cursor: { source: 0, after: 'dir/002499' },
  });
  t.same(job.counts, job.shown, 'everything is committed');
  const { text } = await rig.metrics.scrape();
  t.match(text, /^alluxio_distributed_load_job_scanned_total 2500$/m);
  t.match(text, /^alluxio_distributed_load_job_processed_total 2500$/m);
  t.match(text, /^alluxio_distributed_load_job_loaded_bytes_total 250000$/m);
  t.match(text, /^alluxio_active_job_count\{type="running"\} \d$/m);
  checkLoaded(t, rig, keys);
  t.ok(rig.batches.every(({ batch }) => batch.files.length <= 200));
});

await t.test(
  'a job is not said to have ended before that is saved, so that the same again is another',
  async (t) => {
    const rig = await open(t);
    await rig.write(3, 10);
    const { control } = rig.start();
    const { promise: opened, resolve: openGate } = Promise.withResolvers<void>();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    const txn = rig.store.txn.bind(rig.store);
    rig.store.txn = async (asked, call) => {
      if (asked.put?.some(({ value }) => value.includes('"state":"SUCCEEDED"'))) {
        reach();
        await opened;
      }
      return txn(asked, call);
    };
    const submit = () => control.submitLoad({ paths: ['/m/dir'], options: defaultLoadOptions });
    const { job } = await submit();
    await reached;
    t.match(await control.list(), [{ state: 'RUNNING', shown: { loadedBytes: 30 } }]);
    t.match(await submit(), { isNew: false, job: { id: job.id, state: 'RUNNING' } });
    openGate();
    await until(async () => (await control.list()).every(isEnded));
    const again = await submit();
    t.ok(again.isNew);
    await control.whenEnded(again.job.id, { signal: AbortSignal.timeout(20_000) });
    await control.submitFree('/m/dir');
    await until(async () => (await control.list()).every(isEnded));
    t.match((await control.list()).at(-1), { kind: 'FREE', state: 'SUCCEEDED' });
  },
);

await t.test('a second load fetches nothing', async (t) => {
  const rig = await open(t);
  await rig.write(100, 100);
  const coordinator = rig.start();
  await rig.load(coordinator);
  const before = rig.readCounts();
  const job = await rig.load(coordinator, { options: { skipIfExists: true } });
  t.match(job, { state: 'SUCCEEDED', shown: { loadedBytes: 0, heldBytes: 10_000 } });
  t.same(rig.readCounts(), before);
});

await t.test('one file, the whole mount, several paths, and a path below which nothing is', async (t) => {
  const rig = await open(t);
  const keys = await rig.write(3, pageSizeBytes + 1);
  const coordinator = rig.start();
  const one = await rig.load(coordinator, { paths: [`${mountUri}/${keys[0]}`] });
  t.match(one, { state: 'SUCCEEDED', shown: { scannedFiles: 1, loadedBytes: pageSizeBytes + 1 } });
  const all = await rig.load(coordinator, { paths: ['/m'] });
  t.match(all, { state: 'SUCCEEDED', shown: { scannedFiles: 3 } });
  const both = await rig.load(coordinator, { paths: [`/m/${keys[1]}`, `/m/${keys[2]}`] });
  t.match(both, { state: 'SUCCEEDED', shown: { scannedFiles: 2 } });
  const none = await rig.load(coordinator, { paths: ['/m/none'] });
  t.match(none, { state: 'FAILED', failure: { code: 'FileNotFound', message: /mem:.*none/ } });
  await t.rejects(rig.load(coordinator, { paths: ['/elsewhere'] }), { code: 'MountNotFound' });
  checkLoaded(t, rig, keys, 2);
});

await t.test('files that the filter matches are left out, and an index names files', async (t) => {
  const rig = await open(t);
  const keys = await rig.write(20, 10);
  const coordinator = rig.start();
  const filtered = await rig.load(coordinator, { options: { fileFilterRegex: '.*[02468]' } });
  t.match(filtered, { state: 'SUCCEEDED', shown: { scannedFiles: 10 }, total: { files: 10 } });
  const lines = [`/m/${keys[0]}`, '', ` ${mountUri}/${keys[2]} `, `/m/none`];
  await rig.memory.write('list', Buffer.from(lines.join('\n')));
  const indexed = await rig.load(coordinator, { index: '/m/list' });
  t.match(indexed, {
    state: 'FAILED',
    shown: { scannedFiles: 3, processedFiles: 3, loadedBytes: 20, failedFiles: 1 },
    failures: [{ path: `${mountUri}/none`, code: 'FileNotFound' }],
  });
});

await t.test('what may pass is tried again, what may not is kept with its reason', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  const [first = '', second = '', third = ''] = await rig.write(3, 10);
  const [worker] = rig.workers.values();
  worker?.ufs.fail(new AlluxioError('UfsThrottled', 'slow down'), { operation: 'read', key: first });
  worker?.ufs.fail(new AlluxioError('UfsAccessDenied', 'not\tyours'), { operation: 'read', key: second });
  const job = await rig.load(rig.start());
  t.match(job, {
    state: 'FAILED',
    failure: { code: 'UfsAccessDenied', message: /^1 file failed/ },
    shown: { processedFiles: 3, failedFiles: 1, retriedFiles: 1, loadedBytes: 20 },
    failures: [{ path: `${mountUri}/${second}`, code: 'UfsAccessDenied' }],
  });
  t.equal(
    readFileSync(job.failedFilesPath ?? '', 'utf8'),
    `${mountUri}/${second}\tUfsAccessDenied\tnot\\u0009yours\n`,
  );
  t.ok(rig.readCounts().get(third));
});

await t.test('files of failures go when their jobs are forgotten', async (t) => {
  const dir = t.testdir({ 'old.failed.tsv': '', 'new.failed.tsv': '', 'old.txt': '' });
  const now = Date.now();
  const longAgo = new Date(now - 8 * 24 * 3_600_000);
  for (const name of ['old.failed.tsv', 'old.txt']) utimesSync(join(dir, name), longAgo, longAgo);
  await removeOldFailedFiles(dir, now);
  t.same(readdirSync(dir).toSorted(), ['new.failed.tsv', 'old.txt']);
  await removeOldFailedFiles(join(dir, 'none'), now);
});

await t.test(
  'a job that is left is taken over from where it was, and nothing is fetched twice',
  async (t) => {
    const rig = await open(t);
    const keys = await rig.write(6000, 50);
    const first = rig.start();
    let handed = 0;
    rig.onBatch = async (_, __, { signal }) => {
      // After a third of it the workers stand still.
      if (++handed <= 10) return;
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    };
    const { job } = await first.control.submitLoad({ paths: ['/m/dir'], options: defaultLoadOptions });
    await until(async () => (await rig.job(job.id)).counts.processedFiles >= 1000);
    await first.close();
    const left = await rig.job(job.id);
    t.match(left, { state: 'RUNNING', cursor: { after: /^dir\// } });
    t.ok(
      left.counts.processedFiles < 6000 && left.counts.processedFiles % 1000 === 0,
      'whole chunks are committed',
    );
    rig.onBatch = undefined;
    const second = rig.start();
    const ended = await second.control.whenEnded(job.id, { signal: AbortSignal.timeout(20_000) });
    t.match(ended, { state: 'SUCCEEDED', shown: { scannedFiles: 6000, processedFiles: 6000 } });
    t.equal(ended.shown.loadedBytes + ended.shown.heldBytes, 300_000, 'every byte counts once');
    checkLoaded(t, rig, keys);
  },
);

await t.test('a file that takes longer than a batch goes on at the page where it was', async (t) => {
  const rig = await open(t, { workerCount: 1, loadConcurrencyMax: 1 });
  const [key = ''] = await rig.write(1, 4 * pageSizeBytes);
  const [worker] = rig.workers.values();
  const gate = worker?.ufs.hold({ operation: 'read', key });
  const loading = rig.load(rig.start());
  await gate?.reached;
  await worker?.clock.pass(60_000);
  gate?.open();
  const job = await loading;
  t.match(job, {
    state: 'SUCCEEDED',
    shown: { loadedBytes: 4 * pageSizeBytes, heldBytes: 0, retriedFiles: 0 },
  });
  t.same(
    rig.batches.map(({ batch }) => batch.files[0]?.fromPage),
    [0, 1],
  );
});

await t.test('files of a worker that goes are loaded by others', async (t) => {
  const rig = await open(t, { workerCount: 3 });
  await rig.write(3000, 50);
  let handed = 0;
  rig.onBatch = (workerId) => {
    if (++handed === 4) rig.setOnline('worker-1', false);
    if (handed > 4 && workerId === 'worker-1') throw new AlluxioError('Unreachable', 'gone');
  };
  const job = await rig.load(rig.start());
  t.match(job, { state: 'SUCCEEDED', shown: { processedFiles: 3000, failedFiles: 0 } });
  const keys = Array.from({ length: 3000 }, (_, index) => `dir/${String(index).padStart(6, '0')}`);
  const missing = keys.filter((key) => {
    const worker = rig.workers.get(rig.ownerOf(`${mountUri}/${key}`) ?? '');
    return !worker?.cache.files.peek(worker.file(key));
  });
  t.ok(missing.length < 1000, 'what was loaded before the change is where it was, the rest at its new owner');
});

await t.test('without any worker a job waits, and a worker that comes is given its work', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  await rig.write(10, 10);
  rig.setOnline('worker-0', false);
  const coordinator = rig.start();
  const loading = rig.load(coordinator);
  await until(async () => (await rig.jobs.list()).some(({ state }) => state === 'RUNNING'));
  rig.setOnline('worker-0', true);
  t.match(await loading, { state: 'SUCCEEDED', shown: { processedFiles: 10 } });
});

await t.test('a stop ends a job soon, from another coordinator too', async (t) => {
  const rig = await open(t);
  await rig.write(1000, 10);
  const first = rig.start();
  rig.onBatch = (_, __, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  const ended = rig.load(first);
  await until(async () => (await rig.jobs.list()).some(({ state }) => state === 'RUNNING'));
  const { id } = await rig.openJob();
  const second = rig.start();
  t.match(await second.control.stop('LOAD', { paths: ['/m/dir/'] }), { id });
  t.match(await ended, { state: 'STOPPED', isStopping: true });
  t.equal(await second.control.stop('LOAD', { id }), undefined, 'it has ended');
});

await t.test('a job that nobody runs is stopped at once', async (t) => {
  const rig = await open(t);
  await rig.write(1, 10);
  const idle = rig.start();
  await idle.close();
  const { job } = await idle.control.submitLoad({ paths: ['/m/dir'], options: defaultLoadOptions });
  await idle.control.stop('LOAD', { id: job.id });
  t.match(await rig.job(job.id), { state: 'STOPPED' });
});

await t.test('verifying finds and mends what has gone since it was loaded', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  const keys = await rig.write(50, 100);
  const [worker] = rig.workers.values();
  rig.onBatch = (_, { mode }) => {
    if (mode !== 'verify' || !worker) return;
    rig.onBatch = undefined;
    for (const key of keys.slice(0, 5)) {
      const file = worker.cache.files.peek(worker.file(key))?.fileKey;
      if (file) worker.store.remove({ file, index: 0 }, 'evicted');
    }
  };
  const job = await rig.load(rig.start(), { options: { verify: true } });
  t.match(job, {
    state: 'SUCCEEDED',
    shown: { scannedFiles: 50, processedFiles: 50, loadedBytes: 5000, repairedBytes: 500 },
  });
  t.ok(rig.batches.some(({ batch }) => batch.mode === 'verify'));
});

await t.test(
  'what a job comes to is known from its own listing, unless that has to wait for the loading',
  async (t) => {
    const rig = await open(t, { workerCount: 1 });
    const coordinator = rig.start();
    const listings = (): number => rig.listed.calls.filter(({ operation }) => operation === 'list').length;
    await rig.write(300, 10);
    t.match(await rig.load(coordinator), {
      state: 'SUCCEEDED',
      total: { files: 300, bytes: 3000, isComplete: true },
    });
    t.equal(listings(), 1);

    await rig.write(21_000, 10);
    rig.onBatch = (_, __, { signal }) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    const { job } = await coordinator.control.submitLoad({ paths: ['/m/dir'], options: defaultLoadOptions });
    const find = () => coordinator.control.find('LOAD', { id: job.id });
    while (!(await find())?.total?.isComplete) await systemClock.sleep(20);
    const seen = await find();
    t.match(seen, { total: { files: 21_000, bytes: 210_000 }, shown: { processedFiles: 0 } });
    t.ok((seen?.shown.scannedFiles ?? 0) < 21_000, 'the listing of the load is held up');
    await coordinator.control.stop('LOAD', { id: job.id });
    const signal = AbortSignal.timeout(20_000);
    t.match(await coordinator.control.whenEnded(job.id, { signal }), { state: 'STOPPED' });
    t.equal(listings(), 3);
  },
);

await t.test('a job says that it gives way to readers while it does', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  await rig.write(30, 100);
  const [worker] = rig.workers.values();
  const { promise: seen, resolve: goOn } = Promise.withResolvers<void>();
  rig.onBatch = async () => {
    worker?.reads.read();
    if (rig.batches.length > 1) await seen;
  };
  const loading = rig.load(rig.start(), { options: { batchSize: 10 } });
  try {
    await until(async () => rig.batches.length > 1 && (await rig.openJob()).givingWayWorkers === 1);
  } finally {
    goOn();
  }
  t.match(await loading, { state: 'SUCCEEDED', givingWayWorkers: 0, shown: { processedFiles: 30 } });
});

await t.test('what does not fit is said before all of it was loaded in vain', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  await rig.write(10, 100);
  rig.capacityBytes = 999;
  const coordinator = rig.start();
  t.match(await rig.load(coordinator), {
    state: 'FAILED',
    failure: { message: /does not fit: worker-0 owns 1000B/ },
  });
  t.match(await rig.load(coordinator, { options: { partialListing: true } }), { state: 'SUCCEEDED' });
});

await t.test('a dry run says what a load would come to, and fetches nothing', async (t) => {
  const rig = await open(t);
  const keys = await rig.write(10, 100);
  const coordinator = rig.start();
  await rig.load(coordinator, { paths: [`/m/${keys[0]}`] });
  const before = rig.readCounts();
  const job = await rig.load(coordinator, { options: { dryRun: true } });
  t.match(job, {
    state: 'SUCCEEDED',
    shown: { scannedFiles: 10, scannedBytes: 1000, heldBytes: 100, loadedBytes: 0 },
  });
  t.equal(job.missingRoomBytes, 0);
  t.same(rig.readCounts(), before);
  rig.capacityBytes = 300;
  const tight = await rig.load(coordinator, { options: { dryRun: true } });
  t.equal(tight.missingRoomBytes, 900 - 2 * 300);
});

await t.test('a listing that breaks off goes on, one that cannot ends the job', async (t) => {
  const rig = await open(t);
  await rig.write(10, 10);
  const coordinator = rig.start();
  rig.listed.fail(new AlluxioError('UfsUnavailable', 'away'), { operation: 'list', times: 2 });
  t.match(await rig.load(coordinator), { state: 'SUCCEEDED', shown: { scannedFiles: 10 } });
  rig.listed.fail(new AlluxioError('UfsAccessDenied', 'no'), { operation: 'list', times: 2 });
  t.match(await rig.load(coordinator), { state: 'FAILED', failure: { code: 'UfsAccessDenied' } });
});

await t.test('the same is not loaded twice at once; ended jobs are kept up to a bound', async (t) => {
  const rig = await open(t);
  await rig.write(1, 10);
  const idle = rig.start();
  await idle.close();
  const { control } = idle;
  const submit = async (paths: readonly string[], alias?: string) =>
    control.submitLoad({ paths, ...(alias === undefined ? {} : { alias }), options: defaultLoadOptions });
  const [one, other] = await Promise.all([submit(['/m/dir']), submit([`${mountUri}/dir/`])]);
  t.equal(one.job.id, other.job.id);
  t.not(one.isNew, other.isNew);
  t.match(await submit(['/m/other'], 'mine'), { isNew: true });
  t.match(await submit(['/m/third'], 'mine'), { isNew: false, job: { alias: 'mine' } });
  t.match(await control.find('LOAD', { alias: 'mine' }), { paths: [`${mountUri}/other`] });
  t.equal(await control.find('LOAD', { paths: ['/m/none'] }), undefined);
  t.equal((await control.list({ kind: 'LOAD' })).length, 2);
  t.equal((await control.list({ kind: 'FREE' })).length, 0);
  t.match(await control.list({ lastId: one.job.id }), [{ alias: 'mine' }]);
});

await t.test('a free is a job too', async (t) => {
  const rig = await open(t);
  await rig.write(10, 10);
  const coordinator = rig.start();
  await rig.load(coordinator);
  const { job } = await coordinator.control.submitFree('/m/dir');
  const ended = await coordinator.control.whenEnded(job.id, { signal: AbortSignal.timeout(5000) });
  t.match(ended, {
    kind: 'FREE',
    state: 'SUCCEEDED',
    shown: { processedFiles: 10, freedPages: 10, freedBytes: 100 },
  });
});

await t.test('what is listed ahead of the workers has a bound', async (t) => {
  const rig = await open(t, { workerCount: 1 });
  await rig.write(60_000, 1);
  rig.onBatch = (_, __, { signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  const coordinator = rig.start();
  const { job } = await coordinator.control.submitLoad({
    paths: ['/m/dir'],
    options: { ...defaultLoadOptions, partialListing: true },
  });
  await until(
    async () => (await coordinator.control.find('LOAD', { id: job.id }))?.shown.scannedFiles === 20_200,
  );
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  t.match(await coordinator.control.find('LOAD', { id: job.id }), { shown: { scannedFiles: 20_200 } });
});

await t.test('a runner that was stopped past its lease writes nothing any more', async (t) => {
  const rig = await open(t);
  const idle = rig.start();
  await idle.close();
  const { job } = await idle.control.submitLoad({ paths: ['/m/dir'], options: defaultLoadOptions });
  const lease = await rig.store.lease(60_000);
  const old = await rig.jobs.claim(job.id, lease);
  t.ok(old);
  t.equal(await rig.jobs.claim(job.id, await rig.store.lease(60_000)), undefined, 'one has it');
  await old?.save({ ...job, state: 'RUNNING' });
  await lease.revoke();
  const taken = await rig.jobs.claim(job.id, await rig.store.lease(60_000));
  t.match(taken?.job, { state: 'RUNNING' });
  await t.rejects(old?.save({ ...job, state: 'SUCCEEDED' }) ?? Promise.resolve(), { code: 'StateConflict' });
  t.match(await rig.job(job.id), { state: 'RUNNING' }, 'nothing was written');
  await taken?.save({ ...job, state: 'SUCCEEDED', endedMs: 1 });
  t.ok(isEnded(await rig.job(job.id)));
});
