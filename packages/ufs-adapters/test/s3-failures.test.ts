/** What no real server can be made to do on request: each case is played by a small one of our own. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { systemClock } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { s3Error } from '@alluxio-ts/ufs-adapters/s3/errors';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { S3Ufs } from '@alluxio-ts/ufs-adapters/s3/ufs';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import t, { type Test } from 'tap';
import { intoMemory } from './support/into-memory.ts';
import { collect, keysOf } from './support/ufs-conformance.ts';

type Play = (request: IncomingMessage, response: ServerResponse) => void;

/** What a call fails with; undefined when it does not. */
async function failureOf(call: Promise<unknown>): Promise<unknown> {
  try {
    await call;
    return undefined;
  } catch (thrown) {
    return thrown;
  }
}

interface Wanted {
  readonly code?: string;
  readonly retry?: string;
  readonly retryAfterMs?: number;
  readonly message?: RegExp;
  readonly context?: object;
}

async function serve(t: Test, answer: Play): Promise<number> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

async function play(t: Test, answer: Play, options: Record<string, string> = {}): Promise<S3Ufs> {
  const ufs = open(`http://127.0.0.1:${await serve(t, answer)}`, options);
  t.teardown(() => ufs.close());
  return ufs;
}

function open(endpoint: string, options: Record<string, string> = {}): S3Ufs {
  const given = {
    's3a.accessKeyId': 'the-id',
    's3a.secretKey': 'the-secret',
    'alluxio.underfs.s3.endpoint': endpoint,
    ...options,
  };
  const uri = parseMountUri('s3://bucket/');
  return new S3Ufs(s3UfsOptions({ uri, options: given, environment: {}, check: true }), {
    clock: systemClock,
  });
}

const version = 'etag:"e1"';
const range = { offset: 0, lengthBytes: 10, version };
const partial = { etag: '"e1"', 'content-range': 'bytes 0-9/100', 'content-length': '10' };

/** Bodies come by undici, or are received into the caller's memory: what goes wrong is told alike. */
function eachWay(name: string, body: (t: Test, by: (ufs: S3Ufs) => Ufs) => Promise<void>): void {
  void t.test(`${name} (in chunks)`, (t) => body(t, (ufs) => ufs));
  void t.test(`${name} (into memory)`, (t) => body(t, intoMemory));
}

async function readAll(ufs: Ufs): Promise<Buffer> {
  const { body } = await ufs.read('key', range);
  return collect(body);
}

eachWay('an error document or a bare status becomes the right error', async (t, by) => {
  const cases: readonly [number, string, Record<string, string>, Wanted][] = [
    [503, 'SlowDown', { 'retry-after': '7' }, { code: 'UfsThrottled', retryAfterMs: 7000 }],
    [503, '', { 'retry-after': '2' }, { code: 'UfsThrottled', retryAfterMs: 2000 }],
    [503, '', {}, { code: 'UfsUnavailable', retry: 'later' }],
    [429, '', {}, { code: 'UfsThrottled' }],
    [500, 'InternalError', {}, { code: 'UfsUnavailable', context: { status: 500, s3Code: 'InternalError' } }],
    [502, '', {}, { code: 'UfsUnavailable' }],
    [504, '', {}, { code: 'UfsTimeout' }],
    [400, 'RequestTimeout', {}, { code: 'UfsTimeout' }],
    [400, 'ExpiredToken', {}, { code: 'UfsAccessDenied', message: /session token expired/, retry: 'never' }],
    [403, 'RequestTimeTooSkewed', {}, { code: 'UfsAccessDenied', message: /clock/ }],
    [403, 'InvalidObjectState', {}, { code: 'UfsUnsupported', message: /restore/ }],
    [403, '', {}, { code: 'UfsAccessDenied', message: /s3a\.secretKey of the mount of s3:\/\/bucket/ }],
    [404, '', {}, { code: 'FileNotFound' }],
    [412, '', {}, { code: 'VersionChanged' }],
    [501, 'NotImplemented', {}, { code: 'UfsUnsupported' }],
    [400, 'EntityTooStrange', {}, { code: 'UfsBadResponse', retry: 'never' }],
    [418, '', {}, { code: 'UfsBadResponse', message: /check that the endpoint/ }],
    [302, '', { location: 'http://elsewhere/' }, { code: 'UfsBadResponse' }],
    [
      301,
      'PermanentRedirect',
      {},
      { code: 'InvalidOptions', message: /does not serve it in region us-east-1/ },
    ],
    [
      301,
      '',
      { 'x-amz-bucket-region': 'eu-west-1' },
      { code: 'InvalidOptions', message: /set alluxio\.underfs\.s3\.region=eu-west-1/ },
    ],
    [
      400,
      'AuthorizationHeaderMalformed</Code><Region>ap-south-1</Region><Code>',
      {},
      { code: 'InvalidOptions', message: /lies in region ap-south-1, the mount says us-east-1/ },
    ],
  ];
  let next = cases[0];
  const ufs = by(
    await play(t, (_, response) => {
      const [status = 500, code = '', headers = {}] = next ?? [];
      response.writeHead(status, headers).end(code === '' ? '' : `<Error><Code>${code}</Code></Error>`);
    }),
  );
  for (const row of cases) {
    next = row;
    t.match(await failureOf(ufs.read('key', range)), row[3], `${row[0]} ${row[1]}`);
    const isMissing = row[0] === 404;
    if (isMissing) await t.rejects(keysOf(ufs.list({ prefix: '' })), { code: 'UfsBucketNotFound' });
    else if (row[0] !== 412)
      t.match(await failureOf(keysOf(ufs.list({ prefix: '' }))), row[3], `list ${row[0]}`);
  }
  next = [400, '', { 'x-amz-bucket-region': 'eu-west-1' }, {}];
  await t.rejects(
    ufs.stat('key'),
    { code: 'InvalidOptions', message: /eu-west-1/ },
    'HEAD tells it by header',
  );
});

