import * as fc from 'fast-check';
import t from 'tap';
import type { FileKey } from '@alluxio-ts/common/page';
import type { FileHeaders, FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { FileIndex, type ScopedPath } from '../src/file-records/file-index.ts';
import type { FileRecord } from '../src/file-records/file-record.ts';
import {
  decodeTexts,
  encodeTexts,
  type StatusTexts,
  textsMaxBytes,
} from '../src/file-records/status-texts.ts';

const runOptions = process.env['TEST_SEED'] ? { seed: Number(process.env['TEST_SEED']) } : {};

const hexText = fc
  .array(fc.integer({ min: 0, max: 15 }), { maxLength: 40 })
  .map((digits) => digits.map((digit) => digit.toString(16)).join(''));
const text = fc.oneof(
  hexText,
  hexText.map((digits) => `"${digits}"`),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.constantFrom('image/jpeg', 'text/plain', 'application/octet-stream', ''),
);
const headers: fc.Arbitrary<FileHeaders> = fc.record(
  {
    contentType: text,
    contentEncoding: text,
    contentDisposition: text,
    contentLanguage: text,
    cacheControl: text,
    expires: text,
    metadata: fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 1 }),
  },
  { requiredKeys: [] },
);
const texts = fc.oneof(
  fc.record({
    etag: fc.option(text, { nil: undefined }),
    version: fc.option(text, { nil: undefined }),
    headers,
  }),
  fc.record({ etag: text, headers }).map((given) => ({ ...given, version: `etag:${given.etag}` })),
);

const headerNames = [
  'contentType',
  'contentEncoding',
  'contentDisposition',
  'contentLanguage',
  'cacheControl',
  'expires',
] as const;

t.test('texts come back as they were, or are not taken', async (t) => {
  let takenCount = 0;
  fc.assert(
    fc.property(texts, (given) => {
      const encoded = encodeTexts(given);
      if (!encoded) return true;
      takenCount++;
      return comparable(decodeTexts(Buffer.from(encoded), 0)) === comparable(given);
    }),
    { ...runOptions, numRuns: 500 },
  );
  t.ok(takenCount > 50, `${takenCount} of them were taken`);
});

/** The order of fields, and whether one is missing or undefined, is nobody's concern. */
function comparable({ etag, headers: { metadata, ...rest }, version }: StatusTexts): string {
  return JSON.stringify([
    etag,
    version,
    headerNames.map((name) => rest[name]),
    metadata && Object.entries(metadata),
  ]);
}

t.test('what files usually have takes little', async (t) => {
  const etag = '"0123456789abcdef0123456789abcdef"';
  const object = { etag, version: `etag:${etag}`, headers: { contentType: 'binary/octet-stream' } };
  t.equal(encodeTexts(object)?.length, 24, 'an S3 object');
  const parts = { ...object, etag: '"0123456789abcdef0123456789abcdef-12"' };
  t.ok(
    (encodeTexts({ ...parts, version: `etag:${parts.etag}` })?.length ?? 99) <= 32,
    'one of several parts',
  );
  const version = 'local:8a1f32-10000000-18a1b2c3d4e5f601-18a1b2c3d4e5f602';
  t.ok(
    (encodeTexts({ version, etag: '"0123456789abcdef0123456789abcdef-10000000"', headers: {} })?.length ??
      99) <= 72,
  );
  t.equal(
    encodeTexts({ etag, version: 'x'.repeat(textsMaxBytes), headers: {} }),
    undefined,
    'what is long does not fit',
  );
  t.equal(encodeTexts({ etag: '"é"', version: undefined, headers: {} }), undefined);
  t.equal(encodeTexts({ ...object, headers: { metadata: { owner: 'me' } } }), undefined);
});

interface Named {
  readonly path: ScopedPath;
  readonly name: string;
}

function nameOf(number: number): Named {
  const path = { scope: number % 3, ufsPath: `s3://b/${number % 50}`, key: `${number % 50}` };
  return { path, name: `${path.scope} ${path.ufsPath}` };
}

function recordOf(seed: number): FileRecord {
  const etag = seed % 7 === 0 ? undefined : `"${seed.toString(16).padStart(32, '0')}"`;
  const status: FileStatus = {
    key: '',
    sizeBytes: seed % 5 === 0 ? 2 ** 40 + seed : seed,
    modifiedMs: -1.5 * seed,
    version: etag && `etag:${etag}`,
    etag,
    headers: seed % 4 === 0 ? { metadata: { seed: String(seed) } } : { contentType: `type/${seed % 9}` },
    isPartial: false,
  };
  const fileKey = etag === undefined ? undefined : { a: seed, b: 0xffff_ffff, c: seed * 2 };
  return { status, fileKey, checkedAtMs: seed / 3 };
}

const operation = fc.record({
  kind: fc.constantFrom('set', 'set', 'set', 'get', 'delete', 'clear'),
  number: fc.nat(200),
  seed: fc.nat(1_000_000),
});

