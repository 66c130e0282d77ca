import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { systemClock } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { fileIdOf, fileKeyOf } from '@alluxio-ts/common/page';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { FileRecordStore, type StoredRecord } from '../src/file-records/file-record-store.ts';
import { type RecordPort, ThreadRecordPort } from '../src/file-records/record-port.ts';
import { openRecords } from '../src/open-records.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import { RecordSweeper } from '../src/file-records/record-sweeper.ts';
import { LocalRecordPort } from './support/local-record-port.ts';

const threadFile = fileURLToPath(new URL('../src/record-thread.ts', import.meta.url));

const ports: Readonly<Record<string, (path: string, recordsMax?: number) => RecordPort>> = {
  'in this thread': (path, recordsMax = 1000) => new LocalRecordPort({ path, recordsMax }),
  'in a thread': (path, recordsMax = 1000) =>
    new ThreadRecordPort({ threadFile, database: { path, recordsMax }, logger: silentLogger }),
};

function statusOf(key: string, version = '1'): FileStatus {
  return {
    key,
    sizeBytes: 1000,
    modifiedMs: 5,
    version: `etag:"${version}"`,
    etag: `"${version}"`,
    headers: { contentType: 'text/plain', metadata: { owner: 'ä' } },
    isPartial: false,
  };
}

function record(key: string, checkedAtMs = 0, version = '1'): StoredRecord {
  return { ufsPath: `s3://b/${key}`, status: statusOf(key, version), checkedAtMs };
}

