/**
 * Alluxio's own Python client, both generations of it, against a cluster of processes: the current one asks a worker for the owner of a file and reads at
 * its S3 port, the one of before finds the workers in etcd, hashes for itself and reads pages. What they ask goes through a proxy, which says whom.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { systemRandom } from '@alluxio-ts/common/clock';
import t from 'tap';
import { commonDefinitions, Member, type Role, runCommand } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { installPython } from '../support/python-packages.ts';
import { type ProxiedRequest, startRecordingProxy } from '../support/recording-proxy.ts';
import { workDirOf } from '../support/work-dir.ts';

const execute = promisify(execFile);
const current = await installPython(
  'alluxiofs-current',
  ['alluxiofs==1.1.17', 'fsspec==2026.9.0'],
  'bin/humanfriendly',
);
/** Of those that read etcd the last one that reads pages. */
const etcdAge = await installPython(
  'alluxiofs-etcd',
  ['alluxiofs==1.0.6', 'fsspec==2026.9.0'],
  'bin/humanfriendly',
);

const pageSizeBytes = 4 * 1024 * 1024;
const largeName = 'set/sub/large.bin';
const smallNames = Array.from({ length: 24 }, (_, index) => `set/f-${index}.bin`);

function contentOf(name: string, sizeBytes: number): Uint8Array {
  const salt = createHash('sha256').update(name).digest();
  return Uint8Array.from(
    { length: sizeBytes },
    (_, at) => (at * 31 + (at >> 8) + (salt[at & 31] ?? 0)) & 255,
  );
}

const files: ReadonlyMap<string, Uint8Array> = new Map([
  ['set/empty.bin', new Uint8Array(0)],
  ['set/a+b=c.csv', contentOf('csv', 100)],
  [largeName, contentOf('large', 2 * pageSizeBytes + 700_001)],
  ['set/page.bin', contentOf('page', pageSizeBytes)],
  ...smallNames.map((name, index) => [name, contentOf(name, 1000 * index + 1)] as const),
]);

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const wholeHashes = Object.fromEntries([...files].map(([name, bytes]) => [name, sha256(bytes)]));
const sizes = Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.length]));

const seed = Number(
  process.env['TEST_SEED'] ?? systemRandom.bytes(4).reduce((sum, byte) => sum * 256 + byte),
);
t.comment(`TEST_SEED=${seed}`);
let drawn = 0;
/** The same for the same seed: a whole number below `bound`. */
function draw(bound: number): number {
  return createHash('sha256').update(`${seed} ${drawn++}`).digest().readUInt32LE() % bound;
}

/** Around the borders of pages, and some anywhere. */
const ranges: readonly (readonly [number, number])[] = [
  [0, 1],
  [pageSizeBytes - 1, pageSizeBytes + 1],
  [pageSizeBytes, 2 * pageSizeBytes],
  [pageSizeBytes - 7, 2 * pageSizeBytes + 7],
  [2 * pageSizeBytes + 700_000, 2 * pageSizeBytes + 700_001],
  ...Array.from({ length: 12 }, (): readonly [number, number] => {
    const from = draw(2 * pageSizeBytes);
    return [from, from + 1 + draw(700_000)];
  }),
];
const large = files.get(largeName) ?? new Uint8Array(0);
const rangeHashes = ranges.map(([from, to]) => sha256(large.subarray(from, to)));

const root = workDirOf(t);
const dataDir = join(root, 'data');
for (const [name, bytes] of files) {
  await mkdir(dirname(join(dataDir, name)), { recursive: true });
  await writeFile(join(dataDir, name), bytes);
}

const etcd = await startEtcdServer();
t.teardown(() => etcd.stop());
const common = commonDefinitions(root, etcd.endpoints);

function start(role: Role, name: string, host: string): Member {
  const own = [...common, `-Dalluxio.bind.host=${host}`];
  const ports = role === 'worker' ? [`-Dalluxio.coordinator.web.port=${coordinatorPort}`] : [];
  const started = new Member({ role, workDir: join(root, name), common: own, ports });
  t.teardown(() => started.stop('SIGKILL'));
  return started;
}

let coordinatorPort = '0';
const coordinator = start('coordinator', 'coordinator', '127.0.0.1');
coordinatorPort = new URL(await coordinator.url('at')).port;
// Addresses of their own, because the current client has fixed the S3 port and tells workers apart by their hosts.
const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3'];
const workers = hosts.map((host, index) => start('worker', `worker-${index}`, host));
const urlsOf = (label: 'S3' | 'REST'): Promise<readonly URL[]> =>
  Promise.all(workers.map(async (worker) => new URL(await worker.url(label))));
