import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { LocalUfs } from '@alluxio-ts/ufs-adapters/local/ufs';
import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import { MemoryUfs } from '@alluxio-ts/ufs-adapters/memory/memory-ufs';
import { tryUfs, type UfsTrial } from '@alluxio-ts/ufs-adapters/try-ufs';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import type { ReadOptions, Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import t from 'tap';
import { startS3Server } from '../../../test/support/s3-server.ts';
import { keysOf } from './support/ufs-conformance.ts';

async function trialsOf(ufs: Ufs, writes = false): Promise<readonly UfsTrial[]> {
  return Array.fromAsync(tryUfs(ufs, { clock: systemClock, id: systemRandom.uuid(), writes }));
}

async function filled(): Promise<MemoryUfs> {
  const ufs = new MemoryUfs({ clock: systemClock });
  for (const key of ['a', 'b/c', 'b/d', 'b-e', 'f']) await ufs.write(key, Buffer.from(`bytes of ${key}`));
  return ufs;
}

/** The same storage, but for what is given. */
function faulty(ufs: Ufs, faults: Partial<Ufs>): Ufs {
  return { ...delegateTo(ufs), ...faults };
}

const readingNames = [
  'list',
  'missing file',
  'order',
  'resume',
  'delimiter',
  'status',
  'part of a file',
  'version',
];
const writingNames = ['write', 'odd names', 'overwrite', 'remove'];

t.test('a storage in order has nothing above ok, and is left as it was', async (t) => {
  const ufs = await filled();
  const trials = await trialsOf(ufs, true);
  t.same(
    trials.filter(({ level }) => level !== 'ok'),
    [],
  );
  t.same(
    trials.map(({ name }) => name),
    [...readingNames, ...writingNames],
  );
  t.same(await keysOf(ufs.list({ prefix: '' })), ['a', 'b-e', 'b/c', 'b/d', 'f']);
});

t.test('a directory and a bucket pass, written to or not', async (t) => {
  const server = await startS3Server();
  t.teardown(() => server.stop());
  await server.createBucket('try-ufs');
  const root = t.testdir({ nas: { 'a.txt': 'bytes', dir: { 'b.txt': 'more' } } });
  const registry = createUfsRegistry({
    clock: systemClock,
    random: systemRandom,
    environment: {},
    localAllowedRoots: [root],
  });
  for (const [uri, options] of [
    [`file://${root}/nas`, {}],
    ['s3://try-ufs/dir', server.mountOptions],
  ] as const) {
    const ufs = registry.open(parseMountUri(uri), options);
    if (uri.startsWith('s3')) {
      for (const key of ['a.txt', 'dir/b.txt']) await ufs.write(key, Buffer.from(key));
    }
    const before = await keysOf(ufs.list({ prefix: '' }));
    const trials = await trialsOf(ufs, true);
    t.same(
      trials.filter(({ level }) => level !== 'ok'),
      [],
      uri,
    );
    t.same(await keysOf(ufs.list({ prefix: '' })), before);
    await ufs.close();
  }
});

t.test('an empty storage is a warning, and one that cannot be asked an error that says why', async (t) => {
  const empty = await trialsOf(new MemoryUfs({ clock: systemClock }));
  t.match(empty, [
    { name: 'list', level: 'warning' },
    { name: 'missing file', level: 'ok' },
  ]);
  const gone = new LocalUfs(
    { rootDirectory: '/none/at/all', allowedRoots: ['/none'] },
    { clock: systemClock, random: systemRandom },
  );
  const trials = await trialsOf(gone, true);
  t.equal(trials.length, 1, 'one failure says it');
  t.match(trials[0], { name: 'list', level: 'error', finding: /does not exist/ });
});

const faults: readonly (readonly [string, (ufs: Ufs) => Partial<Ufs>])[] = [
  [
    'order',
    (ufs) => ({
      async *list(options) {
        yield (await Array.fromAsync(ufs.list(options))).flat().toReversed();
      },
    }),
  ],
  ['resume', (ufs) => ({ list: (options) => ufs.list({ ...options, startAfter: '' }) })],
  [
    'delimiter',
    (ufs) => ({
      async *list(options) {
        for await (const page of ufs.list(options)) yield page.filter(({ kind }) => kind === 'file');
      },
    }),
  ],
  [
    'missing file',
    (ufs) => ({
      read: (key: string, options: ReadOptions) =>
        ufs.read(key, options).catch(() => {
          throw new AlluxioError('UfsAccessDenied', 'the storage says 403 for what is not there');
        }),
    }),
  ],
  [
    'status',
    (ufs) => ({
      stat: async (key) => {
        const file = await ufs.stat(key);
        return file && { ...file, version: 'another' };
      },
    }),
  ],
  ['part of a file', (ufs) => ({ read: (key, options) => ufs.read(key, { ...options, offset: 0 }) })],
  [
    'version',
    (ufs) => ({
      read: (key, { offset, lengthBytes }) => ufs.read(key, { offset, lengthBytes }),
    }),
  ],
  [
    'overwrite',
    (ufs) => ({
      write: async (key, bytes) => {
        const there = await ufs.stat(key);
        return there ?? ufs.write(key, bytes);
      },
    }),
  ],
  ['odd names', (ufs) => ({ write: (key, bytes) => ufs.write(encodeURI(key), bytes) })],
  ['remove', () => ({ remove: async () => undefined })],
];

for (const [name, faultsOf] of faults) {
  t.test(`a storage whose "${name}" is wrong is found out`, async (t) => {
    const ufs = await filled();
    const trials = await trialsOf(faulty(ufs, faultsOf(ufs)), true);
    const wrong = trials.filter(({ level }) => level === 'error').map((trial) => trial.name);
    t.ok(wrong.includes(name), wrong.join(', '));
  });
}

t.test('what cannot be held to a version is a warning: it works, uncached', async (t) => {
  const ufs = await filled();
  const capability = { ...ufs.capability, pin: 'none', write: false } as const;
  const trials = await trialsOf(faulty(ufs, { capability }), true);
  t.match(
    trials.filter(({ level }) => level !== 'ok'),
    [
      { name: 'version', level: 'warning', finding: /nothing is cached/ },
      { name: 'write', level: 'warning' },
    ],
  );
});