for (const [place, portOf] of Object.entries(ports)) {
  t.test(`records, the database ${place}`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'alluxio-records-'));
    t.teardown(() => rmSync(dir, { recursive: true, force: true }));
    const path = join(dir, 'files.db');
    const open = async (recordsMax?: number, clock = systemClock): Promise<FileRecordStore> => {
      const store = new FileRecordStore({ port: portOf(path, recordsMax), clock, logger: silentLogger });
      await store.start();
      return store;
    };
    t.afterEach(() => {
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
    });

    await t.test('what is put is read at once, and by the next one that opens it', async (t) => {
      let store = await open();
      store.put(record('a', 1));
      store.put(record('a', 2, '2'));
      store.put(record('b', 3));
      store.remove('s3://b/b');
      t.strictSame(await store.get('s3://b/a'), record('a', 2, '2'));
      t.equal(await store.get('s3://b/b'), undefined);
      t.equal(await store.pathOfId(fileIdOf('s3://b/a')), 's3://b/a');
      t.equal(await store.pathOfId(fileIdOf('s3://b/b')), undefined);
      t.equal(await store.pathOfId(`${fileIdOf('s3://b/a').slice(0, 16)}${'0'.repeat(48)}`), undefined);
      store.put(record('c', 4));
      await store.close();
      store = await open();
      t.strictSame(await store.get('s3://b/a'), record('a', 2, '2'));
      t.strictSame(await store.get('s3://b/c'), record('c', 4));
      await store.close();
    });

    await t.test('what lies below a prefix is found and removed, and nothing else', async (t) => {
      const store = await open(100_000);
      for (let number = 0; number < 2500; number++) store.put(record(`d/${number}`));
      for (const key of ['d', 'd-', 'd0', 'D/1', 'e']) store.put(record(key));
      const below = async (prefix: string): Promise<string[]> => {
        const keys: string[] = [];
        for await (const { status } of store.below(prefix)) keys.push(status.key);
        return keys;
      };
      t.equal(new Set(await below('s3://b/d/')).size, 2500);
      t.equal((await below('')).length, 2505);
      t.strictSame(await below('s3://c/'), []);
      void store.removeBelow('s3://b/d/');
      t.equal(await store.get('s3://b/d/7'), undefined, 'what follows finds none of them');
      t.strictSame((await below('')).toSorted(), ['D/1', 'd', 'd-', 'd0', 'e']);
      t.equal(await store.count(), 5);
      await store.close();
    });

    await t.test('over the bound those go that were confirmed longest ago', async (t) => {
      const store = await open(100);
      for (let number = 0; number < 150; number++) store.put(record(`${number}`, 1000 - number));
      t.ok((await store.count()) <= 100);
      t.ok(await store.get('s3://b/0'));
      t.equal(await store.get('s3://b/149'), undefined);
      await store.close();
    });

    await t.test('a database that cannot be read is begun anew, at the start and later', async (t) => {
      writeFileSync(path, 'this is no database, but long enough to be taken for one'.repeat(100));
      let store = await open();
      t.equal(await store.get('s3://b/a'), undefined);
      for (let number = 0; number < 500; number++) store.put(record(`${number}`));
      await store.close();
      const bytes = readFileSync(path);
      // The head stays right, so that it opens.
      bytes.fill(0xa5, 4096);
      writeFileSync(path, bytes);
      store = await open();
      for (let number = 0; number < 500; number++) t.equal(await store.get(`s3://b/${number}`), undefined);
      store.put(record('new'));
      await until(async () => {
        store.put(record('new'));
        return (await store.get('s3://b/new')) !== undefined;
      });
      await store.close();
    });

    await t.test('when a version was loaded stays known, the earliest time of it', async (t) => {
      let store = await open();
      const ufsPath = 's3://b/a';
      const timeOf = async (nowMs = 10_000): Promise<readonly (number | undefined)[]> => {
        const range = { ufsPathPrefix: 's3://b/', after: undefined, loadedUntilMs: nowMs, nowMs };
        const found = await store.loadedFiles({ ...range, pageSizeBytes: 400 });
        return found?.files.map(({ loadedAtMs }) => loadedAtMs) ?? [];
      };
      const loaded = (version: string, loadedAtMs: number): void =>
        store.loaded({ ufsPath, version: `etag:"${version}"`, loadedAtMs });
      loaded('1', 1);
      t.strictSame(await timeOf(), [], 'there is no record of it');
      store.put(record('a', 1));
      t.strictSame(await timeOf(), [undefined], 'it is not known yet');
      loaded('1', 100);
      loaded('1', 200);
      store.put(record('a', 300));
      t.strictSame(await timeOf(), [100]);
      t.strictSame(await timeOf(99), [undefined], 'nothing is loaded in the future');
      loaded('1', 50);
      loaded('2', 20);
      t.strictSame(await timeOf(), [50], 'one that was set too late is set right, by its own version');
      await store.close();
      store = await open();
      t.strictSame(await timeOf(), [50]);
      store.put(record('a', 400, '2'));
      t.strictSame(await timeOf(), [undefined], 'another version was not loaded');
      loaded('1', 500);
      loaded('2', 600);
      t.strictSame(await timeOf(), [600]);
      await store.close();
    });

    await t.test('files by their load come in parts, those alone whose time may be over', async (t) => {
      const store = await open(10_000);
      for (let number = 0; number < 2500; number++) {
        store.put(record(`d/${number}`));
        store.loaded({ ufsPath: `s3://b/d/${number}`, version: 'etag:"1"', loadedAtMs: number });
      }
      store.put(record('e'));
      store.put({ ...record('d/no-version'), status: { ...statusOf('d/no-version'), version: undefined } });
      const found: number[] = [];
      let partCount = 0;
      for (let after: string | undefined; ; ) {
        const range = {
          ufsPathPrefix: 's3://b/d/',
          after,
          loadedUntilMs: 2000,
          nowMs: 9999,
          pageSizeBytes: 400,
        };
        const part = await store.loadedFiles(range);
        partCount++;
        found.push(...(part?.files.map(({ loadedAtMs = -1 }) => loadedAtMs) ?? []));
        if (part?.last === undefined) break;
        after = part.last;
      }
      t.equal(partCount, 3);
      t.strictSame(
        found.toSorted((one, other) => one - other),
        Array.from({ length: 2001 }, (_, number) => number),
      );
      const fileKey = fileKeyOf({ ufsPath: 's3://b/d/0', version: 'etag:"1"', pageSizeBytes: 400 });
      const range = {
        ufsPathPrefix: 's3://b/d/0',
        after: undefined,
        loadedUntilMs: 0,
        nowMs: 1,
        pageSizeBytes: 400,
      };
      t.strictSame((await store.loadedFiles(range))?.files, [
        { ufsPath: 's3://b/d/0', version: 'etag:"1"', sizeBytes: 1000, fileKey, loadedAtMs: 0 },
      ]);
      await store.close();
    });

    await t.test('a database from before loads were known keeps its records', async (t) => {
      const old = new DatabaseSync(path);
      old.exec(`
        CREATE TABLE files (
          number INTEGER PRIMARY KEY,
          ufs_path TEXT NOT NULL UNIQUE,
          id BLOB NOT NULL,
          status TEXT NOT NULL,
          checked_at_ms INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX files_by_id ON files (id);
        CREATE INDEX files_by_age ON files (checked_at_ms);
        PRAGMA user_version = 2;
      `);
      old
        .prepare('INSERT INTO files (ufs_path, id, status, checked_at_ms) VALUES (?, ?, ?, ?)')
        .run(
          's3://b/a',
          Buffer.from(fileIdOf('s3://b/a'), 'hex').subarray(0, 8),
          JSON.stringify(statusOf('a')),
          7,
        );
      old.close();
      for (const loadedAtMs of [undefined, 5]) {
        const store = await open();
        t.strictSame(await store.get('s3://b/a'), record('a', 7));
        const range = { ufsPathPrefix: '', after: undefined, loadedUntilMs: 9, nowMs: 9, pageSizeBytes: 400 };
        t.match((await store.loadedFiles(range))?.files, [{ ufsPath: 's3://b/a', loadedAtMs }]);
        store.loaded({ ufsPath: 's3://b/a', version: 'etag:"1"', loadedAtMs: 5 });
        await store.close();
      }
    });

    await t.test('records without pages go when nobody asked for them in an hour', async (t) => {
      const clock = new ManualClock();
      const store = await open(10_000, clock);
      const pageSizeBytes = 400;
      const nowMs = clock.now() + 7_200_000;
      clock.advance(7_200_000);
      for (let number = 0; number < 1500; number++) store.put(record(`old-${number}`, nowMs - 7_000_000));
      store.put(record('new', nowMs - 10));
      store.put({ ...record('no-version', 0), status: { ...statusOf('no-version'), version: undefined } });
      const held = fileKeyOf({ ufsPath: 's3://b/old-7', version: 'etag:"1"', pageSizeBytes });
      const sweeper = new RecordSweeper({
        records: store,
        hasPages: ({ fileKey, pageCount }) => pageCount === 3 && fileKey.a === held.a && fileKey.c === held.c,
        pageSizeBytes,
        clock,
      });
      t.equal((await sweeper.step()) + (await sweeper.step()), 1500);
      t.equal(await store.count(), 2);
      t.ok(await store.get('s3://b/old-7'), 'it has a page');
      t.ok(await store.get('s3://b/new'), 'it was asked for');
      t.equal(await sweeper.step(), 0, 'from the start again');
      await sweeper.close();
      await store.close();
    });
  });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.sleep(5);
}