const s3Urls = await urlsOf('S3');
const restUrls = await urlsOf('REST');
const fixedS3Port = 29998;
const proxy = await startRecordingProxy(
  new Map(s3Urls.map(({ hostname, host }) => [`${hostname}:${fixedS3Port}`, host])),
);
t.teardown(() => proxy.stop());

const mount = ['mount', 'add', '--path', '/data', '--ufs-uri', dataDir];
assert.equal((await runCommand(coordinator, common, mount)).stderr, '');

function ufsPathOf(name: string): string {
  return `file://${dataDir}/${name}`;
}

/** The host that a worker names as the owner. */
async function ownerOf(restUrl: URL, path: string): Promise<string> {
  const response = await fetch(new URL(`/v1/node?path=${encodeURIComponent(path)}`, restUrl));
  return ((await response.json()) as { readonly Host: string }).Host;
}

/** Resolves when all workers have the mount and the same ring of all three; the test's own time is the bound. */
async function settle(): Promise<void> {
  for (;;) {
    const named = await Promise.all(
      restUrls.map(async (url) => {
        const mounted = await fetch(new URL(`/v1/files?path=${ufsPathOf('set')}`, url));
        await mounted.bytes();
        const owners = await Promise.all(smallNames.map((name) => ownerOf(url, ufsPathOf(name))));
        return { isMounted: mounted.ok, owners };
      }),
    );
    const rings = new Set(named.map(({ owners }) => owners.join()));
    const members = new Set(named.flatMap(({ owners }) => owners));
    if (named.every(({ isMounted }) => isMounted) && rings.size === 1 && members.size === 3) return;
  }
}

await settle();
const [entry = restUrls[0] ?? new URL('http://127.0.0.1')] = restUrls;
const owners = new Map(
  await Promise.all(
    [...files.keys()].map(async (name) => [name, await ownerOf(entry, ufsPathOf(name))] as const),
  ),
);

/** Runs a script with the files' base, their names, the large one and its ranges; no fallback is given, so that all bytes come from the cluster. */
async function python(
  packages: string,
  script: string,
  settings: Readonly<Record<string, unknown>>,
): Promise<{ readonly answer: unknown; readonly requests: readonly ProxiedRequest[] }> {
  proxy.requests.length = 0;
  const given = {
    base: ufsPathOf('set'),
    paths: Object.fromEntries([...files.keys()].map((name) => [name, ufsPathOf(name)])),
    large: ufsPathOf(largeName),
    ranges,
    ...settings,
  };
  const { stdout } = await execute('python3', ['-c', `${prelude}${script}`, JSON.stringify(given)], {
    cwd: root,
    env: {
      PATH: process.env['PATH'] ?? '',
      PYTHONPATH: packages,
      HOME: root,
      LC_ALL: 'C.UTF-8',
      http_proxy: proxy.url,
      no_grpc_proxy: '127.0.0.1',
    },
    maxBuffer: 16 * 1024 * 1024,
  });
  const answer: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return { answer, requests: [...proxy.requests] };
}

const prelude = `
import hashlib, json, logging, sys
from alluxiofs import AlluxioFileSystem
given = json.loads(sys.argv[1])
paths, large = given['paths'], given['large']
sha = lambda data: hashlib.sha256(data).hexdigest()
logger = logging.getLogger('client')
logger.addHandler(logging.NullHandler())
def whole(read):
    return {name: sha(read(path)) for name, path in paths.items()}
def seeking(fs):
    hashes = []
    with fs.open(large) as f:
        for start, end in given['ranges']:
            f.seek(start)
            hashes.append(sha(f.read(end - start)))
    return hashes
def opened(path):
    with fs.open(path) as f: return f.read()
def failure(call):
    try: call()
    except Exception as e: return type(e).__name__
`;

const directory = [...files.keys()]
  .map((name) => ufsPathOf(name))
  .filter((path) => dirname(path) === ufsPathOf('set'));
const listed = [...directory, ufsPathOf('set/sub')].toSorted();

