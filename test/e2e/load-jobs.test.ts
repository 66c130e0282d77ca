/** Load jobs in a cluster of processes: what dies or freezes while they run, and what is fetched all the same: each byte once. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { commonDefinitions, Member, type Role, runCommand, until } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { workDirOf } from '../support/work-dir.ts';

const root = workDirOf(t, { data: {}, shared: {} });
const dataDir = join(root, 'data');
const sets = ['left', 'frozen', 'lost', 'rest'] as const;
const fileCount = 400;
const fileBytes = 64 * 1024;
const setBytes = fileCount * fileBytes;
const contentOf = (set: string, index: number): Buffer => Buffer.alloc(fileBytes, `${set} ${index} `);
for (const set of sets) {
  await mkdir(join(dataDir, set));
  for (let index = 0; index < fileCount; index++) {
    await writeFile(join(dataDir, set, `f-${String(index).padStart(4, '0')}`), contentOf(set, index));
  }
}
const etcd = await startEtcdServer();
const common = commonDefinitions(root, etcd.endpoints);

const members: Member[] = [];
t.teardown(async () => {
  await Promise.all(members.map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});

function start(role: Role, name: string, ports: readonly string[] = []): Member {
  const member = new Member({ role, workDir: join(root, name), common, ports });
  members.push(member);
  return member;
}

const coordinators = [start('coordinator', 'coordinator-0'), start('coordinator', 'coordinator-1')];
await Promise.all(coordinators.map((coordinator) => coordinator.url('at')));
const coordinatorPort = new URL((await coordinators[0]?.url('at')) ?? '').port;
const toCoordinator = [`-Dalluxio.coordinator.web.port=${coordinatorPort}`];
const workers = [0, 1, 2].map((index) => start('worker', `worker-${index}`, toCoordinator));
await Promise.all(workers.map((worker) => worker.url('S3')));
const [firstCoordinator] = coordinators;
if (!firstCoordinator) throw new Error('a coordinator');
await runCommand(firstCoordinator, common, ['mount', 'add', '--path', '/data', '--ufs-uri', dataDir]);
for (const worker of workers) {
  await until(async () => (await fetch(`${await worker.url('S3')}/data?list-type=2&max-keys=1`)).ok);
}
const membersSeen = async (coordinator: Member) =>
  (await runCommand(coordinator, common, ['info', 'nodes'])).stdout.match(/ONLINE/g)?.length;
await until(async () => (await membersSeen(firstCoordinator)) === 3);

interface Ended {
  readonly id: string;
  readonly state: string;
  readonly shown: {
    readonly processedFiles: number;
    readonly loadedBytes: number;
    readonly heldBytes: number;
  };
}

/** At ten megabytes a second, so that there is time to break something. */
async function submit(coordinator: Member, set: string, more: readonly string[] = []): Promise<string> {
  const args = ['job', 'load', '--path', `/data/${set}`, '--submit', '--json', '--bandwidth', '4MB', ...more];
  const { stdout, stderr } = await runCommand(coordinator, common, args);
  const id = /"id": "(.*)"/.exec(stdout)?.[1];
  if (id === undefined) throw new Error(stderr);
  return id;
}

async function jobAt(coordinator: Member, id: string): Promise<Ended | undefined> {
  const response = await fetch(`${await coordinator.url('at')}/api/v1/jobs?id=${id}`).catch(() => undefined);
  if (!response?.ok) return undefined;
  const { jobs } = (await response.json()) as { readonly jobs: readonly Ended[] };
  return jobs[0];
}

