import { createHook } from 'node:async_hooks';
import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, rmdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { localError } from '@alluxio-ts/ufs-adapters/local/errors';
import { isSettled } from '@alluxio-ts/ufs-adapters/local/file-version';
import { localUfsOptions } from '@alluxio-ts/ufs-adapters/local/options';
import { LocalUfs } from '@alluxio-ts/ufs-adapters/local/ufs';
import type { ListOptions } from '@alluxio-ts/ufs-adapters/ufs';
import t from 'tap';
import { intoMemory } from './support/into-memory.ts';
import { collect, keysOf, patternBytes, testUfs } from './support/ufs-conformance.ts';

const parts = { clock: systemClock, random: systemRandom };
const base = t.testdir();
let directoryCount = 0;

function openAt(rootDirectory: string): LocalUfs {
  return new LocalUfs(localUfsOptions(parseMountUri(`file://${rootDirectory}`), [base]), parts);
}

async function openEmpty(): Promise<{ readonly ufs: LocalUfs; readonly root: string }> {
  const root = join(base, String(directoryCount++));
  await mkdir(root);
  return { ufs: openAt(root), root };
}

testUfs(t, 'local', { open: async () => (await openEmpty()).ufs, oddKeys: 'absent' });
testUfs(t, 'local, into memory', {
  open: async () => intoMemory((await openEmpty()).ufs),
  oddKeys: 'absent',
});

void t.test('a file that changes while it is read fails before its last chunk', async (t) => {
  const changes: readonly [string, (path: string) => Promise<void>][] = [
    ['appended', (path) => appendFile(path, 'more')],
    ['truncated', (path) => truncate(path, 300_000)],
    ['emptied', (path) => truncate(path, 0)],
    ['overwritten in place', (path) => writeFile(path, patternBytes(1_000_000).fill(7, 999_000))],
    ['touched', (path) => utimes(path, 1, 1)],
  ];
  for (const [name, change] of changes) {
    const { ufs, root } = await openEmpty();
    await ufs.write('file', patternBytes(1_000_000));
    const { body } = await ufs.read('file', { offset: 0, lengthBytes: 1_000_000 });
    let given = 0;
    await t.rejects(
      async () => {
        for await (const chunk of body) {
          if (given === 0) await change(join(root, 'file'));
          given += chunk.length;
        }
      },
      { code: 'VersionChanged' },
      name,
    );
    t.ok(given < 1_000_000, `${name}: not all bytes were handed out`);
  }
});

void t.test('a rename over a file does not disturb its readers', async (t) => {
  const { ufs } = await openEmpty();
  const first = await ufs.write('file', Buffer.from('first'));
  const second = await ufs.write('file', Buffer.from('other'));
  t.not(first.version, second.version);
  t.match(second.etag, /^"[0-9a-f]{32}-5"$/);
});

void t.test('times in whole seconds give no version until two seconds have passed', async (t) => {
  const whole = { mtimeNs: 5_000_000_000n, ctimeNs: 6_000_000_000n };
  t.equal(isSettled(whole, 7999), false);
  t.equal(isSettled(whole, 8000), true);
  t.equal(isSettled(whole, 1000), false, 'a time to come is not settled');
  t.equal(isSettled({ ...whole, ctimeNs: 6_000_000_001n }, 6000), true, 'a fraction shows every change');
});

