/**
 * Real S3 clients list and copy a mount as they are: boto3, the AWS command line, rclone and s3cmd. The mounts are a directory and a bucket of a real S3
 * server; what clients see of a bucket through the cache is compared with what they see of it without.
 */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { installS3Clients } from '../support/python-packages.ts';
import { startS3Server } from '../support/s3-server.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { workDirOf } from '../support/work-dir.ts';

const execute = promisify(execFile);
const clients = await installS3Clients();

const files: Readonly<Record<string, Uint8Array>> = {
  'a.txt': Buffer.from('first'),
  'dir/b with space.bin': Buffer.alloc(5_000_000, 'b'),
  'dir/sub/c+d.csv': Buffer.from('1,2,3\n'),
  'dir/ünïcödé.txt': Buffer.from('ü'),
  empty: Buffer.alloc(0),
  // More than the 8 MiB from which clients read, and write, in parts.
  'large.bin': Buffer.from(
    Uint8Array.from({ length: 20_000_000 }, (_, index) => (index * 31 + (index >> 8)) & 255),
  ),
  ...Object.fromEntries(
    [
      'amper&sand=equals',
      'at@colon:semi;comma,',
      'bang!dollar$star*',
      'brackets[1]{2}(3)<4>',
      'caret^tilde~back`tick|pipe',
      'emoji-😀',
      'hash#mark',
      'percent%20literal%',
      'plus+sign',
      'question?mark',
      'quote"and\'apostrophe',
      'trailing.dot.',
    ].map((name) => [`odd names/${name}`, Buffer.from(name)]),
  ),
};
const sorted = Object.keys(files).toSorted((one, other) =>
  Buffer.compare(Buffer.from(one), Buffer.from(other)),
);
const large = files['large.bin'] ?? new Uint8Array(0);

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const expectedHashes = Object.fromEntries(Object.entries(files).map(([key, bytes]) => [key, sha256(bytes)]));

async function hashesBelow(directory: string): Promise<Record<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const hashes: Record<string, string> = {};
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    hashes[path.slice(directory.length + 1)] = sha256(await readFile(path));
  }
  return hashes;
}

const root = workDirOf(t);
const dataDir = join(root, 'data');
for (const [key, bytes] of Object.entries(files)) {
  await mkdir(join(dataDir, key, '..'), { recursive: true });
  await writeFile(join(dataDir, key), bytes);
}
const origin = await startS3Server();
t.teardown(() => origin.stop());
await origin.createBucket('origin');
const running = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [
    { path: '/data', ufsUri: dataDir, options: {} },
    { path: '/objects', ufsUri: 's3://origin/', options: origin.mountOptions },
  ],
});
t.teardown(() => running.stop());

const environment = {
  PATH: `${join(clients, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  PYTHONPATH: clients,
  HOME: root,
  LC_ALL: 'C.UTF-8',
  // Those of the bucket; the cache takes any.
  AWS_ACCESS_KEY_ID: origin.accessKeyId,
  AWS_SECRET_ACCESS_KEY: origin.secretKey,
  AWS_DEFAULT_REGION: origin.region,
  AWS_EC2_METADATA_DISABLED: 'true',
  // Older servers do not know the checksums that clients add to what they write.
  AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
};

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, [...args], { env: environment, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

async function python(script: string, ...args: readonly string[]): Promise<unknown> {
  return JSON.parse(await run('python3', ['-c', script, ...args]));
}

/** Fills the bucket with what lies in the directory. */
await python(
  `
import boto3, json, os, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1])
for directory, _, names in os.walk(sys.argv[2]):
    for name in names:
        path = os.path.join(directory, name)
        s3.upload_file(path, 'origin', os.path.relpath(path, sys.argv[2]), ExtraArgs={
            'ContentType': 'text/x-test', 'CacheControl': 'max-age=7', 'ContentLanguage': 'de',
            'ContentDisposition': 'attachment; filename="f"', 'Metadata': {'colour': 'blue', 'with-dash': 'a b  c'},
        })
print('null')
`,
  origin.endpoint,
  dataDir,
);

for (const bucket of ['data', 'objects']) {
  t.test(
    `boto3 lists /${bucket}, reads whole files and ranges, and gets the errors that it knows`,
    async (t) => {
      const script = `
