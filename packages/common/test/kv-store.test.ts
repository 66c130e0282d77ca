import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemRandom } from '../src/clock.ts';
import { lockDirectory } from '../src/directory-lock.ts';
import { silentLogger } from '../src/logger.ts';
import { openEmbeddedKvStore } from '../src/state/embedded-kv-store.ts';
import { historyBatchesMax } from '../src/state/kv-history.ts';
import type { KvStore } from '../src/state/kv-store.ts';
import { MemoryKvStore } from '../src/state/memory-kv-store.ts';
import { compactionConformance, kvStoreConformance } from './support/kv-store-conformance.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';

const writer = fileURLToPath(new URL('support/kv-writer.ts', import.meta.url));

function openAt(directory: string, logMaxBytes = 1024 * 1024, clock = new ManualClock()): Promise<KvStore> {
  return openEmbeddedKvStore({ directory, clock, random: systemRandom, logger: silentLogger, logMaxBytes });
}

function put(store: KvStore, key: string, value: string) {
  return store.txn({ put: [{ key, value }] });
}

await t.test('the memory store', async (t) => {
  await kvStoreConformance(t, async () => {
    const clock = new ManualClock();
    const store = new MemoryKvStore({ clock, random: systemRandom });
    return { store, standStill: (ms) => clock.pass(ms) };
  });
  const store = new MemoryKvStore({ clock: new ManualClock(), random: systemRandom });
  await compactionConformance(t, store, historyBatchesMax);
  await store.close();
});

await t.test('the embedded store', async (t) => {
  for (const logMaxBytes of [1024 * 1024, 1]) {
    await t.test(`with a log of at most ${logMaxBytes} bytes`, async (t) => {
      await kvStoreConformance(t, async (t) => {
        const clock = new ManualClock();
        const store = await openAt(t.testdir(), logMaxBytes, clock);
        return { store, standStill: (ms) => clock.pass(ms) };
      });
    });
  }
});

await t.test('what was answered is there again after opening, with its revisions', async (t) => {
  const directory = t.testdir();
  for (const logMaxBytes of [1024 * 1024, 300]) {
    const store = await openAt(directory, logMaxBytes);
    for (let n = 0; n < 10; n++) await put(store, `k${n}`, 'x'.repeat(n));
    await store.txn({ delete: ['k3'] });
    const before = await store.list('');
    await store.close();
    const again = await openAt(directory, logMaxBytes);
    t.same(await again.list(''), before);
    await again.close();
  }
  t.ok(statSync(join(directory, 'state.log')).size <= 300 + 200, 'snapshots keep the log short');
});

await t.test('what was under a lease is gone after opening', async (t) => {
  const directory = t.testdir();
  const store = await openAt(directory);
  const lease = await store.lease(9000);
  await store.txn({
    put: [
      { key: 'leased', value: '', lease },
      { key: 'kept', value: '' },
    ],
  });
  await store.close();
  t.equal(lease.lost.aborted, true);
  const again = await openAt(directory);
  t.same(
    (await again.list('')).entries.map(({ key }) => key),
    ['kept'],
  );
  await again.close();
});

await t.test('an unfinished record at the end of the log is cut off, wherever it stops', async (t) => {
  const directory = t.testdir();
  const log = join(directory, 'state.log');
  const store = await openAt(directory);
  await put(store, 'a', '1');
  const goodBytes = statSync(log).size;
  await put(store, 'b', '2');
  await store.close();
  const whole = readFileSync(log);
  for (const cut of [goodBytes + 1, goodBytes + 15, goodBytes + 16, goodBytes + 40, whole.length - 1]) {
    writeFileSync(log, whole);
    truncateSync(log, cut);
    const again = await openAt(directory);
    t.same(
      (await again.list('')).entries.map(({ key }) => key),
      ['a'],
      `cut at ${cut}`,
    );
    await put(again, 'c', '3');
    await again.close();
    const third = await openAt(directory);
    t.equal((await third.get('c'))?.value, '3', 'what is written behind the cut is readable');
    await third.close();
  }
  const zeros = Buffer.concat([whole.subarray(0, goodBytes), Buffer.alloc(64)]);
  writeFileSync(log, zeros);
  const again = await openAt(directory);
  t.equal((await again.get('a'))?.value, '1', 'a file that grew before its bytes came');
  await again.close();
});