eachWay('an answer that is not what was asked is refused before its first byte', async (t, by) => {
  const cases: readonly [string, number, Record<string, string>, string][] = [
    ['another version', 206, { ...partial, etag: '"e2"' }, 'VersionChanged'],
    ['no version', 206, { ...partial, etag: '' }, 'VersionChanged'],
    ['a weak version', 206, { ...partial, etag: 'W/"e1"' }, 'VersionChanged'],
    ['another range', 206, { ...partial, 'content-range': 'bytes 1-10/100' }, 'UfsBadResponse'],
    ['a shorter range', 206, { ...partial, 'content-range': 'bytes 0-8/100' }, 'UfsBadResponse'],
    ['no range', 206, { etag: '"e1"', 'content-length': '10' }, 'UfsBadResponse'],
    ['an unknown size', 206, { ...partial, 'content-range': 'bytes 0-9/*' }, 'UfsBadResponse'],
    ['a whole file that is longer', 200, { etag: '"e1"', 'content-length': '11' }, 'UfsBadResponse'],
    ['a whole file without length', 200, { etag: '"e1"' }, 'UfsBadResponse'],
  ];
  let next = cases[0];
  const ufs = by(
    await play(t, (_, response) => {
      const [, status = 500, headers = {}] = next ?? [];
      response.writeHead(status, headers).end(Buffer.alloc(Number(headers['content-length'] ?? 10)));
    }),
  );
  for (const row of cases) {
    next = row;
    await t.rejects(ufs.read('key', range), { code: row[3] }, row[0]);
  }
  next = ['a whole file that is what was asked', 200, { etag: '"e1"', 'content-length': '10' }, ''];
  t.equal((await readAll(ufs)).length, 10);
  next = [
    'a file that ends in the range',
    206,
    { ...partial, 'content-range': 'bytes 0-3/4', 'content-length': '4' },
    '',
  ];
  t.equal((await readAll(ufs)).length, 4);
});

eachWay('the version goes out as If-Match and the range as Range', async (t, by) => {
  const seen: (string | undefined)[][] = [];
  const ufs = by(
    await play(t, (request, response) => {
      seen.push([request.url, request.headers['if-match'], request.headers.range]);
      response.writeHead(206, partial).end(Buffer.alloc(10));
    }),
  );
  await readAll(ufs);
  const { body } = await ufs.read('a//../b %', { offset: 0, lengthBytes: 10 });
  await collect(body);
  t.same(seen, [
    ['/bucket/key', '"e1"', 'bytes=0-9'],
    ['/bucket/a//../b%20%25', undefined, 'bytes=0-9'],
  ]);
});

eachWay('a body that is too short or too long fails', async (t, by) => {
  let next: Play = (_, response) => response.destroy();
  const ufs = by(await play(t, (request, response) => next(request, response)));
  next = (_, response) => {
    response.writeHead(206, partial).write(Buffer.alloc(4));
    response.socket?.end();
  };
  await t.rejects(readAll(ufs), { code: 'UfsBadResponse', message: /10 bytes, 4 came/ }, 'closed early');
  next = (_, response) => {
    response.writeHead(206, { etag: '"e1"', 'content-range': 'bytes 0-9/100' });
    response.end(Buffer.alloc(4));
  };
  await t.rejects(readAll(ufs), { code: 'UfsBadResponse', message: /4 came/ }, 'chunked and short');
  next = (_, response) => {
    response.writeHead(206, { etag: '"e1"', 'content-range': 'bytes 0-9/100' });
    response.end(Buffer.alloc(40));
  };
  await t.rejects(readAll(ufs), { code: 'UfsBadResponse', message: /40 came/ }, 'chunked and long');
  next = (_, response) => {
    response.writeHead(206, partial).write(Buffer.alloc(4), () => response.socket?.resetAndDestroy());
  };
  await t.rejects(readAll(ufs), { code: /UfsUnavailable|UfsBadResponse/ }, 'reset');
  next = (_, response) => response.socket?.resetAndDestroy();
  await t.rejects(readAll(ufs), { code: 'UfsUnavailable', retry: 'later' }, 'reset before the answer');
});

