/**
 * Servers that have none of the objects themselves and pass on what another has: a worker of a cluster of three, asked only for files that the other two
 * own, and nginx with `proxy_pass`. The one that passes on has core 0 for itself; those behind it share core 1 with the load generator.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadGenerator } from './load-generator.ts';
import {
  type BenchServer,
  serverCore,
  spawnPinned,
  startNginx,
  startNginxProxy,
  stopOf,
  untilStdout,
  workerDefinitions,
} from './servers.ts';
import type { ObjectSet } from './workloads.ts';

const upstreamCore = 1;
const workerCount = 3;
const settleDeadlineMs = 30_000;
const pollMs = 100;
/** With 16 objects one folder in 660 has none that the asked worker owns. */
const folderTriesMax = 20_000;
/** A page is written to the store after it was answered. */
const cachedTriesMax = 50;

export interface RelayParts {
  readonly dir: string;
  readonly contentDir: string;
  readonly repositoryDir: string;
  readonly etcdEndpoint: string;
  readonly objects: ObjectSet;
  readonly load: LoadGenerator;
}

/** nginx before nginx, with the proxy's buffers on and off; all are added to `servers`, which is stopped also when this fails. */
export async function startRelayingNginx(
  parts: RelayParts,
  servers: BenchServer[],
): Promise<readonly BenchServer[]> {
  const contentDir = join(parts.contentDir, 'nginx');
  mkdirSync(contentDir, { recursive: true });
  parts.load.makeObjects(contentDir, parts.objects);
  const dir = join(parts.dir, 'relay-nginx');
  const owner = await startNginx({
    name: 'owner',
    dir: join(dir, 'owner'),
    contentDir,
    isNopushOn: false,
    core: upstreamCore,
  });
  servers.push(owner);
  const proxies: BenchServer[] = [];
  for (const isBufferingOn of [true, false]) {
    const proxy = await startNginxProxy({
      name: `nginx proxy_pass, buffering ${isBufferingOn ? 'on' : 'off'}`,
      dir: join(dir, `proxy-${isBufferingOn}`),
      upstreamPort: owner.port,
      isBufferingOn,
    });
    servers.push(proxy);
    proxies.push(proxy);
  }
  return proxies;
}

/** A cluster of three workers with this transport; what is given is the first of them, with a folder of objects that are all of the others. */
export async function startRelayingWorker(
  transport: string,
  parts: RelayParts,
  servers: BenchServer[],
): Promise<BenchServer> {
  const dir = join(parts.dir, `relay-${transport}`);
  const main = join(parts.repositoryDir, 'packages', 'cli', 'bin', 'alluxio.js');
  const shared = [
    ...workerDefinitions,
    `alluxio.etcd.endpoints=${parts.etcdEndpoint}`,
    `alluxio.cluster.name=bench-${transport}`,
    `alluxio.cluster.secret.file=${join(dir, 'secret')}`,
    `alluxio.security.key.file=${join(dir, 'key')}`,
    `alluxio.security.admin.token.file=${join(dir, 'token')}`,
    `alluxio.ufs.local.allowed.roots=${parts.contentDir}`,
    `alluxio.worker.transport=${transport}`,
  ].map((definition) => `-D${definition}`);
  const start = async (role: string, name: string, core: number) => {
    const own = `-Dalluxio.work.dir=${join(dir, name)}`;
    const child = spawnPinned(process.execPath, [main, 'process', 'start', role, ...shared, own], core);
    const started = { name, pid: child.pid ?? 0, port: 0, folder: '', stop: stopOf(child) };
    servers.push(started);
    return { ...started, line: await untilStdout(child, / is running.*\n/) };
  };
  const coordinator = await start('coordinator', 'coordinator', upstreamCore);
  const workers = [];
  for (let index = 0; index < workerCount; index++) {
    workers.push(await start('worker', `worker-${index}`, index === 0 ? serverCore : upstreamCore));
  }
  const coordinatorPort = portIn(coordinator.line, 'at');
  execFileSync(process.execPath, [
    main,
    'mount',
    'add',
    '--path',
    '/bench',
    '--ufs-uri',
    parts.contentDir,
    ...shared,
    `-Dalluxio.coordinator.web.port=${coordinatorPort}`,
  ]);
  const [entry] = workers;
  if (!entry) throw new Error('a cluster has workers');
  const restPorts = workers.map(({ line }) => portIn(line, 'REST'));
  await untilSettled(restPorts, parts.contentDir);
  const folder = await foreignFolder(transport, restPorts[0] ?? 0, parts);
  mkdirSync(join(parts.contentDir, folder), { recursive: true });
  parts.load.makeObjects(join(parts.contentDir, folder), parts.objects);
  const server: BenchServer = {
    name: `alluxio-ts relay, ${transport}`,
    pid: entry.pid,
    port: portIn(entry.line, 'S3'),
    folder: `/bench/${folder}`,
    stop: entry.stop,
  };
  await mustRelayHits(server, parts.objects);
  return server;
}

/** Caches every object at its owner on the way. */
async function mustRelayHits({ folder, name, port }: BenchServer, objects: ObjectSet): Promise<void> {
  for (let object = 0; object < objects.count; object++) {
    const url = `http://127.0.0.1:${port}${folder}/${objects.prefix}-${object}.bin`;
    let outcome: string | null = null;
    for (let attempt = 0; attempt < cachedTriesMax && outcome !== 'hit-peer'; attempt++) {
      if (attempt > 1) await delay(pollMs);
      const response = await fetch(url);
      await response.bytes();
      outcome = response.headers.get('x-alluxio-cache');
    }
    if (outcome !== 'hit-peer') throw new Error(`${name} answers ${url} as ${outcome} instead of hit-peer`);
  }
}

/** Until every worker has the mount and names three owners. */
async function untilSettled(restPorts: readonly number[], contentDir: string): Promise<void> {
  const probes = Array.from({ length: 64 }, (_, index) => `file://${contentDir}/probe-${index}`);
  for (let waitedMs = 0; waitedMs < settleDeadlineMs; waitedMs += pollMs) {
    const settled = await Promise.all(
      restPorts.map(async (port) => {
        const listed = await fetch(`http://127.0.0.1:${port}/v1/files?path=file://${contentDir}`);
        await listed.bytes();
        const owners = await Promise.all(probes.map((path) => ownerPort(port, path)));
        return listed.ok && new Set(owners).size === workerCount;
      }),
    );
    if (settled.every(Boolean)) return;
    await delay(pollMs);
  }
  throw new Error('the workers of the cluster did not find each other');
}

async function foreignFolder(transport: string, entryPort: number, parts: RelayParts): Promise<string> {
  const { contentDir, objects } = parts;
  for (let index = 0; index < folderTriesMax; index++) {
    const folder = `${transport}-${index}`;
    let isForeign = true;
    for (let object = 0; isForeign && object < objects.count; object++) {
      const path = `file://${contentDir}/${folder}/${objects.prefix}-${object}.bin`;
      isForeign = (await ownerPort(entryPort, path)) !== entryPort;
    }
    if (isForeign) return folder;
  }
  throw new Error('no folder was found whose objects are all owned by others');
}

async function ownerPort(restPort: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${restPort}/v1/node?path=${encodeURIComponent(path)}`);
  return ((await response.json()) as { readonly HttpServerPort: number }).HttpServerPort;
}

function portIn(line: string, label: string): number {
  return Number(new RegExp(`${label} http://[^,\\s]+:(\\d+)`).exec(line)?.[1]);
}
