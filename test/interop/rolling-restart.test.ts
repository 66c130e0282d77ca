/** All workers are restarted one after the other while an SDK reads through a balancer before them: no request of it fails. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { type Backend, startBalancer } from '../support/balancer.ts';
import { commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { cleanEnvironment } from '../support/environment.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { installS3Clients } from '../support/python-packages.ts';
import { workDirOf } from '../support/work-dir.ts';

const clients = await installS3Clients();

const root = workDirOf(t, { data: {}, shared: {} });
const dataDir = join(root, 'data');
await mkdir(dataDir, { recursive: true });
const hashes: Record<string, string> = {};
for (let index = 0; index < 100; index++) {
  // Small ones, ones of several pages, and some that take a while to send.
  const sizeBytes = index % 10 === 0 ? 12_000_000 : 1000 * (index + 1);
  const content = Buffer.from(
    Uint8Array.from({ length: sizeBytes }, (_, at) => at * (index + 1) + (at >> 8)),
  );
  hashes[`f-${index}`] = createHash('sha256').update(content).digest('hex');
  await writeFile(join(dataDir, `f-${index}`), content);
}
await writeFile(join(root, 'hashes.json'), JSON.stringify(hashes));

const script = `
import boto3, hashlib, json, random, sys, threading
from botocore.config import Config
endpoint, file, lanes = sys.argv[1], sys.argv[2], int(sys.argv[3])
expected = json.load(open(file))
keys = sorted(expected)
over = threading.Event()
lock = threading.Lock()
said = {'reads': 0, 'wrong': [], 'failed': [], 'retries': 0}
def read(seed):
    # The SDK's own defaults for how and how often it tries again.
    config = Config(s3={'addressing_style': 'path'}, retries={'mode': 'standard'})
    s3 = boto3.client('s3', endpoint_url=endpoint, region_name='us-east-1', aws_access_key_id='any', aws_secret_access_key='any', config=config)
    chance = random.Random(seed)
    while not over.is_set():
        key = chance.choice(keys)
        try:
            answer = s3.get_object(Bucket='data', Key=key)
            retries = answer['ResponseMetadata']['RetryAttempts']
            right = hashlib.sha256(answer['Body'].read()).hexdigest() == expected[key]
        except Exception as error:
            with lock: said['failed'].append(f'{key}: {error!r}')
            continue
        with lock:
            said['reads'] += 1
            said['retries'] += retries
            if not right: said['wrong'].append(key)
            if said['reads'] % 20 == 0: print('reads', said['reads'], flush=True)
threads = [threading.Thread(target=read, args=(seed,)) for seed in range(lanes)]
for thread in threads: thread.start()
sys.stdin.read()
over.set()
for thread in threads: thread.join()
print(json.dumps(said), flush=True)
`;

const etcd = await startEtcdServer();
const common = commonDefinitions(root, etcd.endpoints);
const members: Member[] = [];
t.teardown(async () => {
  await Promise.all(members.map((member) => member.stop('SIGKILL')));
  await etcd.stop();
});

function start(role: 'coordinator' | 'worker', name: string): Member {
  const member = new Member({ role, workDir: join(root, name), common });
  members.push(member);
  return member;
}

async function backendOf(worker: Member): Promise<Backend> {
  return { url: new URL(await worker.url('S3')), readyUrl: `${await worker.url('web')}/ready` };
}

async function servesData(worker: Member): Promise<boolean> {
  const response = await fetch(`${await worker.url('S3')}/data/f-1`, { method: 'HEAD' });
  return response.ok;
}

const coordinator = start('coordinator', 'coordinator');
await coordinator.url('at');
const names = ['worker-a', 'worker-b', 'worker-c'];
const workers = names.map((name) => start('worker', name));
await Promise.all(workers.map((worker) => worker.url('S3')));
await runCommand(coordinator, common, ['mount', 'add', '--path', '/data', '--ufs-uri', dataDir]);
await Promise.all(workers.map((worker) => until(() => servesData(worker))));
const balancer = await startBalancer(await Promise.all(workers.map(backendOf)));
t.teardown(() => balancer.stop());

t.test('a rolling restart under the load of boto3 fails no request', async (t) => {
  const sdk = spawn('python3', ['-c', script, balancer.endpoint, join(root, 'hashes.json'), '6'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...cleanEnvironment(), PYTHONPATH: clients },
  });
  t.teardown(() => sdk.kill('SIGKILL'));
  const lines: string[] = [];
  createInterface({ input: sdk.stdout }).on('line', (line) => lines.push(line));
  const readsFrom = async (count: number): Promise<void> => {
    const before = lines.length;
    await until(() => lines.length >= before + count || sdk.exitCode !== null);
  };
  await readsFrom(2);
  for (const [index, name] of names.entries()) {
    t.equal(await workers[index]?.stop('SIGTERM'), 0, `${name} has finished what it had`);
    const again = start('worker', name);
    workers[index] = again;
    balancer.set(index, await backendOf(again));
    await until(() => servesData(again));
    await readsFrom(2);
  }
  sdk.stdin.end();
  await once(sdk, 'close');
  const said = JSON.parse(lines.at(-1) ?? '{}') as Readonly<Record<string, unknown>>;
  t.comment(JSON.stringify(said));
  t.strictSame([said['wrong'], said['failed']], [[], []]);
  t.ok(Number(said['reads']) > 100);
});