/** Which names the requests for bytes and facts of files went to, other than to the owner that our ring names. */
function astray(requests: readonly ProxiedRequest[]): readonly string[] {
  return requests.flatMap(({ host, outcome, target }) => {
    const name = nameIn(target);
    const owner = name === undefined ? undefined : owners.get(name);
    if (target.startsWith('/v1/node') || owner === undefined) return [];
    const isRight = host.startsWith(`${owner}:`) && outcome !== 'hit-peer';
    return isRight ? [] : [`${host} instead of ${owner} ${outcome} ${target}`];
  });
}

function nameIn(target: string): string | undefined {
  const path = target.startsWith('/v1/')
    ? (new URLSearchParams(target.split('?')[1]?.replaceAll('+', '%2B')).get('ufsFullPath') ??
      new URLSearchParams(target.split('?')[1]).get('path'))
    : `file://${dataDir}${target.slice('/data'.length)}`;
  return path?.startsWith(ufsPathOf('')) ? path.slice(ufsPathOf('').length) : undefined;
}

function hostsAsked(
  requests: readonly ProxiedRequest[],
  isOfInterest: (target: string) => boolean,
): readonly string[] {
  const asked = requests.filter(({ target }) => isOfInterest(target));
  return hosts.filter((host) => asked.some((request) => request.host.startsWith(`${host}:`)));
}

t.test('the current client finds the owner through any worker and reads there', async (t) => {
  const script = `
fs = AlluxioFileSystem(worker_hosts=given['workers'], logger=logger)
cached = AlluxioFileSystem(worker_hosts=given['workers'], logger=logger, mcap_enabled=True, local_cache_dir=given['cacheDir'], local_cache_size_gb=0.1)
client = fs.alluxio
print(json.dumps({
  'listed': sorted(e['ufs_path'] for e in fs.ls(given['base'], detail=True)),
  'listdir': sorted(e.ufs_path for e in client.listdir(given['base'])),
  'sizes': {name: fs.info(path)['size'] for name, path in paths.items()},
  'types': [fs.info(large)['type'], fs.isdir(given['base']), fs.isdir(large), fs.exists(large)],
  'opened': whole(opened),
  'cat': whole(fs.cat_file),
  'read': whole(client.read),
  'chunked': whole(lambda path: client.read_chunked(path, chunk_size=100_000).read()),
  'head': sha(fs.head(large, num_of_bytes=5000)), 'tail': sha(fs.tail(large, num_of_bytes=5000)),
  'seeking': seeking(fs),
  'seekingCached': seeking(cached),
  'ranges': [sha(fs.cat_file(large, start, end)) for start, end in given['ranges']],
  'missing': [failure(lambda: fs.info(given['base'] + '/nope')), failure(lambda: client.read(given['base'] + '/nope'))],
}), flush=True)
import os
os._exit(0)
`;
  const { answer, requests } = await python(current, script, {
    workers: restUrls.map(({ host }) => host).join(','),
    cacheDir: join(root, 'client-cache'),
  });
  t.strictSame(answer, {
    listed,
    listdir: listed,
    sizes,
    types: ['file', true, false, true],
    opened: wholeHashes,
    cat: wholeHashes,
    read: wholeHashes,
    chunked: wholeHashes,
    head: sha256(large.subarray(0, 5000)),
    tail: sha256(large.subarray(-5000)),
    seeking: rangeHashes,
    seekingCached: rangeHashes,
    ranges: rangeHashes,
    // This version takes only 500 for a missing file, which later ones put right.
    missing: ['HTTPError', 'Exception'],
  });
  t.strictSame(astray(requests), []);
  t.strictSame(
    hostsAsked(requests, (target) => target.startsWith('/data/')),
    hosts,
    'all three by S3',
  );
  t.strictSame(
    hostsAsked(requests, (target) => target.startsWith('/v1/chunk/')),
    hosts,
    'and by REST',
  );
});

t.test('the current client loads, follows and stops through a worker', async (t) => {
  const script = `
import time
fs = AlluxioFileSystem(worker_hosts=given['workers'], logger=logger)
client = fs.alluxio
def state(path):
    found = client.load_progress(path)
    return (found[0] if isinstance(found, tuple) else found).name
submitted = client.submit_load(given['base'])
while state(given['base']) in ('RUNNING', 'VERIFYING'): time.sleep(0.05)
print(json.dumps({
  'submitted': submitted,
  'state': state(given['base']),
  'stopped': client.stop_load(given['base']),
  'loaded': client.load(large, timeout=60),
  'missing': client.load(given['base'] + '/nope', timeout=60),
  'unknown': state(given['base'] + '/never-asked'),
}), flush=True)
import os
os._exit(0)
`;
  const workers = restUrls.map(({ host }) => host).join(',');
  const { answer } = await python(current, script, { workers });
  t.strictSame(answer, {
    submitted: true,
    state: 'SUCCEEDED',
    stopped: false,
    loaded: true,
    missing: false,
    unknown: 'FAILED',
  });
});