import boto3, botocore, hashlib, io, json, sys
bucket = sys.argv[2]
s3 = boto3.client('s3', endpoint_url=sys.argv[1])
keys = [o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket, PaginationConfig={'PageSize': 2}) for o in p.get('Contents', [])]
old = [o['Key'] for p in s3.get_paginator('list_objects').paginate(Bucket=bucket, PaginationConfig={'PageSize': 2}) for o in p.get('Contents', [])]
top = s3.list_objects_v2(Bucket=bucket, Delimiter='/')
head = s3.head_object(Bucket=bucket, Key='large.bin')
part = s3.get_object(Bucket=bucket, Key='large.bin', Range='bytes=4194300-4194310')
last = s3.get_object(Bucket=bucket, Key='large.bin', Range='bytes=-5')
parallel = io.BytesIO()
s3.download_fileobj(bucket, 'large.bin', parallel)
def code(call, **kw):
    try: call(**kw)
    except botocore.exceptions.ClientError as e: return [e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode']]
print(json.dumps({
  'keys': keys, 'old': old,
  'hashes': {k: hashlib.sha256(s3.get_object(Bucket=bucket, Key=k)['Body'].read()).hexdigest() for k in keys},
  'parallel': hashlib.sha256(parallel.getvalue()).hexdigest(),
  'top': [c['Prefix'] for c in top['CommonPrefixes']],
  'size': head['ContentLength'], 'range': part['ContentRange'], 'part': part['Body'].read().hex(), 'last': last['Body'].read().hex(),
  'same': code(s3.get_object, Bucket=bucket, Key='large.bin', IfNoneMatch=head['ETag']),
  'other': code(s3.get_object, Bucket=bucket, Key='large.bin', IfMatch='"other"'),
  'missing': code(s3.get_object, Bucket=bucket, Key='nope'),
  'head': code(s3.head_object, Bucket=bucket, Key='nope'),
  'bucket': code(s3.list_objects_v2, Bucket='nope'),
  'behind': code(s3.get_object, Bucket=bucket, Key='a.txt', Range='bytes=10-'),
  'put': code(s3.put_object, Bucket=bucket, Key='x', Body=b'x'),
  'buckets': sorted(b['Name'] for b in s3.list_buckets()['Buckets']),
}))
`;
      t.strictSame(await python(script, running.s3, bucket), {
        keys: sorted,
        old: sorted,
        hashes: expectedHashes,
        parallel: expectedHashes['large.bin'],
        top: ['dir/', 'odd names/'],
        size: 20_000_000,
        range: 'bytes 4194300-4194310/20000000',
        part: Buffer.from(large.subarray(4194300, 4194311)).toString('hex'),
        last: Buffer.from(large.subarray(-5)).toString('hex'),
        same: ['304', 304],
        other: ['PreconditionFailed', 412],
        missing: ['NoSuchKey', 404],
        head: ['404', 404],
        bucket: ['NoSuchBucket', 404],
        behind: ['InvalidRange', 416],
        put: ['MethodNotAllowed', 405],
        buckets: ['data', 'objects', 'sample'],
      });
    },
  );

  t.test(`aws s3 lists and copies /${bucket}`, async (t) => {
    const aws = (...args: readonly string[]): Promise<string> =>
      run('python3', ['-m', 'awscli', '--endpoint-url', running.s3, 's3', ...args]);
    const listed = (await aws('ls', '--recursive', `s3://${bucket}/`)).trimEnd().split('\n');
    t.strictSame(
      listed.map((line) => line.slice(31)),
      sorted,
      'every name, behind date and size',
    );
    t.match(await aws('ls', `s3://${bucket}/`), /PRE dir\//);
    const target = join(root, `aws-${bucket}`);
    await aws('sync', `s3://${bucket}/`, target);
    t.strictSame(await hashesBelow(target), expectedHashes);
    t.equal(await aws('sync', `s3://${bucket}/`, target), '', 'a second time there is nothing to do');
    t.equal(await aws('cp', `s3://${bucket}/odd names/percent%20literal%`, '-'), 'percent%20literal%');
    await aws('cp', `s3://${bucket}/large.bin`, join(root, `aws-one-${bucket}`));
    t.equal(sha256(await readFile(join(root, `aws-one-${bucket}`))), expectedHashes['large.bin']);
  });

  t.test(`rclone lists and copies /${bucket}, and finds nothing different`, async (t) => {
    const remote = rcloneRemote(running.s3, bucket);
    const listed = await run('rclone', ['lsf', '-R', '--files-only', remote]);
    t.strictSame(listed.trimEnd().split('\n').toSorted(), Object.keys(files).toSorted());
    const target = join(root, `rclone-${bucket}`);
    await run('rclone', ['copy', remote, target]);
    t.strictSame(await hashesBelow(target), expectedHashes);
    await run('rclone', ['check', '--download', remote, dataDir]);
    t.equal(await run('rclone', ['cat', `${remote}/a.txt`, '--offset', '1', '--count', '3']), 'irs');
    await run('rclone', ['copyto', `${remote}/odd names/question?mark`, join(root, `rclone-one-${bucket}`)]);
    t.equal(await readFile(join(root, `rclone-one-${bucket}`), 'utf8'), 'question?mark');
  });

  t.test(`s3cmd lists and copies /${bucket}`, async (t) => {
    const s3cmd = s3cmdAt(running.s3);
    const listed = (await s3cmd('ls', '-r', `s3://${bucket}/`)).trimEnd().split('\n');
    t.strictSame(
      listed.map((line) => line.slice(line.indexOf(`s3://${bucket}/`) + `s3://${bucket}/`.length)),
      sorted,
    );
    const target = join(root, `s3cmd-${bucket}`);
    await mkdir(target);
    await s3cmd('get', '-r', `s3://${bucket}/`, `${target}/`);
    t.strictSame(await hashesBelow(target), expectedHashes);
    await s3cmd('get', `s3://${bucket}/odd names/hash#mark`, join(root, `s3cmd-one-${bucket}`));
    t.equal(await readFile(join(root, `s3cmd-one-${bucket}`), 'utf8'), 'hash#mark');
  });
}