void t.test('a link is followed inside the root and nowhere else', async (t) => {
  const { ufs, root } = await openEmpty();
  const outside = await openEmpty();
  await outside.ufs.write('secret', Buffer.from('secret'));
  await ufs.write('real/file', Buffer.from('inside'));
  await symlink('real', join(root, 'dirlink'));
  await symlink('real/file', join(root, 'filelink'));
  await symlink('..', join(root, 'real', 'up'));
  await symlink(outside.root, join(root, 'away'));
  await symlink(join(outside.root, 'secret'), join(root, 'leak'));
  await symlink('nowhere', join(root, 'dangling'));
  await symlink('self', join(root, 'self'));

  t.same(await keysOf(ufs.list({ prefix: '' })), ['dirlink/file', 'filelink', 'real/file']);
  t.same(await keysOf(ufs.list({ prefix: '', delimiter: '/' })), ['[dirlink/]', 'filelink', '[real/]']);
  t.same(await keysOf(ufs.list({ prefix: 'away/' })), []);
  t.equal((await ufs.stat('dirlink/file'))?.sizeBytes, 6);
  for (const key of ['leak', 'away/secret']) {
    await t.rejects(ufs.stat(key), { code: 'AccessDenied' });
    await t.rejects(ufs.read(key, { offset: 0, lengthBytes: 1 }), { code: 'AccessDenied' });
  }
  await t.rejects(ufs.write('away/new', Buffer.from('x')), { code: 'AccessDenied' });
  await t.rejects(ufs.remove('away/secret'), { code: 'AccessDenied' });
  for (const key of ['dangling', 'self', 'dangling/x']) t.equal(await ufs.stat(key), undefined, key);

  await ufs.write('leak', Buffer.from('new'));
  t.equal((await outside.ufs.stat('secret'))?.sizeBytes, 6, 'a link is replaced, not written through');
  await ufs.remove('filelink');
  t.equal((await ufs.stat('real/file'))?.sizeBytes, 6, 'a link is removed, not its file');
});

void t.test('what is no regular file is no file', async (t) => {
  const { ufs, root } = await openEmpty();
  await ufs.write('dir/file', Buffer.from('x'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  await symlink('/dev/null', join(root, 'device'));
  for (const key of ['pipe', 'dir', 'dir/', 'dir/file/', 'nul\0', 'dir/nul\0', '\ud800']) {
    t.equal(await ufs.stat(key), undefined, JSON.stringify(key));
    await t.rejects(
      ufs.read(key, { offset: 0, lengthBytes: 1 }),
      { code: 'FileNotFound' },
      JSON.stringify(key),
    );
  }
  t.same(await keysOf(ufs.list({ prefix: '' })), ['dir/file']);
  await ufs.remove('dir');
  t.equal((await ufs.stat('dir/file'))?.sizeBytes, 1);
  await t.rejects(ufs.write('dir', Buffer.from('x')), { code: 'UfsUnsupported' });
  await t.rejects(ufs.write('dir/file/below', Buffer.from('x')), { code: 'UfsUnsupported' });
  t.same(await keysOf(ufs.list({ prefix: '' })), ['dir/file'], 'nothing is left of failed writes');
  await t.rejects(ufs.write('\ud800', Buffer.from('x')), { code: 'InvalidArgument' });
});

void t.test('a name that is not UTF-8, and a file that is being written, are not listed', async (t) => {
  const { ufs, root } = await openEmpty();
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x61, 0xff, 0x62])]), 'x');
  await writeFile(join(root, '.alluxio-write-1'), 'x');
  await ufs.write('plain', Buffer.from('x'));
  t.same(await keysOf(ufs.list({ prefix: '' })), ['plain']);
  t.equal(await ufs.stat('.alluxio-write-1'), undefined);
  await t.rejects(ufs.write('.alluxio-write-2', Buffer.from('x')), { code: 'InvalidArgument' });
});

void t.test('a listing does not enter what lies before its start, nor what the delimiter cuts', async (t) => {
  const { ufs } = await openEmpty();
  for (let index = 10; index < 50; index++) await ufs.write(`d${index}/x/file`, Buffer.from('x'));
  const countOf = async (question: ListOptions): Promise<readonly [entries: number, calls: number]> => {
    let calls = 0;
    const hook = createHook({ init: (_, type) => void (type === 'FSREQPROMISE' && calls++) }).enable();
    const { length } = await keysOf(ufs.list(question));
    hook.disable();
    return [length, calls];
  };
  const [allEntries, allCalls] = await countOf({ prefix: '' });
  t.equal(allEntries, 40);
  t.ok(allCalls > 80, `${allCalls} calls for all`);
  for (const [question, entries] of [
    [{ prefix: '', startAfter: 'd48/x/file' }, 1],
    [{ prefix: 'd30/x/' }, 1],
    [{ prefix: 'd30' }, 1],
    [{ prefix: '', limit: 1 }, 1],
    [{ prefix: '', delimiter: '/' }, 40],
  ] as const) {
    const [found, calls] = await countOf(question);
    t.equal(found, entries);
    t.ok(calls <= 8, `${calls} calls for ${JSON.stringify(question)}`);
  }
});