const etcdAgeScript = `
fs = AlluxioFileSystem(etcd_hosts='127.0.0.1', etcd_port=given['etcdPort'], etcd_refresh_workers_interval=-1, logger=logger, **given['config'])
client = fs.alluxio
print(json.dumps({
  'listed': sorted(e['ufs_path'] for e in fs.ls(given['base'], detail=True)),
  'plain': sorted(fs.ls(given['base'])),
  'sizes': {name: fs.info(path)['size'] for name, path in paths.items()},
  'types': [fs.info(large)['type'], fs.isdir(given['base']), fs.isdir(large), fs.exists(large), fs.exists(given['base'] + '/nope')],
  'opened': whole(opened),
  'cat': whole(fs.cat_file),
  'read': whole(client.read),
  'chunked': whole(lambda path: client.read_chunked(path).read()),
  'head': sha(fs.head(large, num_of_bytes=5000)), 'tail': sha(fs.tail(large, num_of_bytes=5000)),
  'seeking': seeking(fs),
  'ranges': [sha(client.read_range(large, start, end - start)) for start, end in given['ranges']],
  'fileRanges': [sha(client.read_file_range(large, start, end - start)) for start, end in given['ranges']],
}))
`;
/** The owners that the client's own ring names, for files that need not exist. */
const ringScript = `
fs = AlluxioFileSystem(etcd_hosts='127.0.0.1', etcd_port=given['etcdPort'], etcd_refresh_workers_interval=-1, logger=logger, **given['config'])
print(json.dumps([fs.alluxio.hash_provider.get_multiple_workers(path, 1)[0].host for path in given['ringPaths']]))
`;
const etcdPort = Number(new URL(etcd.endpoints[0] ?? '').port);
const expectedOfEtcdAge = {
  listed,
  plain: listed.map((path) => path.replace(`file://${dataDir}`, '/data')),
  sizes,
  types: ['file', true, false, true, false],
  opened: wholeHashes,
  cat: wholeHashes,
  read: wholeHashes,
  chunked: wholeHashes,
  head: sha256(large.subarray(0, 5000)),
  tail: sha256(large.subarray(-5000)),
  seeking: rangeHashes,
  ranges: rangeHashes,
  fileRanges: rangeHashes,
};

t.test('the client of the etcd age comes to the same owners by its own ring', async (t) => {
  const { answer, requests } = await python(etcdAge, etcdAgeScript, {
    etcdPort,
    config: { page_size: '4MB', hash_node_per_worker: 2000 },
  });
  t.strictSame(answer, expectedOfEtcdAge);
  t.strictSame(astray(requests), []);
  t.strictSame(
    hostsAsked(requests, (target) => target.startsWith('/v1/file/')),
    hosts,
  );
});

t.test('of 1,000 paths our workers name the same owners as the ring of that client', async (t) => {
  const ringPaths = Array.from({ length: 1000 }, (_, number) =>
    ufsPathOf(`shard ${number % 7}/sample-${number}.bin`),
  );
  const config = { page_size: '4MB', hash_node_per_worker: 2000 };
  const { answer } = await python(etcdAge, ringScript, { etcdPort, config, ringPaths });
  const named: string[] = [];
  for (const [number, path] of ringPaths.entries()) {
    named.push(await ownerOf(restUrls[number % restUrls.length] as URL, path));
  }
  t.strictSame(answer, named);
  t.strictSame(new Set(named), new Set(hosts), 'and all of them own some');
});

t.test('with another ring than ours it asks the wrong workers and still gets the right bytes', async (t) => {
  const { answer, requests } = await python(etcdAge, etcdAgeScript, {
    etcdPort,
    config: { page_size: '4MB' },
  });
  t.strictSame(answer, expectedOfEtcdAge);
  t.ok(astray(requests).length > 0, 'which shows that the ring of before was not right by chance');
  t.ok(
    requests.some(({ outcome }) => outcome === 'hit-peer'),
    'the worker that is asked has it from the owner',
  );
});
