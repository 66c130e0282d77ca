/** Many clients ask for one cold object at once: the storage gives each byte once, to one worker and to the members of a cluster. */

import { get } from 'node:http';
import { join } from 'node:path';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import t, { type Test } from 'tap';
import { commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { startEtcdServer } from '../support/etcd-server.ts';
import { startS3Server } from '../support/s3-server.ts';
import { startTestStandalone } from '../support/standalone.ts';
import { UfsProxy } from '../support/ufs-proxy.ts';
import { workDirOf } from '../support/work-dir.ts';

const clientCount = 256;
/** One client in so many wants all of it, the others a piece that begins within a page. */
const wholeEvery = 16;
const pieceBytes = 3 * MIB;
const objectBytes = 64 * MIB;
const pageCount = 16;
/** Heads of the answers, and questions about the object's status. */
const headsMaxBytes = 128 * KIB;

const server = await startS3Server();
const proxy = new UfsProxy(new URL(server.endpoint));
await proxy.start();
await server.createBucket('crowd');
t.teardown(async () => {
  await proxy.stop();
  await server.stop();
});
const mountOptions = { ...server.mountOptions, 'alluxio.underfs.s3.endpoint': proxy.endpoint };

const words = new Uint32Array(objectBytes / 4);
for (let at = 0; at < words.length; at++) words[at] = Math.imul(at + 1, 2_654_435_761);
const object = Buffer.from(words.buffer);

/** Straight to the server, past the proxy that counts. */
async function writeObject(key: string): Promise<void> {
  const registry = createUfsRegistry({
    clock: systemClock,
    random: systemRandom,
    localAllowedRoots: [],
    environment: {},
  });
  const ufs = registry.open(parseMountUri('s3://crowd/'), server.mountOptions);
  await ufs.write(key, object);
  await ufs.close();
}

/** What the answers say of the cache. */
const outcomes: string[] = [];

/** What came: the status, and whether the bytes are those of the object. */
function read(url: string, from: number, to: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false, headers: { range: `bytes=${from}-${to - 1}` } }, (response) => {
      outcomes.push(String(response.headers['x-alluxio-cache']));
      let at = from;
      let isRight = true;
      response.on('data', (chunk: Buffer) => {
        isRight &&= chunk.equals(object.subarray(at, at + chunk.length));
        at += chunk.length;
      });
      response.on('end', () => resolve(`${response.statusCode} ${isRight && at === to}`));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** All clients at once, in turn at each of these; then what crossed the wire to the storage. */
async function crowdAt(t: Test, urls: readonly string[]): Promise<void> {
  proxy.reset();
  const clients = Array.from({ length: clientCount }, (_, client) => {
    const url = urls[client % urls.length] ?? '';
    if (client % wholeEvery === 0) return read(url, 0, objectBytes);
    const from = (client * 1_000_003) % (objectBytes - pieceBytes);
    return read(url, from, from + pieceBytes);
  });
  t.strictSame(new Set(await Promise.all(clients)), new Set(['206 true']));
  const counts = Object.groupBy(outcomes.splice(0), (outcome) => outcome);
  t.comment(
    Object.entries(counts)
      .map(([outcome, all]) => `${outcome} ${all?.length}`)
      .join(', '),
  );
  const amplification = proxy.receivedBytes / objectBytes;
  t.comment(
    `${proxy.receivedBytes} bytes, ${amplification.toFixed(4)} of the object, ${proxy.countOf('GET')} GET, ${proxy.countOf('HEAD')} HEAD`,
  );
  t.ok(proxy.receivedBytes >= objectBytes && proxy.receivedBytes <= objectBytes + headsMaxBytes);
  t.ok(proxy.countOf('GET') <= 2 * pageCount, 'the asked end of a page, then its head');
}

t.test('at one worker', async (t) => {
  await writeObject('one');
  const running = await startTestStandalone({
    workDir: workDirOf(t, {}),
    mounts: [{ path: '/data', ufsUri: 's3://crowd/', options: mountOptions }],
  });
  t.teardown(() => running.stop());
  await crowdAt(t, [`${running.s3}/data/one`]);
});

t.test('at three workers', async (t) => {
  await writeObject('three');
  const root = workDirOf(t, { shared: {} });
  const etcd = await startEtcdServer();
  const common = commonDefinitions(root, etcd.endpoints);
  const coordinator = new Member({ role: 'coordinator', workDir: join(root, 'coordinator'), common });
  const workers = ['a', 'b', 'c'].map(
    (name) => new Member({ role: 'worker', workDir: join(root, name), common }),
  );
  t.teardown(async () => {
    await Promise.all([coordinator, ...workers].map((member) => member.stop('SIGKILL')));
    await etcd.stop();
  });
  await coordinator.url('at');
  const urls = await Promise.all(workers.map(async (worker) => `${await worker.url('S3')}/data`));
  const options = Object.entries(mountOptions).flatMap(([name, value]) => ['--option', `${name}=${value}`]);
  await runCommand(coordinator, common, [
    'mount',
    'add',
    '--path',
    '/data',
    '--ufs-uri',
    's3://crowd/',
    ...options,
  ]);
  await until(async () => {
    const heads = await Promise.all(urls.map((url) => fetch(`${url}/one`, { method: 'HEAD' })));
    return heads.every(({ status }) => status === 200);
  });
  await until(async () => {
    const text = (await runCommand(coordinator, common, ['info', 'nodes'])).stdout;
    return text.match(/ONLINE/g)?.length === 3;
  });
  await crowdAt(
    t,
    urls.map((url) => `${url}/three`),
  );
  // Why, where the storage was asked for more.
  const lines = workers.flatMap(({ errors, output }) => `${errors}${output}`.split('\n'));
  for (const line of lines) if (/"level":"(warn|error)"/.test(line)) t.comment(line);
});
