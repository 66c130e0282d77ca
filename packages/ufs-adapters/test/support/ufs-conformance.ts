/** What every `Ufs` must do, whatever lies behind it. Listings are compared with those of MemoryUfs, the smallest complete one. */

import { systemClock } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import type { FileStatus, ListOptions, ListPage, ReadOptions, Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { Test } from 'tap';

export interface UfsConformanceOptions {
  /** A storage without files, of its own for every call. The suite closes it. */
  readonly open: () => Promise<Ufs>;
  /** Which keys such as `a//b`, `../x`, `/x` are names of files; elsewhere they must lead to none. */
  readonly oddKeys: 'kept' | 'absent' | 'refused';
  /** Which delimiters are tried. */
  readonly delimiters?: readonly (string | undefined)[];
  /** False where the storage orders by path segments: then no key is tried whose place that changes. */
  readonly ordersByBytes?: boolean;
}

/** Behave the same in every storage. */
const plainKeys = [
  'a',
  'a0',
  'b/c/d/e',
  'b/c/d/f',
  'b/c0',
  'b/d',
  'sp ace+plus',
  "t~!*'()",
  'percent%2Fslash',
  'query?x=1&y#z',
  'ünï/cödé',
  '\u{ff5e}',
  '\u{1f600}',
];

/** A directory takes part in the order as `name/`: between these. */
const siblingKeys = ['n-x', 'n.x', 'n/x-y', 'n/x.y/z', 'n/x/y', 'n/x0', 'n0'];

const plainPrefixes = ['', 'b', 'b/', 'b/c', 'b/c/', 'n', 'n/x', 'none/'];
const oddPrefixes = ['/', '../', 'b//', './'];

const oddKeys = ['o//p', 'o/./p', 'o/../p', './o', '../o', '/o', '..', '.'];

export function testUfs(t: Test, name: string, options: UfsConformanceOptions): void {
  const test = (statement: string, body: (t: Test, ufs: Ufs) => Promise<void>): void => {
    void t.test(`${name}: ${statement}`, async (t) => {
      const ufs = await options.open();
      try {
        await body(t, ufs);
      } finally {
        await ufs.close();
      }
    });
  };
  testReading(test);
  testVersions(test);
  testSignals(test);
  testOddKeys(test, options.oddKeys);
  testListing(test, options);
}

type Register = (statement: string, body: (t: Test, ufs: Ufs) => Promise<void>) => void;

function testReading(test: Register): void {
  test('what was written is read back, in whole and in part', async (t, ufs) => {
    const bytes = patternBytes(700_000);
    const written = await ufs.write('dir/file', bytes);
    t.match(await ufs.stat('dir/file'), {
      key: 'dir/file',
      sizeBytes: bytes.length,
      version: written.version,
    });
    t.ok(Math.abs(written.modifiedMs - systemClock.now()) < 60_000, 'the time is that of the write');
    for (const [offset, lengthBytes] of [
      [0, 700_000],
      [0, 1],
      [1, 300_000],
      [262_144, 262_144],
      [699_999, 1],
      [600_000, 200_000],
    ] as const) {
      const { file, body } = await ufs.read('dir/file', pinned(written, { offset, lengthBytes }));
      t.equal(file.sizeBytes, bytes.length);
      t.equal(file.version, written.version);
      t.ok(
        (await collect(body)).equals(bytes.subarray(offset, offset + lengthBytes)),
        `bytes ${offset}+${lengthBytes}`,
      );
    }
  });

  test('a range of no bytes, or behind the end, is empty but not unchecked', async (t, ufs) => {
    const written = await ufs.write('file', Buffer.from('0123456789'));
    for (const [offset, lengthBytes] of [
      [0, 0],
      [5, 0],
      [10, 5],
      [100, 5],
    ] as const) {
      const { file, body } = await ufs.read('file', pinned(written, { offset, lengthBytes }));
      t.equal(file.sizeBytes, 10);
      t.equal((await collect(body)).length, 0);
      const wrong = { offset, lengthBytes, version: `${written.version}x` };
      await t.rejects(ufs.read('file', wrong), { code: 'VersionChanged' });
      await t.rejects(ufs.read('none', { offset, lengthBytes }), { code: 'FileNotFound' });
    }
  });

  test('an empty file is a file', async (t, ufs) => {
    const written = await ufs.write('empty', new Uint8Array(0));
    t.match(await ufs.stat('empty'), { sizeBytes: 0, version: written.version });
    const { body } = await ufs.read('empty', pinned(written, { offset: 0, lengthBytes: 100 }));
    t.equal((await collect(body)).length, 0);
  });

  test('what is not there has no status, cannot be read, and can be removed', async (t, ufs) => {
    await ufs.write('dir/file', Buffer.from('x'));
    for (const key of ['none', 'none/file', 'dir', 'dir/file/below', '']) {
      t.equal(await ufs.stat(key), undefined, `stat "${key}"`);
      await t.rejects(
        ufs.read(key, { offset: 0, lengthBytes: 1 }),
        { code: 'FileNotFound' },
        `read "${key}"`,
      );
    }
    await ufs.remove('none');
    await ufs.remove('none/file');
    await ufs.remove('dir/file');
    t.equal(await ufs.stat('dir/file'), undefined);
    await ufs.remove('dir/file');
  });

  test('a range that cannot be meant is refused', async (t, ufs) => {
    await ufs.write('file', Buffer.from('x'));
    for (const range of [
      { offset: -1, lengthBytes: 1 },
      { offset: 0, lengthBytes: -1 },
      { offset: 0.5, lengthBytes: 1 },
      { offset: Number.MAX_SAFE_INTEGER, lengthBytes: 1 },
    ]) {
      await t.rejects(ufs.read('file', range), { code: 'InvalidArgument' });
    }
  });
}

function testVersions(test: Register): void {
  test('other bytes are another version, and the old one cannot be read any more', async (t, ufs) => {
    const first = await ufs.write('file', Buffer.from('first'));
    const second = await ufs.write('file', Buffer.from('other'));
    t.not(first.version, second.version);
    t.not(first.etag, second.etag);
    t.match(second.etag, /^".+"$/);
    await t.rejects(ufs.read('file', pinned(first, { offset: 0, lengthBytes: 5 })), {
      code: 'VersionChanged',
    });
    t.equal(await text(ufs, 'file', second), 'other');
    t.equal(await text(ufs, 'file', undefined), 'other');
  });

  test('a file that is overwritten while it is read gives one version or fails', async (t, ufs) => {
    const first = await ufs.write('file', Buffer.alloc(3_000_000, 1));
    const { body } = await ufs.read('file', pinned(first, { offset: 0, lengthBytes: 3_000_000 }));
    const seen: number[] = [];
    try {
      for await (const chunk of body) {
        if (seen.length === 0) await ufs.write('file', Buffer.alloc(3_000_000, 2));
        seen.push(...new Set(chunk));
      }
      t.same([...new Set(seen)], [1]);
    } catch (thrown) {
      t.ok(hasErrorCode(thrown, 'VersionChanged', 'UfsBadResponse', 'UfsUnavailable'));
    }
  });

  test('a version of somebody else is not this one', async (t, ufs) => {
    await ufs.write('file', Buffer.from('x'));
    for (const version of ['', 'nonsense', 'etag:"0"', 'local:0']) {
      await t.rejects(ufs.read('file', { offset: 0, lengthBytes: 1, version }), { code: 'VersionChanged' });
    }
  });
}

function testSignals(test: Register): void {
  test('an aborted signal ends every call with its reason', async (t, ufs) => {
    await ufs.write('file', Buffer.from('x'));
    const reason = new Error('given up');
    const signal = AbortSignal.abort(reason);
    await t.rejects(ufs.stat('file', { signal }), reason);
    await t.rejects(ufs.read('file', { offset: 0, lengthBytes: 1, signal }), reason);
    await t.rejects(ufs.write('file', Buffer.from('y'), { signal }), reason);
    await t.rejects(ufs.remove('file', { signal }), reason);
    await t.rejects(keysOf(ufs.list({ prefix: '', signal })), reason);
    t.equal(await text(ufs, 'file', undefined), 'x', 'nothing was changed');
  });

  test('a body ends with the reason when it is aborted on the way', async (t, ufs) => {
    const written = await ufs.write('file', patternBytes(3_000_000));
    const reason = new Error('given up');
    const control = new AbortController();
    const range = { offset: 0, lengthBytes: 3_000_000, signal: control.signal };
    const { body } = await ufs.read('file', pinned(written, range));
    await t.rejects(async () => {
      for await (const _ of body) control.abort(reason);
    }, reason);
  });

  test('bodies that are left early, or aborted unread, leave the storage usable', async (t, ufs) => {
    const written = await ufs.write('file', patternBytes(3_000_000));
    for (let round = 0; round < 60; round++) {
      const control = new AbortController();
      const range = { offset: 0, lengthBytes: 3_000_000, signal: control.signal };
      const { body } = await ufs.read('file', pinned(written, range));
      if (round % 2 === 0) control.abort();
      else for await (const _ of body) break;
    }
    t.equal((await ufs.stat('file'))?.sizeBytes, 3_000_000);
  });
}

function testOddKeys(test: Register, oddKeysAre: UfsConformanceOptions['oddKeys']): void {
  if (oddKeysAre === 'refused') return;
  test('a raw key is never normalised', async (t, ufs) => {
    for (const key of ['o/p', 'p']) await ufs.write(key, Buffer.from(`plain ${key}`));
    for (const key of oddKeys) {
      t.equal(await ufs.stat(key), undefined, `"${key}" does not exist yet`);
      await t.rejects(ufs.read(key, { offset: 0, lengthBytes: 1 }), { code: 'FileNotFound' });
    }
    for (const key of oddKeys) {
      if (oddKeysAre === 'kept') t.equal((await ufs.write(key, Buffer.from(key))).key, key);
      else await t.rejects(ufs.write(key, Buffer.from(key)), { code: 'InvalidArgument' });
    }
    const kept = oddKeysAre === 'kept' ? oddKeys : [];
    for (const key of kept) t.equal(await text(ufs, key, undefined), key);
    t.equal(await text(ufs, 'o/p', undefined), 'plain o/p');
    t.equal((await keysOf(ufs.list({ prefix: '' }))).length, kept.length + 2);
    for (const key of oddKeys) await ufs.remove(key);
    t.same(await keysOf(ufs.list({ prefix: '' })), ['o/p', 'p']);
  });
}

function testListing(test: Register, options: UfsConformanceOptions): void {
  const keys = [...plainKeys, ...((options.ordersByBytes ?? true) ? siblingKeys : [])];
  test('a listing gives what a sorted set of keys gives', async (t, ufs) => {
    const model = new MemoryUfs({ clock: systemClock });
    for (const key of keys.toReversed()) {
      await ufs.write(key, Buffer.from(key));
      await model.write(key, Buffer.from(key));
    }
    const common = ['b/', 'b/c/', 'n/', 'none', 'b/c/d/e0', 'ünï/'];
    for (const delimiter of options.delimiters ?? [undefined, '/', '-', 'c/', 'x']) {
      for (const prefix of options.oddKeys === 'refused'
        ? plainPrefixes
        : [...plainPrefixes, ...oddPrefixes]) {
        const question = { prefix, ...(delimiter === undefined ? {} : { delimiter }) };
        await compareLists(t, { ufs, model, question });
        if (!['', 'b/c', 'b/c/'].includes(prefix)) continue;
        for (const startAfter of [...keys, ...common]) {
          await compareLists(t, { ufs, model, question: { ...question, startAfter } });
          await compareLists(t, { ufs, model, question: { ...question, startAfter, limit: 2 } });
        }
      }
    }
    t.same(await keysOf(ufs.list({ prefix: '', limit: 0 })), []);
  });

  test('a listed file has the size, time and version of its status', async (t, ufs) => {
    await ufs.write('dir/file', Buffer.from('bytes'));
    const status = await ufs.stat('dir/file');
    for await (const [entry, ...others] of ufs.list({ prefix: '' })) {
      t.same(others, []);
      if (entry?.kind !== 'file' || !status) throw new Error('a file was expected');
      const { key, sizeBytes, version, etag } = entry.file;
      t.match(status, { key, sizeBytes, version, etag });
      t.ok(Math.abs(entry.file.modifiedMs - status.modifiedMs) <= 1000);
    }
    t.same(await keysOf(ufs.list({ prefix: '' })), ['dir/file']);
  });

  test('an empty storage lists nothing', async (t, ufs) => {
    t.same(await keysOf(ufs.list({ prefix: '' })), []);
    t.same(await keysOf(ufs.list({ prefix: 'none/', delimiter: '/', startAfter: 'none/a' })), []);
  });
}

async function compareLists(
  t: Test,
  sides: { readonly ufs: Ufs; readonly model: Ufs; readonly question: ListOptions },
): Promise<void> {
  const { ufs, model, question } = sides;
  const wanted = await keysOf(model.list(question));
  const found = await keysOf(ufs.list(question));
  // Only a difference is worth a line among hundreds.
  if (JSON.stringify(found) !== JSON.stringify(wanted)) t.same(found, wanted, JSON.stringify(question));
}

/** Bytes that tell every offset from its neighbours. */
export function patternBytes(count: number): Buffer {
  const bytes = Buffer.alloc(count);
  for (let index = 0; index < count; index++) bytes[index] = (index * 31 + (index >> 8)) & 0xff;
  return bytes;
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** The names in a listing, common prefixes in brackets. */
export async function keysOf(pages: AsyncIterable<ListPage>): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of pages) {
    if (page.length === 0) throw new Error('a page without entries');
    keys.push(...page.map((entry) => (entry.kind === 'file' ? entry.file.key : `[${entry.key}]`)));
  }
  return keys;
}

async function text(ufs: Ufs, key: string, file: FileStatus | undefined): Promise<string> {
  const range = { offset: 0, lengthBytes: 1000 };
  const { body } = await ufs.read(key, file ? pinned(file, range) : range);
  return (await collect(body)).toString();
}

function pinned(file: FileStatus, options: Omit<ReadOptions, 'version'>): ReadOptions {
  return file.version === undefined ? options : { ...options, version: file.version };
}