eachWay('a whole object is compared with what the store says of it', async (t, by) => {
  const bytes = Buffer.from('0123456789');
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes));
  const right = crc.toString('base64');
  const md5 = createHash('md5').update(bytes).digest('hex');
  const wrongMd5 = md5.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  const kms = { 'x-amz-server-side-encryption': 'aws:kms' };
  const ofParts = { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-type': 'COMPOSITE' };
  const cases: readonly [string, string, Record<string, string>, boolean][] = [
    ['auto', 'e1', { 'x-amz-checksum-crc32': right }, true],
    ['auto', 'e1', { 'x-amz-checksum-crc32': 'AAAAAA==' }, false],
    ['md5', 'e1', { 'x-amz-checksum-crc32': 'AAAAAA==' }, false],
    ['none', 'e1', { 'x-amz-checksum-crc32': 'AAAAAA==' }, true],
    ['auto', 'e1', ofParts, true],
    ['auto', 'e1', { 'x-amz-checksum-crc32': 'AAAAAA==-2' }, true],
    ['auto', wrongMd5, {}, true],
    ['md5', md5, {}, true],
    ['md5', wrongMd5, {}, false],
    ['md5', wrongMd5, { 'x-amz-server-side-encryption': 'AES256' }, false],
    ['md5', wrongMd5, kms, true],
    ['md5', `${wrongMd5}-3`, {}, true],
  ];
  for (const [verify, tag, headers, isGood] of cases) {
    let seen: IncomingMessage['headers'] = {};
    const answer: Play = (request, response) => {
      seen = request.headers;
      response
        .writeHead(200, { etag: `"${tag}"`, 'content-length': '10', ...headers })
        .write(bytes.subarray(0, 5));
      setImmediate(() => response.end(bytes.subarray(5)));
    };
    const ufs = by(await play(t, answer, { 'alluxio.underfs.s3.checksum.verify': verify }));
    const read = await ufs.read('key', { ...range, version: `etag:"${tag}"`, fileSizeBytes: 10 });
    const given: Uint8Array[] = [];
    const reading = (async () => {
      for await (const chunk of read.body) given.push(Buffer.from(chunk));
    })();
    const name = `${verify}, ${tag}, ${JSON.stringify(headers)}`;
    if (isGood) await reading;
    else
      await t.rejects(
        reading,
        { code: 'UfsBadResponse', message: /are not those of its (CRC-32|MD5)/ },
        name,
      );
    t.equal(Buffer.concat(given).equals(bytes), isGood, name);
    t.equal(seen['x-amz-checksum-mode'], verify === 'none' ? undefined : 'ENABLED');
    t.equal(seen.range, undefined, 'all of it is asked for');
  }
  const ufs = by(
    await play(t, (_, response) => response.writeHead(206, { ...partial, ...ofParts }).end(bytes)),
  );
  const part = await ufs.read('key', { ...range, fileSizeBytes: 100 });
  t.equal((await collect(part.body)).length, 10, 'a part is not compared');
  const whole = { 'content-range': 'bytes 0-9/10', 'content-length': '10', etag: `"${wrongMd5}"` };
  const answer: Play = (_, response) => response.writeHead(206, whole).end(bytes);
  const unknown = by(await play(t, answer, { 'alluxio.underfs.s3.checksum.verify': 'md5' }));
  const read = await unknown.read('key', { offset: 0, lengthBytes: 4096 });
  await t.rejects(
    collect(read.body),
    { code: 'UfsBadResponse' },
    'a range that turns out to be all of it is',
  );
});

eachWay('silence ends by the timeouts of the mount', async (t, by) => {
  const ufs = by(
    await play(
      t,
      (request, response) => {
        if (request.url !== '/bucket/silent') response.writeHead(206, partial).write(Buffer.alloc(4));
      },
      { 'alluxio.underfs.s3.request.timeout': '50ms', 'alluxio.underfs.s3.socket.timeout': '50ms' },
    ),
  );
  await t.rejects(ufs.read('silent', range), { code: 'UfsTimeout' });
  await t.rejects(readAll(ufs), { code: 'UfsTimeout' });
});