t.test('the index answers like a Map', async (t) => {
  const property = fc.property(fc.array(operation, { maxLength: 1000, size: 'max' }), (operations) => {
    const dropped: FileKey[] = [];
    const index = new FileIndex({ filesMax: 1000, oddFilesMax: 1000, onDropped: (key) => dropped.push(key) });
    const model = new Map<string, FileRecord>();
    let droppedCount = 0;
    for (const { kind, number, seed } of operations) {
      const { name, path } = nameOf(number);
      const before = model.get(name);
      if (kind === 'set') {
        const record = recordOf(seed);
        const isOther = before?.fileKey && before.fileKey.a !== record.fileKey?.a;
        if (isOther) droppedCount++;
        index.set(path, record);
        model.set(name, { ...record, status: { ...record.status, key: path.key } });
      } else if (kind === 'delete') {
        if (before?.fileKey) droppedCount++;
        index.delete(path);
        model.delete(name);
      } else if (kind === 'clear' && number < 5) {
        index.clear();
        model.clear();
      }
      if (JSON.stringify(index.get(path)) !== JSON.stringify(model.get(name))) return false;
      if (index.count !== model.size || dropped.length !== droppedCount) return false;
    }
    for (let number = 0; number < 150; number++) {
      const { name, path } = nameOf(number);
      if (JSON.stringify(index.get(path)) !== JSON.stringify(model.get(name))) return false;
    }
    return true;
  });
  fc.assert(property, { ...runOptions, numRuns: 100 });
  t.pass('held');
});

t.test('over its bound the index drops what was not used lately, and says so', async (t) => {
  const dropped: number[] = [];
  const index = new FileIndex({ filesMax: 100, oddFilesMax: 10, onDropped: ({ a }) => dropped.push(a) });
  const pathOf = (number: number): ScopedPath => ({ scope: 1, ufsPath: `f${number}`, key: `f${number}` });
  const plain = (number: number): FileRecord => ({
    ...recordOf(1),
    fileKey: { a: number, b: 0, c: 0 },
  });
  for (let number = 0; number < 100; number++) index.set(pathOf(number), plain(number));
  // The first one over the bound takes the mark of use from all.
  index.set(pathOf(100), plain(100));
  for (let number = 20; number < 40; number++) index.get(pathOf(number));
  for (let number = 101; number < 170; number++) index.set(pathOf(number), plain(number));
  t.equal(index.count, 100);
  t.equal(dropped.length, 70);
  t.notOk(
    dropped.some((number) => number >= 20 && number < 40),
    'what was used lately stays',
  );
  for (let number = 200; number < 215; number++) {
    index.set(pathOf(number), { ...recordOf(4), fileKey: { a: number, b: 0, c: 0 } });
  }
  t.equal(index.get(pathOf(200)), undefined, 'the eldest of those beside');
  t.strictSame(index.get(pathOf(214))?.status.headers.metadata, { seed: '4' });
});

t.test('the load of a version is noted once, until another takes its place', async (t) => {
  const index = new FileIndex({ filesMax: 10, oddFilesMax: 10 });
  const path = { scope: 1, ufsPath: 's3://b/a', key: 'a' };
  const record = recordOf(1);
  const key = record.fileKey ?? { a: 0, b: 0, c: 0 };
  t.notOk(index.markLoaded(path, key), 'the file is not known');
  index.set(path, record);
  t.notOk(index.markLoaded(path, { ...key, b: 1 }), 'not in this version');
  t.ok(index.markLoaded(path, key));
  t.notOk(index.markLoaded(path, key));
  index.set(path, { ...record, checkedAtMs: 9 });
  t.notOk(index.markLoaded(path, key), 'confirmed, it is noted still');
  t.strictSame(index.get(path), { ...record, checkedAtMs: 9, status: { ...record.status, key: 'a' } });
  index.set(path, recordOf(2));
  index.set(path, record);
  t.ok(index.markLoaded(path, key));
  index.delete(path);
  index.set(path, record);
  t.ok(index.markLoaded(path, key), 'and so after it was forgotten');
});

t.test('300,000 files take at most 96 bytes each', async (t) => {
  const index = new FileIndex({ filesMax: 2_000_000, oddFilesMax: 10 });
  const count = 300_000;
  for (let number = 0; number < count; number++) {
    index.set({ scope: 1, ufsPath: `s3://bucket/${number}`, key: '' }, recordOf(4 * number + 1));
  }
  t.equal(index.count, count);
  t.ok(index.memoryBytes / count <= 96, `${index.memoryBytes / count} bytes`);
});

t.test('files that change, come and go take no more room than at first', async (t) => {
  const index = new FileIndex({ filesMax: 2000, oddFilesMax: 10 });
  const roundOf = (round: number): number => {
    for (let number = 0; number < 5000; number++) {
      const path = { scope: 1, ufsPath: `s3://bucket/${number}`, key: '' };
      index.set(path, recordOf(number * 12 + round));
      index.set(path, recordOf(number * 12 + round + 1));
      if (number % 3 === 0) index.delete(path);
    }
    return index.memoryBytes;
  };
  const firstBytes = roundOf(0);
  for (let round = 1; round < 20; round++) roundOf(round);
  t.equal(roundOf(20), firstBytes);
});