async function endOf(coordinator: Member, id: string): Promise<Ended> {
  for (;;) {
    const job = await jobAt(coordinator, id);
    if (job && ['SUCCEEDED', 'FAILED', 'STOPPED'].includes(job.state)) return job;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Bytes that were read from the storage by every worker that is there. */
async function fetchedBytes(): Promise<number> {
  const counts = await Promise.all(
    workers.map(async (worker) => {
      const response = await fetch(`${await worker.url('web')}/metrics`).catch(() => undefined);
      const text = (await response?.text()) ?? '';
      return Number(/^alluxio_ufs_data_access_bytes_total\{.*\} (\d+)/m.exec(text)?.[1] ?? 0);
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

async function runnerOf(id: string): Promise<Member> {
  const isRunner = (member: Member) =>
    member.errors.split('\n').some((line) => line.includes('"job-started"') && line.includes(id));
  await until(() => coordinators.some(isRunner));
  const runner = coordinators.find(isRunner);
  if (!runner) throw new Error('nobody runs it');
  return runner;
}

const otherThan = (runner: Member): Member => {
  const other = coordinators.find((each) => each !== runner);
  if (!other) throw new Error('another coordinator');
  return other;
};

const hasLog = (member: Member, event: string, id: string) =>
  member.errors.split('\n').some((line) => line.includes(`"event":"${event}"`) && line.includes(id));

async function checkReadable(t: Test, set: string): Promise<void> {
  const wrong: string[] = [];
  for (let index = 0; index < fileCount; index += 7) {
    const key = `${set}/f-${String(index).padStart(4, '0')}`;
    const response = await fetch(`${await workers[0]?.url('S3')}/data/${key}`);
    const bytes = Buffer.from(await response.arrayBuffer());
    const outcome = response.headers.get('x-alluxio-cache');
    if (!bytes.equals(contentOf(set, index)) || !['hit', 'hit-peer'].includes(outcome ?? '')) {
      wrong.push(`${key} ${response.status} ${outcome}`);
    }
  }
  t.same(wrong, [], 'all of it is there, and right');
}

t.test(
  'a worker takes loads as clients of Alluxio submit them, and the command line follows them',
  async (t) => {
    const [worker] = workers;
    const [coordinator] = coordinators;
    if (!worker || !coordinator) throw new Error('a worker and a coordinator');
    const path = `file://${dataDir}/rest`;
    const call = async (query: string): Promise<unknown> => {
      const response = await fetch(`${await worker.url('REST')}/v1/load?path=${path}&${query}`);
      t.equal(response.headers.get('content-type'), 'text/plain');
      return JSON.parse(await response.text()) as unknown;
    };
    t.match(await call('opType=progress'), {
      jobState: 'FAILED',
      message: `Load for path '${path}' cannot be found.`,
      respProperties: {},
    });
    t.match(await call('opType=submit&partialListing=true&verify=true&bandwidth=1000000'), {
      success: true,
      path,
      message: new RegExp(`^Load '${path}' is successfully submitted. JobId: .*\n$`),
    });
    t.match(await call('opType=progress'), { jobState: /^(RUNNING|VERIFYING)$/ }, 'also while it waits');
    t.match(await call('opType=SUBMIT'), {
      success: true,
      message: `Load already running for path '${path}' \n`,
    });
    t.match(await call('opType=stop'), {
      success: true,
      message: `Load '${path}' is successfully stopped.\n`,
    });
    await until(
      async () => ((await call('opType=progress')) as { readonly jobState: string }).jobState === 'STOPPED',
    );
    t.match(await call('opType=stop'), { success: false, message: /^Cannot find load job for path/ });
    const waited = await runCommand(coordinator, common, [
      'job',
      'load',
      '--path',
      '/data/rest',
      '--submit',
      '--wait',
    ]);
    t.match(waited.stdout, /Job State: SUCCEEDED\n\tInodes Scanned: 400\n/);
    t.match(await call('opType=progress'), {
      jobState: 'SUCCEEDED',
      respProperties: { 'Job State': 'SUCCEEDED', 'Files Failed': '0', 'Inodes Scanned': '400' },
    });
    const list = await runCommand(coordinator, common, ['job', 'list', '--job-state', 'STOPPED']);
    t.match(
      list.stdout,
      new RegExp(`^JobId\tType\tState\tSubmitted\tDone\tPath\n[-0-9a-f]+\tLOAD\tSTOPPED\t.*\t${path}\n$`),
    );
  },
);

t.test('a coordinator that dies leaves its job to another, within ten seconds', async (t) => {
  const before = await fetchedBytes();
  const id = await submit(firstCoordinator, 'left');
  const runner = await runnerOf(id);
  const other = otherThan(runner);
  await until(async () => ((await jobAt(other, id))?.shown.processedFiles ?? 0) > 20);
  await runner.stop('SIGKILL');
  const killedMs = performance.now();
  await until(() => hasLog(other, 'job-started', id));
  const goesOnMs = performance.now() - killedMs;
  t.ok(goesOnMs < 10_000, `taken over after ${Math.round(goesOnMs)} ms`);
  t.match(other.errors, /"isResumed":true/);
  const job = await endOf(other, id);
  t.match(job, { state: 'SUCCEEDED', shown: { processedFiles: fileCount } });
  t.equal(job.shown.loadedBytes + job.shown.heldBytes, setBytes, 'every byte counts once');
  t.equal((await fetchedBytes()) - before, setBytes, 'and was fetched once');
  await checkReadable(t, 'left');
  coordinators[coordinators.indexOf(runner)] = start('coordinator', 'coordinator-2');
});

t.test('a coordinator that was frozen past its lease writes nothing when it wakes', async (t) => {
  await Promise.all(coordinators.map((coordinator) => coordinator.url('at')));
  const [submitAt] = coordinators;
  if (!submitAt) throw new Error('a coordinator');
  const before = await fetchedBytes();
  const id = await submit(submitAt, 'frozen');
  const runner = await runnerOf(id);
  const other = otherThan(runner);
  await until(async () => ((await jobAt(other, id))?.shown.processedFiles ?? 0) > 20);
  runner.freeze();
  await until(() => hasLog(other, 'job-started', id));
  runner.thaw();
  await until(() => hasLog(runner, 'job-left', id) || hasLog(runner, 'job-taken-over', id));
  const job = await endOf(other, id);
  t.match(job, { state: 'SUCCEEDED', shown: { processedFiles: fileCount } });
  t.notOk(hasLog(runner, 'job-ended', id), 'the old runner has not ended it');
  t.equal(job.shown.loadedBytes + job.shown.heldBytes, setBytes);
  t.equal((await fetchedBytes()) - before, setBytes, 'each byte was fetched once');
  await checkReadable(t, 'frozen');
});

t.test(
  'a worker that dies leaves its files to the others, and one that comes is given its own',
  async (t) => {
    const [submitAt] = coordinators;
    const [, lost] = workers;
    if (!submitAt || !lost) throw new Error('a coordinator and a worker');
    const id = await submit(submitAt, 'lost');
    await until(async () => ((await jobAt(submitAt, id))?.shown.processedFiles ?? 0) > 20);
    const ports = await lost.ports();
    await lost.stop('SIGKILL');
    const again = start('worker', 'worker-3');
    await again.url('S3');
    workers[1] = again;
    const job = await endOf(submitAt, id);
    t.match(job, { state: 'SUCCEEDED', shown: { processedFiles: fileCount } });
    t.ok(ports.length > 0);
    const reload = await submit(submitAt, 'lost');
    t.match(await endOf(submitAt, reload), { state: 'SUCCEEDED' });
    await checkReadable(t, 'lost');
  },
);