void t.test('errors of the system say what to do', async (t) => {
  const failure = (code: string) => Object.assign(new Error(code), { code });
  t.match(localError(failure('EACCES'), 'read /d/f'), {
    code: 'UfsAccessDenied',
    message: /cannot read \/d\/f: EACCES/,
  });
  t.match(localError(failure('EIO'), 'read /d/f'), { code: 'UfsUnavailable', retry: 'later' });
  t.match(localError(failure('ESTALE'), 'read /d/f'), { code: 'VersionChanged' });
  const other = new TypeError('ours');
  t.equal(localError(other, 'read /d/f'), other);
});

void t.test('a missing root is told from a missing file', async (t) => {
  const ufs = openAt(join(base, 'missing'));
  const wanted = { code: 'UfsBucketNotFound', message: join(base, 'missing') };
  await t.rejects(ufs.stat('a'), matching(wanted));
  await t.rejects(ufs.read('a', { offset: 0, lengthBytes: 1 }), matching(wanted));
  await t.rejects(keysOf(ufs.list({ prefix: '' })), matching(wanted));
});

function matching(wanted: { readonly code: string; readonly message: string }) {
  return { code: wanted.code, message: new RegExp(wanted.message.replaceAll('.', '\\.')) };
}

void t.test('a root outside the allowed ones is denied, also behind a link', async (t) => {
  const { root } = await openEmpty();
  const outside = { code: 'AccessDenied', message: /alluxio\.ufs\.local\.allowed\.roots/ };
  for (const [uri, allowed] of [
    [`file://${root}`, []],
    [`file://${root}`, [`${root}x`]],
    [`file://${root}/../..`, [root]],
    ['file:///', [root]],
  ] as const) {
    t.throws(() => localUfsOptions(parseMountUri(uri), allowed), outside);
  }
  t.equal(localUfsOptions(parseMountUri('file:///etc'), ['/']).rootDirectory, '/etc');
  await symlink('/etc', join(root, 'link'));
  const linked = new LocalUfs(localUfsOptions(parseMountUri(`file://${root}/link`), [root]), parts);
  await t.rejects(linked.stat('passwd'), outside);
});

void t.test(
  'a root that goes while it is held against the allowed ones is missing, not denied',
  async (t) => {
    const codes = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const { root } = await openEmpty();
      const options = localUfsOptions(parseMountUri(`file://${root}`), [root]);
      const asked = Array.from({ length: 8 }, (_, index) =>
        passTurns(index * round).then(() => new LocalUfs(options, parts).stat('file')),
      );
      await Promise.all([
        rmdir(root),
        ...asked.map((each) => each.catch((thrown) => codes.add(thrown.code))),
      ]);
    }
    t.same([...codes], ['UfsBucketNotFound']);
  },
);

/** So many turns of the event loop. */
async function passTurns(count: number): Promise<void> {
  for (let turn = 0; turn < count % 10; turn++) await nextTurn();
}

void t.test('the bytes of a read come through one buffer', async (t) => {
  const { ufs } = await openEmpty();
  await ufs.write('file', patternBytes(1_000_000));
  const { body } = await ufs.read('file', { offset: 10, lengthBytes: 900_000 });
  const buffers = new Set<ArrayBufferLike>();
  for await (const chunk of body) buffers.add(chunk.buffer);
  t.equal(buffers.size, 1);
  const again = await ufs.read('file', { offset: 10, lengthBytes: 900_000 });
  t.ok((await collect(again.body)).equals(patternBytes(1_000_000).subarray(10, 900_010)));
});