await t.test('damage to what was answered refuses to open and names the file', async (t) => {
  const directory = t.testdir();
  const log = join(directory, 'state.log');
  const store = await openAt(directory);
  for (const key of ['a', 'b', 'c']) await put(store, key, 'value');
  await store.close();
  const whole = readFileSync(log);
  for (const at of [0, 4, 9, 13, 20, Math.floor(whole.length / 2)]) {
    const bad = Buffer.from(whole);
    bad[at] = (bad[at] ?? 0) ^ 0xff;
    writeFileSync(log, bad);
    await t.rejects(
      openAt(directory),
      { code: 'StateStoreUnavailable', message: new RegExp(`${log} is damaged`) },
      `at ${at}`,
    );
  }
  writeFileSync(log, whole);
  const mended = await openAt(directory, 1);
  t.equal((await mended.list('')).entries.length, 3, 'the lock was given back each time');
  await put(mended, 'd', '');
  await mended.close();
  const snapshot = join(directory, 'state.snapshot');
  truncateSync(snapshot, statSync(snapshot).size - 1);
  await t.rejects(openAt(directory), { message: new RegExp(`${snapshot} is damaged`) });
});

await t.test('a full disk fails the change and those after it, keeps reads, and loses nothing', async (t) => {
  const directory = t.testdir();
  // A limit on the size of files stands for the full disk: the write that reaches it is cut short, and
  // what was to follow it in the log must not, even when there is room again.
  // The environment goes because the test runner loads code into child processes that dies of the limit's signal.
  const command = 'ulimit -S -f 4; exec env -i "$0" "$1" "$2" 1000000';
  const child = spawn('/bin/sh', ['-c', command, process.execPath, writer, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  const [failed = '', then = '', read = ''] = lines.slice(-3);
  t.match(failed, /^failed: the state file .*state\.log cannot be written \(EFBIG\); mend the disk/);
  t.equal(then.replace('then', 'failed'), failed);
  const answered = lines.length - 3;
  t.ok(answered > 1);
  t.equal(read, `read: ${answered}`);
  const store = await openAt(directory);
  t.equal((await store.get('n'))?.value, String(answered));
  t.ok((await put(store, 'n', 'more')).succeeded);
  await store.close();
});

await t.test('a directory has one holder, within one process too', async (t) => {
  const directory = t.testdir();
  const lock = lockDirectory(directory);
  await t.rejects(openAt(directory), {
    code: 'DirectoryLocked',
    message: new RegExp(`${directory} is in use`),
  });
  lock.release();
  lock.release();
  const store = await openAt(directory);
  t.throws(() => lockDirectory(directory), { code: 'DirectoryLocked' });
  await store.close();
  lockDirectory(directory).release();
});

await t.test('whatever was answered before a kill is there after it', async (t) => {
  const directory = t.testdir();
  for (const lineCount of [1, 30, 57, 90]) {
    const child = spawn(process.execPath, [writer, directory, '4096'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let written = '';
    try {
      const enough = Promise.withResolvers<void>();
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        written += text;
        if (written.split('\n').length > lineCount) enough.resolve();
      });
      await once(child.stdout, 'data');
      await t.rejects(openAt(directory), { code: 'DirectoryLocked' }, 'held by the other process');
      await enough.promise;
    } finally {
      child.kill('SIGKILL');
      await once(child, 'close');
    }
    const answered = Number(written.split('\n').at(-2));
    t.equal(child.signalCode, 'SIGKILL');
    const store = await openAt(directory);
    const n = Number((await store.get('n'))?.value);
    t.ok(n >= answered && n <= answered + 1, `answered ${answered}, found ${n}`);
    t.equal((await store.get(`twin/${n % 10}`))?.value, String(n), 'a transaction is whole');
    t.equal((await store.get('n'))?.modRevision, n);
    await store.close();
  }
});
