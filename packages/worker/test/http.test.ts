import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import t from 'tap';
import { parseByteRange } from '../src/http/byte-range.ts';
import { evaluateConditions, isRangeWanted } from '../src/http/conditions.ts';
import { parseRestTarget } from '../src/rest/rest-target.ts';
import { operationOf } from '../src/s3/s3-surface.ts';
import { parseS3Target } from '../src/s3/s3-target.ts';
import { xmlDocument } from '../src/s3/s3-xml.ts';

t.test('a range is cut to the file, and one that begins behind its end cannot be met', async (t) => {
  const cases = [
    ['bytes=0-9', 100, { kind: 'part', from: 0, to: 10 }],
    ['bytes=90-200', 100, { kind: 'part', from: 90, to: 100 }],
    ['bytes=5-', 100, { kind: 'part', from: 5, to: 100 }],
    ['bytes=-5', 100, { kind: 'part', from: 95, to: 100 }],
    ['bytes=-500', 100, { kind: 'part', from: 0, to: 100 }],
    ['Bytes= 1 - 2', 100, { kind: 'part', from: 1, to: 3 }],
    ['bytes=100-', 100, { kind: 'unsatisfiable' }],
    ['bytes=-0', 100, { kind: 'unsatisfiable' }],
    ['bytes=0-', 0, { kind: 'unsatisfiable' }],
    ['bytes=-1', 0, { kind: 'unsatisfiable' }],
    ['bytes=9-5', 100, { kind: 'whole' }],
    ['bytes=0-1,4-5', 100, { kind: 'whole' }],
    ['bytes=-', 100, { kind: 'whole' }],
    ['lines=0-1', 100, { kind: 'whole' }],
    [undefined, 100, { kind: 'whole' }],
  ] as const;
  for (const [header, sizeBytes, expected] of cases) {
    t.strictSame(parseByteRange(header, sizeBytes), expected, `${header} of ${sizeBytes}`);
  }
});

const modifiedMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const file: FileStatus = {
  key: 'k',
  sizeBytes: 1,
  modifiedMs,
  version: 'v',
  etag: '"abc"',
  headers: {},
  isPartial: false,
};
const sameSecond = new Date(modifiedMs).toUTCString();
const before = new Date(modifiedMs - 2000).toUTCString();

t.test('conditions are weighed in the order of RFC 9110', async (t) => {
  const cases = [
    [{}, 'proceed'],
    [{ 'if-match': '"abc"' }, 'proceed'],
    [{ 'if-match': 'abc' }, 'proceed'],
    [{ 'if-match': '*' }, 'proceed'],
    [{ 'if-match': '"x", "abc"' }, 'proceed'],
    [{ 'if-match': '"x"' }, 'precondition-failed'],
    [{ 'if-match': 'W/"abc"' }, 'precondition-failed'],
    [{ 'if-none-match': '"abc"' }, 'not-modified'],
    [{ 'if-none-match': 'W/"abc"' }, 'not-modified'],
    [{ 'if-none-match': '*' }, 'not-modified'],
    [{ 'if-none-match': '"x"' }, 'proceed'],
    [{ 'if-modified-since': sameSecond }, 'not-modified'],
    [{ 'if-modified-since': before }, 'proceed'],
    [{ 'if-modified-since': 'yesterday' }, 'proceed'],
    [{ 'if-unmodified-since': sameSecond }, 'proceed'],
    [{ 'if-unmodified-since': before }, 'precondition-failed'],
    // A tag beside a date decides alone.
    [{ 'if-match': '"abc"', 'if-unmodified-since': before }, 'proceed'],
    [{ 'if-none-match': '"x"', 'if-modified-since': sameSecond }, 'proceed'],
  ] as const;
  for (const [headers, expected] of cases) {
    t.equal(evaluateConditions(new Map(Object.entries(headers)), file), expected, JSON.stringify(headers));
  }
});

t.test('If-Range asks for the part of this version only', async (t) => {
  t.ok(isRangeWanted(new Map(), file));
  t.ok(isRangeWanted(new Map([['if-range', '"abc"']]), file));
  t.ok(isRangeWanted(new Map([['if-range', sameSecond]]), file));
  t.notOk(isRangeWanted(new Map([['if-range', '"x"']]), file));
  t.notOk(isRangeWanted(new Map([['if-range', before]]), file));
});

t.test('an S3 key is decoded once and kept as it is', async (t) => {
  t.equal(parseS3Target('/b/a//b/./c%2Fd%20e+f').key, 'a//b/./c/d e+f');
  t.equal(parseS3Target('/b/%252F').key, '%2F');
  t.equal(parseS3Target('/b//lead').key, '/lead');
  t.equal(parseS3Target('http://host:1/b/k?x=1').key, 'k');
  t.strictSame(
    [...parseS3Target('/b?list-type=2&prefix=a+b%2B&delimiter').query],
    [
      ['list-type', '2'],
      ['prefix', 'a b+'],
      ['delimiter', ''],
    ],
  );
  t.throws(() => parseS3Target('/b/%ff'), { code: 'InvalidArgument' });
});

t.test('an operation is known by method, path and query', async (t) => {
  const cases = [
    ['GET', '/', 'ListBuckets'],
    ['HEAD', '/b', 'HeadBucket'],
    ['HEAD', '/b/', 'HeadBucket'],
    ['GET', '/b', 'ListObjects'],
    ['GET', '/b/?list-type=2', 'ListObjectsV2'],
    ['GET', '/b?location', 'GetBucketLocation'],
    ['GET', '/b/k', 'GetObject'],
    ['HEAD', '/b/k/', 'HeadObject'],
    ['GET', '/b/k?acl', 'Unsupported'],
    ['PUT', '/b/k', 'Unsupported'],
  ] as const;
  for (const [method, target, expected] of cases) {
    t.equal(operationOf(method, parseS3Target(target)), expected, `${method} ${target}`);
  }
});

t.test('XML text keeps its characters, and those that XML has no form for are replaced', async (t) => {
  t.equal(
    xmlDocument(['A', [['B', 'a<b>&"c\r\n\t\u0001é😀']]]),
    '<?xml version="1.0" encoding="UTF-8"?>\n<A><B>a&lt;b&gt;&amp;&quot;c&#13;&#10;&#9;\u{FFFD}é😀</B></A>',
  );
});

t.test('a REST value is understood raw and encoded', async (t) => {
  const value = (target: string): string | undefined => parseRestTarget(target)?.query.get('path');
  t.equal(value('/v1/info?path=s3://b/a+b=c'), 's3://b/a+b=c');
  t.equal(value('/v1/info?path=s3%3A%2F%2Fb%2Fa+b%2Bc'), 's3://b/a b+c');
  t.equal(value('/v1/info?path=s3://b/a%20b%25'), 's3://b/a b%');
  t.equal(value('/v1/info?path=s3://b/100%'), 's3://b/100%');
  t.equal(parseRestTarget('/v2/info'), undefined);
  t.strictSame(parseRestTarget('/v1/file/abc/page/0')?.segments, ['file', 'abc', 'page', '0']);
});
