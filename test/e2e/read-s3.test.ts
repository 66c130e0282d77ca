/** A bucket of a real S3 server read through the cache: every byte, how often the storage is asked, overwrites, and a storage that goes away. */

import { createHash } from 'node:crypto';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { fileIdOf } from '@alluxio-ts/common/page';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import t from 'tap';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import { metricOf, startTestStandalone, type TestStandalone } from '../support/standalone.ts';
import { UfsProxy } from '../support/ufs-proxy.ts';
import { workDirOf } from '../support/work-dir.ts';

const pageSizeBytes = 4 * MIB;
const fileCount = 1000;

interface TestFile {
  readonly key: string;
  readonly bytes: Uint8Array;
}

const server: S3Server = await startS3Server();
const proxy = new UfsProxy(new URL(server.endpoint));
await proxy.start();
await server.createBucket('test-bucket');
t.teardown(async () => {
  await proxy.stop();
  await server.stop();
});

const registry = createUfsRegistry({
  clock: systemClock,
  random: systemRandom,
  localAllowedRoots: [],
  environment: {},
});

/** Straight to the server, past the proxy that counts. */
function openDirect(prefix: string): Ufs {
  return registry.open(parseMountUri(`s3://test-bucket/${prefix}`), server.mountOptions);
}

function mountOf(prefix: string) {
  return {
    path: '/data',
    ufsUri: `s3://test-bucket/${prefix}`,
    options: { ...server.mountOptions, 'alluxio.underfs.s3.endpoint': proxy.endpoint },
  };
}

function patternOf(seed: number, lengthBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  let state = (seed * 747_796_405 + 1) >>> 0;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}

/** Names that have broken clients: each is one that the server keeps as it is. */
const oddNames = [
  'plain.txt',
  'with space',
  'plus+sign',
  'percent%20literal',
  'hash#mark',
  'question?mark',
  'amper&sand=equals',
  'quote"and\'apostrophe',
  'semi;colon:at@dollar$',
  'bracket[1]{2}(3)',
  'caret^tilde~back`tick',
  'comma,bang!star*',
  'ünïcödé/ключ/键',
  'emoji-😀.bin',
  'deep/er/and/deeper/still/file',
  'trailing.dot.',
  '.hidden',
  'pipe|less<greater>',
  'back\\slash',
];

function makeFiles(): readonly TestFile[] {
  const sizes = [
    0,
    1,
    4095,
    4096,
    64 * KIB,
    64 * KIB + 1,
    pageSizeBytes - 1,
    pageSizeBytes,
    pageSizeBytes + 1,
    64 * MIB,
  ];
  return Array.from({ length: fileCount }, (_, index) => {
    const name = oddNames[index] ?? `many/${String(index % 10)}/file-${index}`;
    const sizeBytes = sizes[index - oddNames.length] ?? (index * 7919) % (96 * KIB);
    return { key: name, bytes: patternOf(index, sizeBytes) };
  });
}

async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}

function encodeKey(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/');
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function get(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes };
}

async function withStandalone(
  workDir: string,
  prefix: string,
  definitions: readonly string[],
  use: (running: TestStandalone) => Promise<void>,
): Promise<void> {
  const running = await startTestStandalone({ workDir, mounts: [mountOf(prefix)], definitions });
  try {
    await use(running);
  } finally {
    await running.stop();
  }
}