/** Holds back or fails calls to a database. */
class FaultyPort implements RecordPort {
  readonly #port: RecordPort;
  readonly refused = new Set<string>();
  readonly #counts = new Map<string, number>();
  held: Promise<void> | undefined;

  constructor(port: RecordPort) {
    this.#port = port;
  }

  call: RecordPort['call'] = async (name, argument) => {
    this.#counts.set(name, this.countOf(name) + 1);
    if (this.refused.has(name)) throw new Error('disk I/O error');
    const answer = this.#port.call(name, argument);
    await this.held;
    return answer;
  };

  countOf(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  close(): Promise<void> {
    return this.#port.close();
  }
}

interface Faulty {
  readonly store: FileRecordStore;
  readonly port: FaultyPort;
  readonly clock: ManualClock;
}

async function withFaulty(check: (faulty: Faulty) => Promise<void>): Promise<void> {
  const port = new FaultyPort(new LocalRecordPort({ path: ':memory:', recordsMax: 1_000_000 }));
  const clock = new ManualClock();
  const store = new FileRecordStore({ port, clock, logger: silentLogger });
  try {
    await check({ store, port, clock });
  } finally {
    port.refused.clear();
    await store.close();
  }
}

t.test('nobody waits longer than a second for a database that is silent', (t) =>
  withFaulty(async ({ clock, port, store }) => {
    store.put(record('a'));
    await store.flush();
    const { promise, resolve } = Promise.withResolvers<void>();
    port.held = promise;
    const read = store.get('s3://b/a');
    clock.advance(1000);
    t.equal(await read, undefined);
    t.equal(await store.get('s3://b/a'), undefined, 'at once');
    port.held = undefined;
    resolve();
    await until(async () => (await store.get('s3://b/a')) !== undefined);
    t.pass('it is asked again when it has answered');
  }),
);

t.test('the database is not asked for a file that it never had', async (t) => {
  const path = join(t.testdir(), 'files.db');
  const open = (): { readonly store: FileRecordStore; readonly port: FaultyPort } => {
    const port = new FaultyPort(new LocalRecordPort({ path, recordsMax: 100_000 }));
    const store = new FileRecordStore({ port, clock: systemClock, logger: silentLogger, namesMax: 12_000 });
    return { store, port };
  };
  const first = open();
  await first.store.start();
  const asksNot = async ({ port, store }: ReturnType<typeof open>): Promise<boolean> => {
    const before = port.countOf('get');
    t.equal(await store.get('s3://b/none'), undefined);
    return port.countOf('get') === before;
  };
  await until(() => asksNot(first));
  const asked = first.port.countOf('get');
  for (let number = 0; number < 25_000; number++) first.store.put(record(`${number}`));
  t.ok(await first.store.get('s3://b/7'), 'what was put is asked for');
  t.equal(first.port.countOf('get'), asked + 1);
  await until(async () => first.port.countOf('ids') > 1);
  t.pass('its names are learned anew when too many were added');
  await first.store.close();

  const second = open();
  const { port, store } = second;
  const { promise, resolve } = Promise.withResolvers<void>();
  port.held = promise;
  await Promise.all([store.start(), systemClock.sleep(0).then(resolve)]);
  port.held = undefined;
  t.ok(await store.get('s3://b/24999'), 'nothing is missed while they are learned');
  await until(() => asksNot(second));
  const found = await Promise.all(
    Array.from({ length: 1000 }, (_, number) => store.get(`s3://b/${number * 25}`)),
  );
  t.ok(
    found.every((each) => each !== undefined),
    'nor afterwards',
  );
  const askedBefore = port.countOf('get');
  for (let number = 0; number < 1000; number++) await store.get(`s3://b/none/${number}`);
  const askedCount = port.countOf('get') - askedBefore;
  t.ok(askedCount < 200, `for ${askedCount} of 1000 others`);
  port.refused.add('ids');
  await store.close();

  const last = open();
  last.port.refused.add('ids');
  await last.store.start();
  await last.store.flush();
  t.ok(await last.store.get('s3://b/1'), 'a database that does not tell its names is asked for each');
  await last.store.close();
});

t.test('a removal that cannot be written takes everything with it', (t) =>
  withFaulty(async ({ clock, port, store }) => {
    store.put(record('a'));
    store.put(record('b'));
    await store.flush();
    port.refused.add('write').add('beginAnew');
    store.remove('s3://b/a');
    await store.flush();
    t.equal(await store.get('s3://b/a'), undefined);
    t.equal(await store.get('s3://b/b'), undefined);
    port.refused.clear();
    clock.advance(10_000);
    await until(async () => {
      store.put(record('c'));
      return (await store.get('s3://b/c')) !== undefined;
    });
    t.equal(await store.get('s3://b/a'), undefined, 'it does not come back');
  }),
);

t.test('new records that cannot be written are lost, and the others stay', (t) =>
  withFaulty(async ({ port, store }) => {
    store.put(record('a'));
    await store.flush();
    port.refused.add('write');
    store.put(record('b'));
    await store.flush();
    port.refused.clear();
    t.ok(await store.get('s3://b/a'));
    t.equal(await store.get('s3://b/b'), undefined);
  }),
);

t.test('what waits to be written has a bound', (t) =>
  withFaulty(async ({ port, store }) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    port.held = promise;
    for (let number = 0; number < 60_000; number++) store.put(record(`${number}`));
    port.held = undefined;
    resolve();
    t.equal(await store.count(), 50_000);
  }),
);

t.test('where the database cannot be, the start fails and says so', async (t) => {
  const metastoreDir = t.testdir({ 'files.db': { 'is a directory': '' } });
  const pageStore = new MemoryPageStore({ capacityBytes: 1000, pageSizeBytes: 100 });
  const parts = { pageStore, clock: systemClock, logger: silentLogger };
  await t.rejects(openRecords({ metastoreDir, pageSizeBytes: 100 }, parts), {
    code: 'PageStoreUnavailable',
    message: /files\.db cannot be opened .*it may be removed/,
  });
});
