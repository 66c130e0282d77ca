/** Every read call of the REST API and the finer points of the S3 API, over HTTP, on a directory. */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileIdOf } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { until } from '../support/cluster.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, {
  data: { 'a.txt': 'hello', dir: { 'b.csv': '1,2\n', sub: { 'c d.txt': 'c' } }, empty: '' },
});
const dataDir = join(root, 'data');
const large = Buffer.from(
  Uint8Array.from({ length: 9 * MIB + 7 }, (_, index) => (index * 31 + (index >> 9)) & 255),
);
await writeFile(join(dataDir, 'large.bin'), large);
await mkdir(join(dataDir, 'hollow'));
const running = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [{ path: '/data', ufsUri: `file://${dataDir}`, options: {} }],
  definitions: ['alluxio.worker.metadata.default.max.age=1h'],
});
t.teardown(() => running.stop());

const ufsPath = (key: string): string => `file://${dataDir}/${key}`;

async function call(path: string, init: RequestInit = {}) {
  const response = await fetch(`${running.rest}${path}`, init);
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}

async function s3(path: string, headers: Record<string, string> = {}, method = 'GET') {
  const response = await fetch(`${running.s3}${path}`, { method, headers });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}

function jsonOf(text: string): Record<string, unknown>[] {
  return JSON.parse(text) as Record<string, unknown>[];
}

t.test('health, node and ufsInfo', async (t) => {
  t.equal((await call('/v1/health')).text, 'worker is active');
  const node = JSON.parse((await call('/v1/node?path=s3://not-mounted/x')).text) as Record<string, unknown>;
  t.equal(node['Host'], '127.0.0.1');
  t.equal(`http://127.0.0.1:${String(node['HttpServerPort'])}`, running.rest);
  t.equal(`http://127.0.0.1:${String(node['S3Port'])}`, running.s3);
  const info = JSON.parse((await call('/v1/ufsInfo')).text) as Record<string, unknown>;
  t.strictSame(info[`file://${dataDir}`], { alluxio_path: '/data' });
});

t.test('files and info, by UFS path raw and encoded, and by Alluxio path', async (t) => {
  const names = ['/data/a.txt', '/data/dir', '/data/empty', '/data/hollow', '/data/large.bin'];
  for (const path of [ufsPath(''), encodeURIComponent(dataDir), `file://${dataDir}`, '/data', '/data/']) {
    const listed = jsonOf((await call(`/v1/files?path=${path}`)).text);
    t.strictSame(new Set(listed.map((each) => each['mPath'])), new Set(names), path);
  }
  const [file] = jsonOf((await call(`/v1/info?path=${encodeURIComponent(ufsPath('dir/sub/c d.txt'))}`)).text);
  t.match(file, {
    mType: 'file',
    mName: 'c d.txt',
    mPath: '/data/dir/sub/c d.txt',
    mLength: 1,
    mHumanReadableFileSize: '1B',
  });
  const fields =
    'mType mName mPath mUfsPath mLastModificationTimeMs mLength mHumanReadableFileSize mCompleted mOwner mGroup mMode mCreationTimeMs mLastAccessTimeMs mPersisted mInAlluxioPercentage mInAlluxioBytes mContentHash';
  t.strictSame(
    Object.keys(file ?? {}).toSorted(),
    fields.split(' ').toSorted(),
    'the fields of both clients',
  );
  const [directory] = jsonOf((await call('/v1/info?path=/data/dir/')).text);
  t.match(directory, { mType: 'directory', mName: 'dir', mLength: 0 });
  t.equal(jsonOf((await call('/v1/files?path=/data/a.txt')).text).length, 1, 'a file lists itself');
  t.equal((await call('/v1/info?path=/data/nope')).status, 404);
  t.equal((await call('/v1/files?path=s3://other/x')).status, 404);
  t.match(JSON.parse((await call('/v1/info')).text), {
    code: 'InvalidArgument',
    message: /"path" is missing/,
  });
});