function rcloneRemote(endpoint: string, bucket: string): string {
  const keys = `access_key_id=${origin.accessKeyId},secret_access_key=${origin.secretKey}`;
  return `:s3,provider=Other,${keys},force_path_style=true,endpoint='${endpoint}':${bucket}`;
}

function s3cmdAt(endpoint: string): (...args: readonly string[]) => Promise<string> {
  const { host } = new URL(endpoint);
  const options = [
    '--no-ssl',
    `--host=${host}`,
    `--host-bucket=${host}`,
    `--access_key=${origin.accessKeyId}`,
    `--secret_key=${origin.secretKey}`,
    '--no-progress',
  ];
  return (...args) => run('python3', [join(clients, 'bin', 's3cmd'), ...options, ...args]);
}

t.test('what boto3 is told of an object of a bucket is what the bucket says of it', async (t) => {
  const script = `
import boto3, json, sys
def told(endpoint, bucket):
    s3 = boto3.client('s3', endpoint_url=endpoint)
    facts = ['ETag', 'LastModified', 'ContentLength', 'ContentType', 'CacheControl', 'ContentLanguage', 'ContentDisposition', 'Metadata', 'AcceptRanges']
    answer = {}
    for entry in s3.list_objects_v2(Bucket=bucket)['Contents']:
        key = entry['Key']
        head, got = s3.head_object(Bucket=bucket, Key=key), s3.get_object(Bucket=bucket, Key=key)
        answer[key] = {
            'head': {fact: str(head.get(fact)) for fact in facts},
            'get': {fact: str(got.get(fact)) for fact in facts},
            # Some servers list a finer time than they say of the object.
            'list': [entry['ETag'], entry['Size'], str(entry['LastModified'].replace(microsecond=0))],
        }
    return answer
print(json.dumps({'cached': told(sys.argv[1], 'objects'), 'direct': told(sys.argv[2], 'origin')}))
`;
  const { cached, direct } = (await python(script, running.s3, origin.endpoint)) as {
    readonly cached: Record<string, { readonly head: Record<string, string> }>;
    readonly direct: unknown;
  };
  t.strictSame(cached, direct);
  t.strictSame(Object.keys(cached), sorted);
  const head = cached['large.bin']?.head ?? {};
  t.match(head, { ContentType: 'text/x-test', Metadata: "{'colour': 'blue', 'with-dash': 'a b  c'}" });
  t.match(head['ETag'], /^"[0-9a-f]{32}-3"$/, 'it was uploaded in three parts');
});

t.test(
  'rclone, which trusts ETags of one part as hashes, finds a bucket and its cache the same',
  async (t) => {
    const one = rcloneRemote(running.s3, 'objects');
    const other = rcloneRemote(origin.endpoint, 'origin');
    await t.resolves(run('rclone', ['check', one, other]));
    const hash = createHash('md5').update('first').digest('hex');
    t.match(await run('rclone', ['md5sum', `${one}/a.txt`]), hash);
  },
);

t.test('s3cmd tells type and metadata of an object of a bucket', async (t) => {
  const info = await s3cmdAt(running.s3)('info', 's3://objects/a.txt');
  t.match(info, /MIME type: +text\/x-test/);
  t.match(info, /x-amz-meta-colour: +blue/);
});

t.test('names that a file system cannot have are objects like others', async (t) => {
  const script = `
import boto3, json, sys
origin, cache = (boto3.client('s3', endpoint_url=endpoint) for endpoint in sys.argv[1:3])
keys = sys.argv[3:]
for key in keys: origin.put_object(Bucket='origin', Key=key, Body=('bytes of ' + key).encode())
print(json.dumps([
    [cache.get_object(Bucket='objects', Key=key)['Body'].read().decode() for key in keys],
    [o['Key'] for o in cache.list_objects_v2(Bucket='objects', Prefix='strange')['Contents']],
]))
`;
  const slashes = origin.traits.keepsOddKeys ? ['strange//a', 'strange/b/'] : [];
  const keys = ['strange/line\nbreak', 'strange/tab\there', ...slashes].toSorted();
  const answer = await python(script, origin.endpoint, running.s3, ...keys);
  t.strictSame(answer, [keys.map((key) => `bytes of ${key}`), keys]);
});
