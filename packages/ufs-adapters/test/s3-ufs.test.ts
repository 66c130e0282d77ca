import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { S3Ufs } from '@alluxio-ts/ufs-adapters/s3/ufs';
import t from 'tap';
import { startS3Server } from '../../../test/support/s3-server.ts';
import { intoMemory } from './support/into-memory.ts';
import { collect, keysOf, testUfs } from './support/ufs-conformance.ts';

const server = await startS3Server();
const { traits } = server;
t.teardown(() => server.stop());
await server.createBucket('conformance');
let prefixCount = 0;

function openUri(uri: string, options: Readonly<Record<string, string>> = {}): S3Ufs {
  const given = { ...server.mountOptions, ...options };
  const read = s3UfsOptions({ uri: parseMountUri(uri), options: given, environment: {}, check: true });
  return new S3Ufs(read, { clock: systemClock });
}

const bucket = {
  open: async () => openUri(`s3://conformance/te st/${prefixCount++}`),
  oddKeys: traits.keepsOddKeys ? 'kept' : 'refused',
  ordersByBytes: traits.ordersByBytes,
  delimiters: [undefined, ...traits.delimiters],
} as const;
testUfs(t, 's3', bucket);
testUfs(t, 's3, into memory', { ...bucket, open: async () => intoMemory(await bucket.open()) });

void t.test('a bucket root is a mount', async (t) => {
  await server.createBucket('whole-bucket');
  const ufs = openUri('s3://whole-bucket/');
  t.teardown(() => ufs.close());
  await ufs.write('a/b', Buffer.from('bytes'));
  t.same(await keysOf(ufs.list({ prefix: '' })), ['a/b']);
  const { file, body } = await ufs.read('a/b', { offset: 1, lengthBytes: 3 });
  t.equal((await collect(body)).toString(), 'yte');
  t.match(file, { key: 'a/b', version: `etag:${file.etag}`, isPartial: false });
});

void t.test('an object of the store is what its MD5 says', async (t) => {
  const ufs = openUri('s3://conformance/checked', { 'alluxio.underfs.s3.checksum.verify': 'md5' });
  t.teardown(() => ufs.close());
  const file = await ufs.write('file', Buffer.from('some bytes'));
  t.match(file.etag, /^"[0-9a-f]{32}"$/, 'it can be compared');
  const whole = { offset: 0, lengthBytes: 10, fileSizeBytes: 10, version: file.version ?? '' };
  t.equal((await collect((await ufs.read('file', whole)).body)).toString(), 'some bytes');
  t.equal((await collect((await intoMemory(ufs).read('file', whole)).body)).toString(), 'some bytes');
});

void t.test('a listing of more than a page comes in whole and in order', async (t) => {
  const ufs = openUri('s3://conformance/many');
  t.teardown(() => ufs.close());
  const keys = Array.from({ length: 1100 }, (_, index) => `k${String(index).padStart(4, '0')}`);
  for (let from = 0; from < keys.length; from += 40) {
    await Promise.all(keys.slice(from, from + 40).map((key) => ufs.write(key, Buffer.from('x'))));
  }
  t.same(await keysOf(ufs.list({ prefix: '' })), keys);
  t.same(await keysOf(ufs.list({ prefix: '', startAfter: 'k0050', limit: 3 })), ['k0051', 'k0052', 'k0053']);
});

void t.test('a store that lists in another order is noticed, and any can be used by option', async (t) => {
  const ordered = openUri('s3://conformance/order');
  const unordered = openUri('s3://conformance/order', { 'alluxio.underfs.s3.list.ordered': 'false' });
  t.teardown(() => Promise.all([ordered.close(), unordered.close()]));
  for (const key of ['n/x', 'n-x']) await ordered.write(key, Buffer.from('x'));
  t.equal(ordered.capability.orderedList, true);
  if (traits.ordersByBytes) {
    t.same(await keysOf(ordered.list({ prefix: '' })), ['n-x', 'n/x']);
  } else {
    await t.rejects(keysOf(ordered.list({ prefix: '' })), {
      code: 'UfsUnsupported',
      message: /alluxio\.underfs\.s3\.list\.ordered=false/,
    });
  }
  t.equal(unordered.capability.orderedList, false);
  t.same((await keysOf(unordered.list({ prefix: '' }))).sort(), ['n-x', 'n/x']);
});

void t.test('names that were not asked for are no answer', async (t) => {
  const ufs = openUri('s3://conformance/slashes');
  t.teardown(() => ufs.close());
  await ufs.write('a/b', Buffer.from('x'));
  const listing = keysOf(ufs.list({ prefix: 'a//' }));
  if (traits.keepsOddKeys) t.same(await listing, []);
  else await t.rejects(listing, { code: 'UfsBadResponse' }, 'the store reads a// as a/');
});

void t.test(
  'wrong credentials, a missing bucket and a missing right are told apart, without a secret',
  async (t) => {
    const cases: readonly [
      string,
      Record<string, string>,
      { readonly code: string; readonly message: RegExp },
    ][] = [
      [
        's3://conformance/',
        { 's3a.secretKey': 'wrong-secret' },
        { code: 'UfsAccessDenied', message: /secret key/ },
      ],
      [
        's3://conformance/',
        { 's3a.accessKeyId': 'wrong-id' },
        { code: 'UfsAccessDenied', message: /access key id/ },
      ],
      [
        's3://conformance/',
        { 's3a.accessKeyId': 'stranger-access-key', 's3a.secretKey': 'stranger-secret-key' },
        { code: 'UfsAccessDenied', message: /no right/ },
      ],
      ['s3://no-such-bucket/', {}, { code: 'UfsBucketNotFound', message: /s3:\/\/no-such-bucket/ }],
    ];
    for (const [uri, options, wanted] of cases) {
      const ufs = openUri(uri, options);
      t.teardown(() => ufs.close());
      const thrown = await keysOf(ufs.list({ prefix: '' })).catch((error: unknown) => error);
      t.match(thrown, wanted);
      t.notMatch(
        String((thrown as Error).stack),
        /wrong-secret|test-secret-key|stranger-secret-key|AWS4-HMAC/,
      );
      await t.rejects(ufs.read('file', { offset: 0, lengthBytes: 1 }), wanted);
    }
  },
);
