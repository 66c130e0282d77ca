import { createHash, createHmac } from 'node:crypto';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { s3MountOptions, s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { pathOf, type S3Request, S3Signer } from '@alluxio-ts/ufs-adapters/s3/requests';
import { parseListPage, statusOf } from '@alluxio-ts/ufs-adapters/s3/responses';
import { childText, parseXml } from '@alluxio-ts/ufs-adapters/s3/xml';
import t from 'tap';

const keys = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

function signerFor(origin: string, pathPrefix: string): S3Signer {
  return new S3Signer({
    target: { origin, pathPrefix, region: 'us-east-1' },
    credentials: async () => keys,
    now: () => Date.UTC(2013, 4, 24),
  });
}

void t.test('the example of the S3 documentation has its published signature', async (t) => {
  const signed = await signerFor('https://examplebucket.s3.amazonaws.com', '').sign({
    method: 'GET',
    key: 'test.txt',
    headers: { range: 'bytes=0-9', 'x-amz-content-sha256': createHash('sha256').digest('hex') },
  });
  t.equal(signed.path, '/test.txt');
  t.match(
    signed.headers['authorization'],
    'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
});

void t.test('requests with a query have the signatures that the S3 documentation publishes', async (t) => {
  const payload = { 'x-amz-content-sha256': createHash('sha256').digest('hex') };
  const published: readonly [Readonly<Record<string, string>>, string][] = [
    [{ lifecycle: '' }, 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    [{ 'max-keys': '2', prefix: 'J' }, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
    [{ prefix: 'J', 'max-keys': '2' }, '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ];
  for (const [query, signature] of published) {
    const signer = signerFor('https://examplebucket.s3.amazonaws.com', '');
    const signed = await signer.sign({ method: 'GET', key: undefined, query, headers: payload });
    t.equal(signatureIn(signed.headers), signature, JSON.stringify(query));
  }
});

void t.test(
  'names of a query are sorted without what stands behind them, values without white space too much',
  async (t) => {
    const request: S3Request = {
      method: 'GET',
      key: 'a',
      query: { part: '1', 'part-number': '2', Part: '3' },
      headers: { 'if-match': '  "a   b" ' },
    };
    const signed = await signerFor('http://127.0.0.1:9000', '/b').sign(request);
    const headers = { ...signed.headers, 'if-match': '"a b"' };
    const byHand = signatureByHand('/b/a', 'Part=3&part=1&part-number=2', headers);
    t.equal(signatureIn(signed.headers), byHand);
  },
);

void t.test('keys of a session say so; other keys and the next day are other signatures', async (t) => {
  let nowMs = Date.UTC(2013, 4, 24, 23, 59);
  let given: typeof keys & { readonly sessionToken?: string } = keys;
  const signer = new S3Signer({
    target: { origin: 'http://127.0.0.1:9000', pathPrefix: '/b', region: 'us-east-1' },
    credentials: async () => given,
    now: () => nowMs,
  });
  const sign = async () => (await signer.sign({ method: 'GET', key: 'a' })).headers;
  const first = await sign();
  t.notOk('x-amz-security-token' in first);
  t.equal(signatureIn(first), signatureByHand('/b/a', '', first));
  given = { ...keys, sessionToken: 'token/of+a=session' };
  const ofSession = await sign();
  t.equal(ofSession['x-amz-security-token'], 'token/of+a=session');
  t.match(ofSession['authorization'], 'x-amz-date;x-amz-security-token');
  t.equal(signatureIn(ofSession), signatureByHand('/b/a', '', ofSession));
  given = keys;
  nowMs += 60_000;
  const nextDay = await sign();
  t.match(nextDay['authorization'], '/20130525/us-east-1/s3/aws4_request');
  t.equal(signatureIn(nextDay), signatureByHand('/b/a', '', nextDay));
  given = { ...keys, secretAccessKey: 'another' };
  t.not(signatureIn(await sign()), signatureIn(nextDay), 'the key that is kept is of the secret');
});

void t.test('a raw key goes out as it is, each byte encoded once, and is signed so', async (t) => {
  const wanted: readonly [string, string][] = [
    ['a//b', '/b/a//b'],
    ['./x', '/b/./x'],
    ['x/../y', '/b/x/../y'],
    ['..', '/b/..'],
    ['/lead', '/b//lead'],
    ['trail/', '/b/trail/'],
    ['%2F', '/b/%252F'],
    ['sp ace+plus', '/b/sp%20ace%2Bplus'],
    ["!*'()~-_.", '/b/%21%2A%27%28%29~-_.'],
    ['é\u{1f600}', '/b/%C3%A9%F0%9F%98%80'],
    ['q?x=1&y#z\\', '/b/q%3Fx%3D1%26y%23z%5C'],
  ];
  for (const [key, path] of wanted) {
    t.equal(pathOf('/b', key), path);
    const request: S3Request = { method: 'GET', key, query: { prefix: key, 'list-type': '2' } };
    const signed = await signerFor('http://127.0.0.1:9000', '/b').sign(request);
    const [sentPath, sentQuery] = signed.path.split('?');
    t.equal(sentPath, path);
    t.equal(new URLSearchParams(sentQuery).get('prefix'), key);
    t.equal(signatureIn(signed.headers), signatureByHand(path, sentQuery ?? '', signed.headers), key);
  }
});

void t.test(
  'a store that refuses at another time is asked by its own clock, and again when clocks change',
  async (t) => {
    let nowMs = Date.UTC(2013, 4, 24);
    const signer = new S3Signer({
      target: { origin: 'http://127.0.0.1:9000', pathPrefix: '/b', region: 'us-east-1' },
      credentials: async () => keys,
      now: () => nowMs,
    });
    const sign = () => signer.sign({ method: 'HEAD', key: 'a' });
    const [one, other] = [await sign(), await sign()];
    t.notOk(signer.takeClockOf('Fri, 24 May 2013 00:04:59 GMT', one), 'the time is not the reason');
    t.notOk(signer.takeClockOf(undefined, one));
    t.notOk(signer.takeClockOf('yesterday', one));
    t.ok(signer.takeClockOf('Fri, 24 May 2013 01:00:00 GMT', one));
    t.ok(signer.takeClockOf('Fri, 24 May 2013 01:00:00 GMT', other), 'one that was under way meanwhile too');
    const again = await sign();
    t.equal(again.headers['x-amz-date'], '20130524T010000Z');
    t.notOk(signer.takeClockOf('Fri, 24 May 2013 01:00:00 GMT', again), 'asked once more, not for ever');
    nowMs += 3_600_000;
    t.ok(signer.takeClockOf('Fri, 24 May 2013 01:00:00 GMT', await sign()), 'the clock was set right');
    t.equal((await sign()).headers['x-amz-date'], '20130524T010000Z');
  },
);

/** Signature version 4 once more, straight from its description. */
function signatureByHand(path: string, query: string, headers: Record<string, string>): string {
  const names = /SignedHeaders=([^,]+)/.exec(headers['authorization'] ?? '')?.[1] ?? '';
  const lines = names.split(';').map((name) => `${name}:${headers[name]}`);
  const nameOf = (parameter: string): string => parameter.split('=')[0] ?? '';
  const sorted = query
    .split('&')
    .sort((one, other) => (nameOf(one) < nameOf(other) ? -1 : 1))
    .join('&');
  const time = headers['x-amz-date'] ?? '';
  const payload = headers['x-amz-content-sha256'];
  const canonical = ['GET', path, sorted, ...lines, '', names, payload].join('\n');
  const scope = `${time.slice(0, 8)}/us-east-1/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', time, scope, digest].join('\n');
  const key = scope
    .split('/')
    .reduce<string | Buffer>(
      (secret, part) => createHmac('sha256', secret).update(part).digest(),
      `AWS4${keys.secretAccessKey}`,
    );
  return createHmac('sha256', key).update(text).digest('hex');
}

function signatureIn(headers: Record<string, string>): string | undefined {
  return /Signature=([0-9a-f]{64})/.exec(headers['authorization'] ?? '')?.[1];
}

void t.test('without keys nothing is signed', async (t) => {
  const signer = new S3Signer({
    target: { origin: 'https://b.s3.amazonaws.com', pathPrefix: '', region: 'us-east-1' },
    credentials: async () => undefined,
    now: () => 0,
  });
  const signed = await signer.sign({ method: 'GET', key: 'a' });
  t.equal(signed.path, '/a');
  t.same(signed.headers, { host: 'b.s3.amazonaws.com' });
});

function read(uri: string, options: Record<string, string>, environment: Record<string, string> = {}) {
  return s3UfsOptions({ uri: parseMountUri(uri), options, environment, check: true });
}

void t.test('the address of a bucket follows from region and endpoint', async (t) => {
  const endpoint = 'alluxio.underfs.s3.endpoint';
  const pathStyle = 'alluxio.underfs.s3.disable.dns.buckets';
  const cases: readonly [Record<string, string>, string, string, string][] = [
    [{}, 'https://buc.s3.us-east-1.amazonaws.com', '', 'us-east-1'],
    [
      { 'alluxio.underfs.s3.region': 'cn-north-1' },
      'https://buc.s3.cn-north-1.amazonaws.com.cn',
      '',
      'cn-north-1',
    ],
    [{ [pathStyle]: 'true' }, 'https://s3.us-east-1.amazonaws.com', '/buc', 'us-east-1'],
    [{ [endpoint]: 'http://10.0.0.1:9000' }, 'http://10.0.0.1:9000', '/buc', 'us-east-1'],
    [{ [endpoint]: 'http://[::1]:9000/' }, 'http://[::1]:9000', '/buc', 'us-east-1'],
    [{ [endpoint]: 'localhost:9000' }, 'https://localhost:9000', '/buc', 'us-east-1'],
    [{ [endpoint]: 'https://store.example/base/' }, 'https://buc.store.example', '/base', 'us-east-1'],
    [{ [endpoint]: 'store.example', [pathStyle]: 'true' }, 'https://store.example', '/buc', 'us-east-1'],
    [
      {
        [endpoint]: 'store.example',
        'alluxio.underfs.s3.endpoint.region': 'eu-1',
        'alluxio.underfs.s3.region': 'x',
      },
      'https://buc.store.example',
      '',
      'eu-1',
    ],
  ];
  for (const [options, origin, pathPrefix, region] of cases) {
    t.match(read('s3://buc/dir', options), { origin, pathPrefix, region, bucket: 'buc', keyPrefix: 'dir/' });
  }
  t.match(read('s3://dot.ted/', {}), { pathPrefix: '/dot.ted', keyPrefix: '' });
  t.match(read('s3://buc/', {}, { AWS_REGION: 'eu-west-1' }), { region: 'eu-west-1' });
});

void t.test('options are read under every name, and wrong ones are named without their value', async (t) => {
  const secret = 'very-secret-value';
  for (const [id, key] of [
    ['s3a.accessKeyId', 's3a.secretKey'],
    ['s3.accessKeyId', 's3.secretKey'],
    ['aws.accessKeyId', 'aws.secretKey'],
  ] as const) {
    t.match(read('s3://buc/', { [id]: 'id', [key]: secret }), {
      credentials: { kind: 'keys', accessKeyId: 'id', secretAccessKey: secret },
    });
  }
  t.match(read('s3://buc/', {}), {
    credentials: { kind: 'default' },
    connectionsMax: 40,
    retryCountMax: 3,
    requestTimeoutMs: 60_000,
    socketTimeoutMs: 50_000,
    isListOrdered: true,
  });
  t.match(
    read('s3://buc/', {
      'alluxio.underfs.s3.anonymous': 'true',
      'alluxio.underfs.s3.threads.max': '7',
      'alluxio.underfs.s3.max.error.retry': '0',
      'alluxio.underfs.s3.request.timeout': '2sec',
      'alluxio.underfs.s3.inherit.acl': 'false',
    }),
    { credentials: { kind: 'anonymous' }, connectionsMax: 7, retryCountMax: 0, requestTimeoutMs: 2000 },
  );
  const wrong: readonly [Record<string, string>, RegExp][] = [
    [
      { 's3a.secretkey': secret },
      /no option "s3a\.secretkey"; did you mean "s3a\.secretKey"\?.*known options: s3a\.acc/,
    ],
    [{ 's3a.secretKey': secret }, /s3a\.secretKey is given without s3a\.accessKeyId/],
    [{ 's3a.sessionToken': secret }, /s3a\.sessionToken is given without/],
    [
      { 's3a.accessKeyId': secret, 's3a.secretKey': secret, 'alluxio.underfs.s3.anonymous': 'true' },
      /excludes/,
    ],
    [
      { 'alluxio.underfs.s3.disable.dns.buckets': 'yes' },
      /disable\.dns\.buckets is "yes"; write true or false/,
    ],
    [{ 'alluxio.underfs.s3.threads.max': '0' }, /threads\.max is "0"; write a whole number from 1/],
    [{ 'alluxio.underfs.s3.request.timeout': '0s' }, /request\.timeout is "0s"/],
    [{ 'alluxio.underfs.s3.endpoint': 'ftp://x' }, /alluxio\.underfs\.s3\.endpoint/],
  ];
  for (const [options, message] of wrong) {
    const thrown = ((): Error | undefined => {
      try {
        read('s3://buc/', options);
        return undefined;
      } catch (error) {
        return error as Error;
      }
    })();
    t.match(thrown, { code: 'InvalidOptions', message });
    t.notMatch(thrown?.message, secret);
  }
  t.ok(s3MountOptions.length > 10);
});

void t.test('a status keeps what a writer attached, up to 2 KiB', async (t) => {
  const file = statusOf('k', 5, {
    etag: '"abc"',
    'last-modified': 'Wed, 12 Oct 2009 17:50:00 GMT',
    'content-type': 'text/plain',
    'content-encoding': 'gzip',
    'cache-control': 'no-cache',
    'x-amz-meta-owner': 'me',
    'x-amz-meta-large': 'x'.repeat(2048),
  });
  t.same(file, {
    key: 'k',
    sizeBytes: 5,
    modifiedMs: Date.UTC(2009, 9, 12, 17, 50),
    version: 'etag:"abc"',
    etag: '"abc"',
    headers: {
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      cacheControl: 'no-cache',
      metadata: { owner: 'me' },
    },
    isPartial: false,
  });
  t.equal(statusOf('k', 5, { etag: 'W/"weak"' }).version, undefined);
  t.match(statusOf('k', 5, {}), { version: undefined, etag: undefined, modifiedMs: 0, headers: {} });
});

void t.test('a listing is read as S3 writes it', async (t) => {
  const page = parseListPage(`<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><EncodingType>url</EncodingType>
<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;b</NextContinuationToken>
<Contents><Key>a+b%2Bc%2F%25</Key><LastModified>2009-10-12T17:50:30.000Z</LastModified><ETag>&quot;e1&quot;</ETag><Size>5</Size><Owner/></Contents>
<Contents><Key>z</Key><Size>0</Size><ETag>bare</ETag></Contents>
<CommonPrefixes><Prefix>p%20q/</Prefix></CommonPrefixes></ListBucketResult>`);
  t.match(page, { nextToken: 'a&b', prefixes: ['p q/'] });
  t.match(page.files, [
    {
      key: 'a b+c/%',
      sizeBytes: 5,
      version: 'etag:"e1"',
      isPartial: true,
      modifiedMs: Date.UTC(2009, 9, 12, 17, 50, 30),
    },
    { key: 'z', sizeBytes: 0, version: 'etag:"bare"', modifiedMs: 0 },
  ]);
  const raw = parseListPage(
    '<ListBucketResult><Contents><Key><![CDATA[a+<b>]]>&#x1F600;</Key><Size>1</Size></Contents></ListBucketResult>',
  );
  t.equal(raw.files[0]?.key, 'a+<b>\u{1f600}', 'names that are not announced as encoded are not decoded');
  t.equal(raw.files[0]?.version, undefined);
  for (const text of [
    '',
    'no xml',
    '<html><body>hello</body></html>',
    '<ListBucketResult>',
    '<ListBucketResult></Wrong>',
    '<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>',
    '<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>',
    '<ListBucketResult><EncodingType>url</EncodingType><CommonPrefixes><Prefix>%zz</Prefix></CommonPrefixes></ListBucketResult>',
    '<a>'.repeat(100),
  ]) {
    t.throws(() => parseListPage(text), { code: 'UfsBadResponse' }, text.slice(0, 40));
  }
  t.equal(childText(parseXml('<e a="x>y"><!-- c --><Code>A</Code></e>'), 'Code'), 'A');
});

void t.test(
  'an XML document is read whatever way it is written in, and refused where it is none',
  async (t) => {
    const document = `<?xml version="1.0"?>
<s3:Error xmlns:s3='a>b' x="/"><!-- <Code>no</Code> > --><s3:Code >A</s3:Code
><Empty/><Empty a="1" /><Message-2>1 &lt; <![CDATA[2 </Message-2> ]]>&#38;&#x26; &none;</Message-2></s3:Error>`;
    const { children, name } = parseXml(document);
    t.equal(name, 'Error');
    t.same(
      children.map((child) => [child.name, child.text, child.children.length]),
      [
        ['Code', 'A', 0],
        ['Empty', '', 0],
        ['Empty', '', 0],
        ['Message-2', '1 < 2 </Message-2> && &none;', 0],
      ],
    );
    t.equal(parseXml('<a>'.repeat(16) + '</a>'.repeat(16)).name, 'a');
    for (const text of [
      '<a>'.repeat(17) + '</a>'.repeat(17),
      '<a></b>',
      '<x:a></y:a>',
      '<a></a></a>',
      '<a></>',
      '<>',
      '<a',
      '<a></a',
      '<a b="></a>',
      '<?>',
      '<a><!-></a>',
      '<a><!-->',
      '<a><![CDATA[]]</a>',
      '<!DOCTYPE html><a></a>',
      '</a>',
    ])
      t.throws(() => parseXml(text), { code: 'UfsBadResponse' }, text.slice(0, 40));
  },
);