t.test('bytes by chunk, range, page, head and tail', async (t) => {
  const id = fileIdOf(ufsPath('large.bin'));
  const full = `ufsFullPath=${ufsPath('large.bin')}`;
  t.equal(
    (await call(`/v1/file/${fileIdOf('unknown')}/page/0`)).status,
    404,
    'an unknown id needs ufsFullPath',
  );
  t.ok((await call(`/v1/chunk/${id}?${full}&chunkSize=1048576`)).bytes.equals(large));
  const askRange = () => call(`/v1/range/${id}?${full}&offset=4194300&length=100`);
  // What has come is kept a moment later.
  await until(async () => (await askRange()).headers.get('x-alluxio-cache') !== 'miss-joined');
  const range = await askRange();
  t.ok(range.bytes.equals(large.subarray(4_194_300, 4_194_400)));
  t.equal(range.headers.get('x-alluxio-cache'), 'hit');
  t.equal(
    (await call(`/v1/range/${id}?${full}&offset=${large.length}&length=10`)).bytes.length,
    0,
    'behind the end is nothing',
  );
  t.ok(
    (await call(`/v1/file/${id}/page/1`)).bytes.equals(large.subarray(4 * MIB, 8 * MIB)),
    'by its id alone, now known',
  );
  t.ok(
    (await call(`/v1/file/${id}/page/2?offset=10&length=20`)).bytes.equals(
      large.subarray(8 * MIB + 10, 8 * MIB + 30),
    ),
  );
  t.equal((await call(`/v1/file/${id}/page/2`)).bytes.length, MIB + 7, 'the last page is shorter');
  t.equal((await call(`/v1/file/${id}/page/3`)).status, 404);
  t.ok((await call(`/v1/head/${id}?${full}&numOfBytes=7`)).bytes.equals(large.subarray(0, 7)));
  t.ok(
    (await call(`/v1/tail/${id}?${full}`)).bytes.equals(large.subarray(-1024)),
    '1024 unless told otherwise',
  );
  t.equal((await call(`/v1/range/${id}?${full}&offset=-1`)).status, 400);
  t.equal((await call(`/v1/nonsense/${id}`)).status, 501);
  t.equal((await call(`/v1/chunk/${id}?${full}`, { method: 'POST', body: 'x' })).status, 405);
  t.match(JSON.parse((await call('/v1/nope')).text), {
    code: 'NotImplemented',
    message: /docs\/http-api\.md/,
    requestId: /^\w+$/,
  });
});

t.test('S3 conditions, ranges and their headers', async (t) => {
  const head = await s3('/data/large.bin', {}, 'HEAD');
  const etag = head.headers.get('etag') ?? '';
  t.match(etag, /^"[0-9a-f]+-[0-9a-f]+"$/, 'no client takes it for an MD5');
  t.equal(head.headers.get('content-length'), String(large.length));
  t.equal(head.headers.get('accept-ranges'), 'bytes');
  t.equal((await s3('/data/large.bin', { 'if-none-match': etag })).status, 304);
  t.equal((await s3('/data/large.bin', { 'if-match': '"x"' })).status, 412);
  t.match((await s3('/data/large.bin', { 'if-match': '"x"' })).text, /<Code>PreconditionFailed<\/Code>/);
  const part = await s3('/data/large.bin', { range: 'bytes=-5', 'if-range': etag });
  t.equal(part.status, 206);
  t.equal(part.headers.get('content-range'), `bytes ${large.length - 5}-${large.length - 1}/${large.length}`);
  t.equal((await s3('/data/large.bin', { range: 'bytes=0-1', 'if-range': '"old"' })).status, 200);
  const behind = await s3('/data/a.txt', { range: 'bytes=5-' });
  t.equal(behind.status, 416);
  t.equal(behind.headers.get('content-range'), 'bytes */5');
  const first = await s3('/data/a.txt?partNumber=1');
  t.strictSame([first.status, first.text, first.headers.get('content-range')], [206, 'hello', 'bytes 0-4/5']);
  t.equal((await s3('/data/a.txt?partNumber=2')).status, 416);
  const described = await s3(
    '/data/a.txt?response-content-type=text/plain&response-content-disposition=attachment',
  );
  t.equal(described.headers.get('content-type'), 'text/plain');
  t.equal(described.headers.get('content-disposition'), 'attachment');
  t.equal((await s3('/data/a.txt?response-content-type=a%0d%0ax-evil:1')).status, 400);
  const empty = await s3('/data/empty');
  t.strictSame([empty.status, empty.bytes.length], [200, 0]);
});