eachWay('an abort ends a call that waits, with its reason', async (t, by) => {
  const arrived = Promise.withResolvers<void>();
  const ufs = by(await play(t, () => arrived.resolve()));
  const control = new AbortController();
  const reason = new Error('given up');
  const reading = ufs.read('key', { ...range, signal: control.signal });
  await arrived.promise;
  control.abort(reason);
  await t.rejects(reading, reason);
});

eachWay('a body that is left, aborted unread or refused closes its connection', async (t, by) => {
  const closed: Promise<unknown>[] = [];
  const ufs = by(
    await play(t, (_, response) => {
      closed.push(once(response, 'close'));
      response.writeHead(206, partial).write(Buffer.alloc(4));
    }),
  );
  const left = await ufs.read('key', range);
  for await (const _ of left.body) break;
  const control = new AbortController();
  await ufs.read('key', { ...range, signal: control.signal });
  control.abort();
  const other = ufs.read('key', { ...range, version: 'etag:"e2"' });
  await t.rejects(other, { code: 'VersionChanged' });
  await Promise.all(closed);
  t.equal(closed.length, 3);
});

void t.test('a store that cannot be reached is named, and no secret is', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  const refused = open(`http://127.0.0.1:${port}`);
  t.teardown(() => refused.close());
  const thrown = await failureOf(refused.stat('key'));
  t.match(thrown, { code: 'UfsUnavailable', retry: 'later', message: /nobody listens there.*127\.0\.0\.1/ });
  t.notMatch(String((thrown as Error).stack), /the-secret|AWS4/);
  const subject = { bucket: 'bucket', key: 'k\n', origin: 'https://store.example', region: 'us-east-1' };
  const cause = Object.assign(new Error('lookup'), { code: 'ENOTFOUND' });
  t.match(s3Error('read', { kind: 'connection', cause }, subject), {
    code: 'UfsUnavailable',
    message: /cannot read s3:\/\/bucket\/k\?: the name of the host is not known.*store\.example/,
  });
  const ufs = open(`https://127.0.0.1:${await serve(t, (_, response) => response.end())}`);
  t.teardown(() => ufs.close());
  await t.rejects(ufs.stat('key'), {
    code: 'UfsUnavailable',
    retry: 'never',
    message: /certificate and its scheme/,
  });
});

void t.test('a listing that runs in a circle or does not answer the question fails', async (t) => {
  let document = '';
  const ufs = await play(t, (_, response) => response.end(document));
  const page = (rest: string): string => `<ListBucketResult>${rest}</ListBucketResult>`;
  const file = (key: string): string => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`;
  const more = '<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>';
  document = page(more);
  await t.rejects(keysOf(ufs.list({ prefix: '' })), { code: 'UfsBadResponse' }, 'the same token again');
  document = page(file('b') + more);
  await t.rejects(keysOf(ufs.list({ prefix: '' })), { code: 'UfsUnsupported' }, 'the same page again');
  document = page(file('b') + file('a'));
  await t.rejects(keysOf(ufs.list({ prefix: '' })), { code: 'UfsUnsupported' }, 'out of order');
  document = page(file('b'));
  await t.rejects(
    keysOf(ufs.list({ prefix: '', startAfter: 'b' })),
    { code: 'UfsUnsupported' },
    'before the start',
  );
  await t.rejects(keysOf(ufs.list({ prefix: 'c' })), { code: 'UfsBadResponse' }, 'another prefix');
  document = page(`${file('b')}<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>`);
  t.same(await keysOf(ufs.list({ prefix: '', delimiter: '/' })), ['[a/]', 'b'], 'merged');
  t.same(await keysOf(ufs.list({ prefix: '', delimiter: '/', startAfter: 'a/' })), ['b']);
});

void t.test('a store that gives no lengths is asked for what there is memory for', async (t) => {
  const sizeBytes = 300_000;
  const ranges: string[] = [];
  const ufs = await play(t, (request, response) => {
    const asked = request.headers.range ?? '';
    ranges.push(asked);
    const [from = 0, to = 0] = (/(\d+)-(\d+)/.exec(asked) ?? []).slice(1).map(Number);
    response.writeHead(206, { etag: '"e1"', 'content-range': `bytes ${from}-${to}/${sizeBytes}` });
    response.write('x'.repeat(10));
    response.end('x'.repeat(to + 1 - from - 10));
  });
  const into = new Uint8Array(100_000);
  const onReceived = (): void => undefined;
  for (const offset of [0, 100_000]) {
    const asked = { offset, lengthBytes: into.length, nextBytes: 100_000, version, into, onReceived };
    t.equal(await (await ufs.receive('key', asked)).over, into.length);
    t.equal(Buffer.from(into).toString(), 'x'.repeat(into.length));
    into.fill(0);
  }
  t.same(ranges, ['bytes=0-199999', 'bytes=0-199999', 'bytes=0-99999', 'bytes=100000-199999']);
});