t.test(
  'a thousand files have the same hash through S3 and REST, and the storage gives each byte once',
  async (t) => {
    const direct = openDirect('thousand');
    const files = makeFiles();
    await inParallel(files, 8, async (file) => {
      await direct.write(file.key, file.bytes);
    });
    await direct.close();
    const pages = files.reduce((sum, file) => sum + Math.ceil(file.bytes.length / pageSizeBytes), 0);
    const totalBytes = files.reduce((sum, file) => sum + file.bytes.length, 0);
    // Their one request says only that they have no such bytes.
    const emptyCount = files.filter((file) => file.bytes.length === 0).length;

    await withStandalone(workDirOf(t), 'thousand', [], async ({ s3, rest, web }) => {
      proxy.reset();
      const wrong: string[] = [];
      const read = async (file: TestFile, url: string): Promise<void> => {
        const { status, bytes } = await get(url);
        if (status !== 200 || sha256(bytes) !== sha256(file.bytes)) wrong.push(`${status} ${url}`);
      };
      await inParallel(files, 8, (file) => read(file, `${s3}/data/${encodeKey(file.key)}`));
      t.strictSame(wrong, [], 'through S3, cold');
      t.equal(proxy.countOf('GET'), pages + emptyCount, 'one GET a page, which says what the file is too');
      t.equal(proxy.countOf('HEAD'), emptyCount);
      t.ok(proxy.receivedBytes >= totalBytes, 'all bytes came once');
      t.ok(
        proxy.receivedBytes < totalBytes + (pages + fileCount) * 2 * KIB,
        'and no more than their heads beside',
      );

      const reads = await metricOf(web, 'alluxio_ufs_total', 'method="read"');
      t.equal(reads, pages + emptyCount, 'the metrics agree: calls');
      t.equal(await metricOf(web, 'alluxio_ufs_data_access_bytes_total'), totalBytes, 'bytes');
      t.equal(await metricOf(web, 'alluxio_missed_data_read_bytes_total'), totalBytes, 'missed bytes');
      t.equal(await metricOf(web, 'alluxio_data_cached_pages'), pages, 'pages');

      proxy.reset();
      await inParallel(files, 8, (file) => read(file, `${s3}/data/${encodeKey(file.key)}`));
      await inParallel(files, 8, (file) => {
        const ufsPath = `s3://test-bucket/thousand/${file.key}`;
        return read(file, `${rest}/v1/chunk/${fileIdOf(ufsPath)}?ufsFullPath=${encodeURIComponent(ufsPath)}`);
      });
      t.strictSame(wrong, [], 'through S3 and REST, warm');
      t.equal(proxy.requests.length, 0, 'the storage was not asked');

      const listed: string[] = [];
      for (let token = ''; ; ) {
        const page = await get(`${s3}/data?list-type=2&encoding-type=url&prefix=many/&max-keys=300${token}`);
        const text = Buffer.from(page.bytes).toString();
        for (const match of text.matchAll(/<Key>([^<]*)<\/Key>/g))
          listed.push(decodeURIComponent(match[1] ?? ''));
        const next = /<NextContinuationToken>([^<]*)</.exec(text)?.[1];
        if (!next) break;
        token = `&continuation-token=${encodeURIComponent(next)}`;
      }
      const expected = files.map((file) => file.key).filter((key) => key.startsWith('many/'));
      t.strictSame(listed, expected.toSorted(), 'listed in pages, in order');
    });
  },
);

t.test('of 32 clients on one cold file of 64 MiB, none makes the storage give a byte twice', async (t) => {
  const direct = openDirect('stampede');
  const bytes = patternOf(7, 64 * MIB);
  await direct.write('big', bytes);
  await direct.close();
  const expected = sha256(bytes);
  await withStandalone(workDirOf(t), 'stampede', [], async ({ s3 }) => {
    proxy.reset();
    const hashes = await Promise.all(
      Array.from({ length: 32 }, async () => {
        const response = await fetch(`${s3}/data/big`);
        const hash = createHash('sha256');
        for await (const chunk of response.body ?? []) hash.update(chunk);
        return hash.digest('hex');
      }),
    );
    t.ok(hashes.every((hash) => hash === expected));
    t.equal(proxy.countOf('GET'), 16);
    t.ok(proxy.receivedBytes < bytes.length + 64 * KIB);
  });
});

t.test('an overwrite is seen within the age, and no answer mixes versions meanwhile', async (t) => {
  const direct = openDirect('overwrite');
  const versions = [1, 2, 3, 4].map((seed) => patternOf(seed, 3 * pageSizeBytes + 5 * seed));
  const hashes = versions.map(sha256);
  const [first] = versions;
  if (!first) throw new Error('no version');
  await direct.write('file', first);
  const ageMs = 300;
  await withStandalone(
    workDirOf(t),
    'overwrite',
    [`alluxio.worker.metadata.default.max.age=${ageMs}ms`],
    async ({ s3 }) => {
      const over = new AbortController();
      const seen = new Set<string>();
      let resetCount = 0;
      const readers = Array.from({ length: 4 }, async () => {
        while (!over.signal.aborted) {
          const read = await get(`${s3}/data/file`).catch(() => undefined);
          if (!read) resetCount++;
          else if (read.status === 200) seen.add(sha256(read.bytes));
          else if (read.status !== 503) seen.add(`status ${read.status}`);
        }
      });
      for (const version of versions) {
        const written = performance.now();
        await direct.write('file', version);
        const wanted = sha256(version);
        let lagMs = 0;
        for (;;) {
          const begun = performance.now();
          const read = await get(`${s3}/data/file`).catch(() => undefined);
          lagMs = begun - written;
          if (read?.status === 200 && sha256(read.bytes) === wanted) break;
          if (lagMs > 20_000) break;
        }
        t.ok(lagMs < 20_000, `seen, by a read begun ${Math.round(lagMs)} ms after the write began`);
      }
      over.abort();
      await Promise.all(readers);
      t.strictSame(
        [...seen].filter((hash) => !hashes.includes(hash)),
        [],
        'whatever came whole was one version',
      );
      t.comment(`${resetCount} answers were reset`);
      await systemClock.sleep(ageMs);
      const last = await get(`${s3}/data/file`);
      t.equal(sha256(last.bytes), hashes.at(-1), 'after the age every read is of the newest');
    },
  );
  await direct.close();
});