t.test('S3 listings to the letter', async (t) => {
  const tagsOf = (text: string, tag: string): string[] =>
    [...text.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map((match) => match[1] ?? '');
  const all = await s3('/data?list-type=2');
  t.strictSame(tagsOf(all.text, 'Key'), ['a.txt', 'dir/b.csv', 'dir/sub/c d.txt', 'empty', 'large.bin']);
  t.strictSame(tagsOf(all.text, 'KeyCount'), ['5']);
  const cut = await s3('/data?list-type=2&delimiter=/');
  t.strictSame(tagsOf(cut.text, 'Key'), ['a.txt', 'empty', 'large.bin']);
  t.strictSame(tagsOf(cut.text, 'Prefix').slice(1), ['dir/', 'hollow/']);
  const encoded = await s3('/data?list-type=2&prefix=dir/sub/&encoding-type=url');
  t.strictSame(tagsOf(encoded.text, 'Key'), ['dir/sub/c%20d.txt']);
  const keys: string[] = [];
  let token = '';
  for (let page = 0; page < 10; page++) {
    const { text } = await s3(`/data?list-type=2&max-keys=1&delimiter=/${token}`);
    keys.push(...tagsOf(text, 'Key'), ...tagsOf(text, 'Prefix').slice(1));
    t.strictSame(tagsOf(text, 'KeyCount'), ['1']);
    const [next] = tagsOf(text, 'NextContinuationToken');
    t.equal(tagsOf(text, 'IsTruncated')[0], String(next !== undefined));
    if (next === undefined) break;
    token = `&continuation-token=${encodeURIComponent(next)}`;
  }
  t.strictSame(keys, ['a.txt', 'dir/', 'empty', 'hollow/', 'large.bin'], 'page by page, each once');
  const old = await s3('/data?max-keys=2&delimiter=/');
  t.strictSame(tagsOf(old.text, 'NextMarker'), ['dir/']);
  t.strictSame(tagsOf((await s3('/data?marker=dir/&delimiter=/')).text, 'Key'), ['empty', 'large.bin']);
  t.strictSame(
    tagsOf((await s3('/data?list-type=2&start-after=dir/b.csv')).text, 'Key')[0],
    'dir/sub/c d.txt',
  );
  t.strictSame(tagsOf((await s3('/data?list-type=2&max-keys=0')).text, 'IsTruncated'), ['false']);
  for (const wrong of ['max-keys=x', 'max-keys=-1', 'encoding-type=base64', 'continuation-token=nonsense']) {
    const refused = await s3(`/data?list-type=2&${wrong}`);
    t.equal(refused.status, 400, wrong);
    t.match(refused.text, /<Code>InvalidArgument<\/Code>/);
  }
});

t.test('S3 errors as documents, with their request', async (t) => {
  const missing = await s3('/data/nope?x=1');
  t.equal(missing.status, 404);
  t.match(
    missing.text,
    /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<Error><Code>NoSuchKey<\/Code><Message>[^<]+<\/Message><Resource>\/data\/nope<\/Resource><RequestId>\w+<\/RequestId><\/Error>$/,
  );
  t.ok(missing.text.includes(missing.headers.get('x-amz-request-id') ?? 'none'));
  t.match((await s3('/nope/x')).text, /<Code>NoSuchBucket<\/Code>/);
  t.equal((await s3('/nope', {}, 'HEAD')).status, 404);
  t.equal((await s3('/data', {}, 'HEAD')).status, 200);
  t.match((await s3('/data/a.txt?acl')).text, /<Code>NotImplemented<\/Code>/);
  t.match((await s3('/data/a.txt', {}, 'DELETE')).text, /<Code>MethodNotAllowed<\/Code>/);
  t.match((await s3('/data?location')).text, /<LocationConstraint/);
  t.match((await s3('/')).text, /<Bucket><Name>data<\/Name><CreationDate>[^<]+Z<\/CreationDate><\/Bucket>/);
  for (const escape of [
    '/data/../../etc/passwd',
    '/data/%2e%2e/%2e%2e/etc/passwd',
    '/data/..%2f..%2fetc%2fpasswd',
    '/data/a.txt%00',
  ]) {
    const response = await s3(escape);
    t.ok([400, 404].includes(response.status), `${escape}: ${response.status}`);
  }
});

t.test('a file that is replaced in its directory is another version', async (t) => {
  const path = join(dataDir, 'changing');
  await writeFile(path, 'old');
  t.equal((await s3('/data/changing')).text, 'old');
  await writeFile(`${path}.new`, 'new!');
  await rename(`${path}.new`, path);
  t.equal((await s3('/data/changing')).text, 'old', 'trusted for its age, served whole from the cache');
  const control = running.standalone.worker.cacheControl;
  t.strictSame(await control.free('/data/changing'), { fileCount: 1, pageCount: 1, freedBytes: 3 });
  t.equal((await s3('/data/changing')).text, 'new!');
});
