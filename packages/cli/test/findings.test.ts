/** What is found in facts that a healthy test cluster does not give. */

import { openFilesMaxOf } from '@alluxio-ts/common/process-facts';
import type {
  ClusterDiagnosis,
  StateStoreDiagnosis,
  WorkerDiagnosis,
} from '@alluxio-ts/common/protocol/diagnosis';
import { workerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { GIB, MIB } from '@alluxio-ts/common/units';
import { answersMaxOf, memorySumOf } from '@alluxio-ts/worker/memory-sum';
import t from 'tap';
import { clockFinding, configurationFindings, storageFindings } from '../src/cluster-findings.ts';
import { ExitStatus } from '../src/context.ts';
import { type Finding, tellFindings } from '../src/finding.ts';

const facts = { version: '1.2.3', nodeVersion: '24.1.0', nowMs: 0, notices: [] };
const stateStore: StateStoreDiagnosis = { kind: 'etcd', latencyMs: 1, members: [], alarms: [] };
const dir = {
  dir: '/disk',
  state: 'ok',
  capacityBytes: 10 * GIB,
  usedBytes: GIB,
  pageCount: 1,
  segmentCount: 1,
  failedReadCount: 0,
  failedWriteCount: 0,
  corruptPageCount: 0,
  freeBytes: 20 * GIB,
} as const;
const probe = { path: '/s3', ufsUri: 's3://bucket', durationMs: 10 };
const worker: WorkerDiagnosis = {
  ...facts,
  openFilesMax: 1_000_000,
  connectionsMax: 16_384,
  configuration: { ring: 'DEFAULT' },
  memory: { parts: [{ name: 'main heap', bytes: GIB }], sumBytes: GIB, limitBytes: 2 * GIB },
  dirs: [dir],
  mounts: [probe],
};

interface Given {
  readonly worker?: Partial<WorkerDiagnosis>;
  readonly clockAheadMs?: number;
  readonly cluster?: Partial<ClusterDiagnosis>;
}

function clusterWith({ clockAheadMs = 0, cluster, worker: some }: Given): ClusterDiagnosis {
  const address = workerNetAddress({ host: 'one', httpServerPort: 28080, webPort: 1, s3Port: 2 });
  return {
    coordinator: { ...facts, isAdminOpen: false },
    stateStore,
    mounts: [{ ...probe, hasClearSecrets: false }],
    workers: [{ id: 'worker-a', status: 'ONLINE', address, clockAheadMs, diagnosis: { ...worker, ...some } }],
    ...cluster,
  };
}

function badOf(given: Given): readonly Finding[] {
  const cluster = clusterWith(given);
  return [...configurationFindings(cluster), ...storageFindings(cluster)].filter(
    ({ level }) => level !== 'ok',
  );
}

const disk = (some: Partial<WorkerDiagnosis['dirs'][number]>): Given => ({
  worker: { dirs: [{ ...dir, ...some }] },
});
const fault = { code: 'UfsAccessDenied', message: 'the key is wrong' };

const cases: readonly (readonly [string, Given, Partial<Finding>])[] = [
  [
    'a clock that is off',
    { clockAheadMs: -6000 },
    { level: 'warning', finding: '6.0 s behind the coordinator' },
  ],
  ['a clock that is far off', { clockAheadMs: 400_000 }, { level: 'error', check: 'clock' }],
  ['another version', { worker: { version: '1.2.2' } }, { level: 'warning', subject: 'version' }],
  ['few open files', { worker: { openFilesMax: 1024 } }, { level: 'warning', check: 'limits' }],
  ['an old Node', { worker: { nodeVersion: '20.1.0' } }, { level: 'error', check: 'limits' }],
  [
    'too little memory',
    { worker: { memory: { ...worker.memory, limitBytes: GIB / 2 } } },
    {
      level: 'warning',
      check: 'memory',
      finding: 'it may need 1.00GB of 512.00MB, most of it main heap 1.00GB',
    },
  ],
  [
    'a transport that is missing',
    { worker: { transport: { kind: 'plain', configured: 'hotpath', reason: 'there is no addon' } } },
    {
      level: 'warning',
      check: 'transport',
      finding: 'plain answers reads and not hotpath: there is no addon',
    },
  ],
  ['a notice', { worker: { notices: ['there is no option x'] } }, { level: 'warning', check: 'options' }],
  [
    'a slow disk',
    disk({ speed: { writeBytesPerSecond: MIB, readBytesPerSecond: GIB } }),
    { level: 'warning' },
  ],
  ['a disk that cannot be measured', disk({ speed: { fault } }), { level: 'error', check: 'disk' }],
  [
    'a disk that takes nothing',
    disk({ state: 'suspect', reason: 'a write failed with EROFS', failedWriteCount: 3 }),
    {
      level: 'error',
      finding:
        'it takes no new pages (a write failed with EROFS); since its start 3 writes and 0 reads failed',
    },
  ],
  ['a disk that is out', disk({ state: 'out', failedReadCount: 1 }), { level: 'error', check: 'disk' }],
  ['a disk that failed before', disk({ failedReadCount: 1 }), { level: 'warning', check: 'disk' }],
  [
    'a disk that damages pages',
    disk({ corruptPageCount: 2 }),
    {
      level: 'warning',
      finding: 'it takes pages; since its start 0 writes and 0 reads failed, 2 pages were damaged',
    },
  ],
  [
    'a full disk',
    disk({ freeBytes: GIB }),
    { level: 'warning', advice: 'make room, or set alluxio.worker.page.store.sizes to 2.00GB at most' },
  ],
  [
    'a mount that a worker does not serve',
    { worker: { mounts: [] } },
    { level: 'error', subject: '/s3 at worker-a (one:28080)' },
  ],
  [
    'other credentials at a worker',
    { worker: { mounts: [{ ...probe, fault }] } },
    { level: 'error', finding: 's3://bucket: the key is wrong' },
  ],
  [
    'a slow storage',
    { worker: { mounts: [{ ...probe, durationMs: 3000 }] } },
    { level: 'warning', check: 'mount' },
  ],
  [
    'a storage that is left alone',
    { worker: { mounts: [{ ...probe, fault, leftAloneMs: 12_345 }] } },
    {
      level: 'error',
      finding:
        's3://bucket has not answered for 12 s: what is not cached fails at once there (the key is wrong)',
    },
  ],
  [
    'clear secrets',
    { cluster: { mounts: [{ ...probe, hasClearSecrets: true }] } },
    { level: 'warning', check: 'security', subject: '/s3' },
  ],
  [
    'an open coordinator',
    { cluster: { coordinator: { ...facts, isAdminOpen: true } } },
    { level: 'warning', check: 'security' },
  ],
  [
    'an alarm',
    { cluster: { stateStore: { ...stateStore, alarms: ['Nospace'] } } },
    {
      level: 'error',
      advice:
        'etcd refuses writes: compact and defragment it, raise --quota-backend-bytes, then "etcdctl alarm disarm"',
    },
  ],
  [
    'a slow etcd',
    { cluster: { stateStore: { ...stateStore, latencyMs: 900 } } },
    { level: 'warning', check: 'state-store' },
  ],
  [
    'a large etcd',
    { cluster: { stateStore: { ...stateStore, members: [{ name: 'e', sizeBytes: 1.9 * GIB }] } } },
    { level: 'warning', subject: 'e' },
  ],
];

t.test('a worker that holds its lease and says nothing is found', async (t) => {
  const { workers } = clusterWith({});
  const silent = workers.map(({ id, address }) => ({ id, address, status: 'ONLINE', fault }) as const);
  const expected = { check: 'worker', level: 'error', finding: 'it is ONLINE, but: the key is wrong' };
  t.match(badOf({ cluster: { workers: silent } }), [expected]);
});

t.test('facts in order give nothing above ok', async (t) => t.same(badOf({}), []));

for (const [name, given, expected] of cases) {
  t.test(`${name} is found, and nothing else`, async (t) => {
    const bad = badOf(given);
    t.match(bad, [expected]);
    t.equal(bad.length, 1);
    t.not(bad[0]?.advice, '');
  });
}

t.test('what is wrong comes first, what is well is one line, and an error is exit code 1', async (t) => {
  const texts: string[] = [];
  const context = {
    writeOut: async (text: string | Uint8Array) => {
      texts.push(text.toString());
    },
  } as Parameters<typeof tellFindings>[0];
  const findings: Finding[] = [
    ...clockFinding('here', 0),
    ...clockFinding('one\nhost', 6000),
    { check: 'port', subject: 'a', level: 'ok', finding: 'free', advice: '' },
    { check: 'port', subject: 'b', level: 'ok', finding: 'free', advice: '' },
  ];
  await tellFindings(context, findings, {});
  t.equal(
    texts.join(''),
    [
      'warning  clock: one\\u000ahost: 6.0 s ahead of the coordinator',
      '         → set the clocks by NTP',
      'Fine: port (2)',
      '0 errors, 1 warning',
      '',
    ].join('\n'),
  );
  await t.rejects(tellFindings(context, clockFinding('x', 1e9), {}), new ExitStatus(1));
});

t.test('the memory sum has every bound once, and the share of the kernel', async (t) => {
  const bounds = {
    transport: 'plain',
    directMemoryBytes: 256 * MIB,
    fillThreadCount: 2,
    pageSizeBytes: 4 * MIB,
    capacityBytes: 1024 * GIB,
    answersMax: 100,
    loadConcurrencyMax: 24,
  } as const;
  const sockets = { sendMaxBytes: 4 * MIB, receiveMaxBytes: 6 * MIB, allMaxBytes: 2 * GIB };
  const given = { heapMaxBytes: 4 * GIB, limitBytes: 8 * GIB, sockets };
  const { limitBytes, parts, sumBytes } = memorySumOf(bounds, given);
  const bytesOf = (name: string) => parts.find((part) => part.name === name)?.bytes;
  t.equal(limitBytes, 8 * GIB);
  t.equal(bytesOf('main heap'), 4 * GIB);
  t.equal(bytesOf('heaps of threads'), (2 * 256 + 128) * MIB);
  t.equal(bytesOf('direct memory'), 256 * MIB);
  t.equal(bytesOf('block checksums'), 64 * MIB, '64 MiB for each TiB');
  t.equal(bytesOf('page table'), 59 * 256 * 1024);
  t.equal(bytesOf('read buffers'), (24 + 100 * 0.375) * MIB);
  t.equal(bytesOf('socket buffers'), (400 + 24 * 6) * MIB);
  const many = memorySumOf({ ...bounds, answersMax: 1000 }, given).parts;
  t.equal(many.find(({ name }) => name === 'socket buffers')?.bytes, 2 * GIB, 'the kernel gives no more');
  t.equal(bytesOf('hot path table'), undefined);
  t.equal(memorySumOf({ ...bounds, transport: 'hotpath' }, given).parts.length, parts.length + 1);
  const own = parts.slice(0, -1).reduce((sum, { bytes }) => sum + bytes, 0);
  t.equal(sumBytes, own + Math.ceil(own / 10));
});

t.test('answers take a quarter of the memory unless said otherwise', async (t) => {
  const sockets = { sendMaxBytes: 4 * MIB, receiveMaxBytes: 6 * MIB, allMaxBytes: 3 * GIB };
  const given = (limitBytes: number) => ({ heapMaxBytes: 4 * GIB, limitBytes, sockets });
  t.equal(answersMaxOf(-1, 'plain', given(32 * GIB)), 1872);
  t.equal(answersMaxOf(-1, 'hotpath', given(32 * GIB)), 963, 'the table answers as many');
  t.equal(answersMaxOf(-1, 'plain', given(GIB)), 64);
  t.equal(answersMaxOf(-1, 'plain', given(1024 * GIB)), 4096);
  t.equal(answersMaxOf(10, 'plain', given(GIB)), 10);
});

t.test('the limit of open files is the soft one', async (t) => {
  const table =
    'Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 4096    files\n';
  t.equal(openFilesMaxOf(table), 1024);
  t.equal(openFilesMaxOf(''), undefined);
});