t.test(
  'with the storage gone, what is cached is served and the rest fails fast, also after a restart',
  async (t) => {
    const direct = openDirect('gone');
    const bytes = patternOf(9, pageSizeBytes + 100);
    await direct.write('cached', bytes);
    await direct.write('not-cached', bytes);
    await direct.close();
    const workDir = workDirOf(t);
    const definitions = ['alluxio.worker.metadata.default.max.age=1ms'];
    await withStandalone(workDir, 'gone', definitions, async ({ s3 }) => {
      t.equal((await get(`${s3}/data/cached`)).headers.get('x-alluxio-cache'), 'miss');
      await proxy.stop();
      const stale = await get(`${s3}/data/cached`);
      t.equal(stale.headers.get('x-alluxio-cache'), 'hit-stale');
      t.equal(sha256(stale.bytes), sha256(bytes));
      const begun = performance.now();
      const failed = await get(`${s3}/data/not-cached`);
      t.equal(failed.status, 503);
      t.ok(failed.headers.get('retry-after'));
      t.match(Buffer.from(failed.bytes).toString(), /<Code>ServiceUnavailable<\/Code>/);
      t.ok(performance.now() - begun < 30_000, `in ${Math.round(performance.now() - begun)} ms`);
    });
    await withStandalone(workDir, 'gone', definitions, async ({ s3, web }) => {
      const stale = await get(`${s3}/data/cached`);
      t.equal(stale.headers.get('x-alluxio-cache'), 'hit-stale', 'after a restart');
      t.equal(sha256(stale.bytes), sha256(bytes));
      let failed = await get(`${s3}/data/not-cached`);
      while (!Buffer.from(failed.bytes).toString().includes('is left alone')) {
        t.equal(failed.status, 503);
        failed = await get(`${s3}/data/not-cached`);
      }
      t.match(failed.headers.get('retry-after'), /^[1-5]$/, 'it says when to come back');
      t.equal(await metricOf(web, 'alluxio_ufs_circuits_open'), 1);
      t.equal((await get(`${s3}/data/cached`)).headers.get('x-alluxio-cache'), 'hit-stale');
      await proxy.start();
      while (failed.status === 503) failed = await get(`${s3}/data/not-cached`);
      t.equal(failed.status, 200, 'and all is well when the storage is back');
      t.equal(await metricOf(web, 'alluxio_ufs_circuits_open'), 0);
    });
  },
);

t.test('a mount that cannot work is refused with what is wrong', async (t) => {
  await withStandalone(workDirOf(t), 'refused', [], async ({ standalone }) => {
    const { mounts } = standalone.coordinator;
    const add = (ufsUri: string, options: Record<string, string>) =>
      mounts.add({ path: '/wrong', ufsUri, options: { ...server.mountOptions, ...options }, check: true });
    await t.rejects(add('s3://other-bucket/', { 's3a.secretKey': 'wrong' }), {
      code: 'UfsAccessDenied',
      message: /s3a\.secretKey/,
    });
    await t.rejects(add('s3://other-bucket/', { 's3a.accessKeyId': 'nobody' }), { code: 'UfsAccessDenied' });
    await t.rejects(add('s3://no-such-bucket/', {}), {
      code: 'UfsBucketNotFound',
      message: /no-such-bucket/,
    });
    await t.rejects(add('s3://other-bucket/', { 'alluxio.underfs.s3.endpoint': 'http://127.0.0.1:1' }), {
      code: 'UfsUnavailable',
      message: /nobody listens/,
    });
    await t.rejects(add('s3://other-bucket/', { 'alluxio.underfs.s3.regoin': 'x' }), {
      code: 'InvalidOptions',
      message: /alluxio\.underfs\.s3\.region/,
    });
    t.notOk(
      (await mounts.list()).some((mount) => mount.path === '/wrong'),
      'and nothing of it stays',
    );
  });
});
