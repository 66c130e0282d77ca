/** A cluster whose members are hosts of a test network, with a real S3 server for a storage. What is cut off hangs, as behind a broken switch; each has its own wall clock if it is given one. */

import { join } from 'node:path';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import { type CommandOutput, commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { type EtcdServer, startEtcdServer } from '../support/etcd-server.ts';
import { type S3Server, startS3Server } from '../support/s3-server.ts';
import type { FakeWallClock } from '../support/fake-wall-clock.ts';
import { TestNetwork } from '../support/test-network.ts';
import {
  contentOf,
  hugeContent,
  hugeName,
  readChecked,
  type ReadFigures,
  TestFiles,
} from './cluster-files.ts';
import type { ReadableCluster } from './cluster-load.ts';

export const workerNames = ['worker-0', 'worker-1', 'worker-2'] as const;
export type HostName = (typeof workerNames)[number] | 'coordinator' | 'etcd' | 'storage';
const hostNames: readonly HostName[] = [...workerNames, 'coordinator', 'etcd', 'storage'];

const bucket = 'partitioned';
/** So that what it takes to give a storage up, a minute or more by default, is over soon. */
const impatience = {
  'alluxio.underfs.s3.connect.timeout': '1s',
  'alluxio.underfs.s3.request.timeout': '2s',
};

/** Each worker has its address for itself, and keeps its ports when it is started again. */
const workerPorts = ['worker.rest.port=29998', 'worker.http.server.port=28080', 'worker.web.port=30000'].map(
  (port) => `-Dalluxio.${port}`,
);

interface HostClusterParts {
  readonly network: TestNetwork;
  readonly etcd: EtcdServer;
  readonly storage: S3Server;
  readonly clocks: ReadonlyMap<HostName, FakeWallClock>;
}

export class HostCluster implements ReadableCluster {
  readonly network: TestNetwork;
  readonly #files: TestFiles;
  readonly #common: readonly string[];
  readonly etcd: EtcdServer;
  readonly #storage: S3Server;
  readonly #ufs: Ufs;
  readonly #coordinator: Member;
  #workers: readonly Member[];
  readonly #start: (role: 'coordinator' | 'worker', name: HostName) => Member;
  #newFileCount = 0;

  private constructor(root: string, fileCount: number, parts: HostClusterParts) {
    this.network = parts.network;
    this.etcd = parts.etcd;
    this.#storage = parts.storage;
    this.#files = new TestFiles(fileCount);
    const registry = createUfsRegistry({
      clock: systemClock,
      random: systemRandom,
      localAllowedRoots: [],
      environment: {},
    });
    this.#ufs = registry.open(parseMountUri(`s3://${bucket}/`), parts.storage.mountOptions);
    this.#common = [
      ...commonDefinitions(root, parts.etcd.endpoints),
      '-Dalluxio.worker.metadata.default.max.age=1s',
    ];
    this.#start = (role, name) =>
      new Member({
        role,
        workDir: join(root, name),
        common: this.#common,
        host: parts.network.host(name),
        ports: workerPorts,
        environment: parts.clocks.get(name)?.environment ?? {},
      });
    this.#coordinator = this.#start('coordinator', 'coordinator');
    this.#workers = workerNames.map((name) => this.#start('worker', name));
  }

  static async start(
    root: string,
    fileCount: number,
    clocks: ReadonlyMap<HostName, FakeWallClock> = new Map(),
  ): Promise<HostCluster> {
    const network = await TestNetwork.create(hostNames);
    const [etcd, storage] = await Promise.all([
      startEtcdServer({ host: network.host('etcd') }),
      startS3Server(network.host('storage')),
    ]);
    const cluster = new HostCluster(root, fileCount, { network, etcd, storage, clocks });
    await cluster.#begin();
    return cluster;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#coordinator, ...this.#workers].map((member) => member.stop('SIGKILL')));
    await Promise.all([this.etcd.stop(), this.#storage.stop(), this.#ufs.close()]);
  }

  command(...args: readonly string[]): Promise<CommandOutput> {
    return runCommand(this.#coordinator, this.#common, args);
  }

  /** Mounts a prefix of its own, with the first file in it. */
  async addMount(path: string): Promise<CommandOutput> {
    await this.#ufs.write(`${path.slice(1)}/f-0`, contentOf(0, 0));
    const mountOptions = { ...this.#storage.mountOptions, ...impatience };
    const options = Object.entries(mountOptions).flatMap(([name, value]) => ['--option', `${name}=${value}`]);
    return this.command('mount', 'add', '--path', path, '--ufs-uri', `s3://${bucket}${path}/`, ...options);
  }

  /** Resolves when every worker reads through this mount. */
  async served(path: string): Promise<void> {
    for (const worker of this.#workers.keys())
      await until(async () => (await this.read(worker, 0, path)).failure === undefined);
  }

  get indexes(): readonly number[] {
    return this.#files.indexes;
  }

  overwrite(index: number): Promise<void> {
    return this.#files.overwrite(index, (bytes) => this.#ufs.write(`data/f-${index}`, bytes));
  }

  async read(worker: number, index: number, mount = '/data'): Promise<ReadFigures> {
    return this.#files.read(index, `${await this.#worker(worker).url('S3')}${mount}/f-${index}`);
  }

  /** A file that was never read before and that this worker owns, as `seenBy` sees it. */
  async newFileOf(owner: number, seenBy: number): Promise<string> {
    for (;;) {
      const name = `new-${this.#newFileCount++}`;
      if ((await this.#ownerOf(name, seenBy)) !== this.#addresses()[owner]) continue;
      await this.#ufs.write(`data/${name}`, Buffer.from(name));
      return name;
    }
  }

  async readNew(worker: number, name: string): Promise<ReadFigures> {
    const url = `${await this.#worker(worker).url('S3')}/data/${name}`;
    return readChecked(url, (bytes) => bytes.toString() === name);
  }

  /** Waits for `midway` when the first bytes are here. */
  async readHuge(worker: number, midway: () => Promise<unknown>): Promise<ReadFigures> {
    const url = `${await this.#worker(worker).url('S3')}/data/${hugeName}`;
    return readChecked(url, (bytes) => bytes.equals(hugeContent()), midway);
  }

  /** The files whose owner, as `seenBy` sees it, is this worker. */
  async filesOf(owner: number, seenBy: number): Promise<readonly number[]> {
    const address = this.#addresses()[owner];
    const owners = await Promise.all(this.indexes.map((index) => this.#ownerOf(`f-${index}`, seenBy)));
    return this.indexes.filter((index) => owners[index] === address);
  }

  async ownerOfHuge(): Promise<number> {
    return this.#addresses().indexOf(await this.#ownerOf(hugeName, 0));
  }

  /** Resolves when every worker takes all of them for owners. */
  async whole(): Promise<void> {
    for (const seenBy of this.#workers.keys()) {
      await until(async () => {
        const owners = this.indexes.map((index) => this.#ownerOf(`f-${index}`, seenBy));
        return new Set(await Promise.all(owners)).size === workerNames.length;
      });
    }
  }

  /** How often this worker has logged this. */
  logged(worker: number, message: string): number {
    const { output, errors } = this.#worker(worker);
    return (output + errors).split(`"${message}"`).length - 1;
  }

  /** `kill -9`, and the same worker again. */
  async restart(worker: number): Promise<void> {
    const name = workerNames[worker];
    if (name === undefined) throw new Error(`no worker ${worker}`);
    await this.#worker(worker).stop('SIGKILL');
    const again = this.#start('worker', name);
    this.#workers = this.#workers.map((each, at) => (at === worker ? again : each));
    await again.url('S3');
  }

  /** Whether the file is read as it was last written. */
  async isNewest(worker: number, index: number): Promise<boolean> {
    return this.#files.isNewest(index, `${await this.#worker(worker).url('S3')}/data/f-${index}`);
  }

  #addresses(): readonly string[] {
    return workerNames.map((name) => this.network.host(name).address);
  }

  #worker(index: number): Member {
    const worker = this.#workers[index];
    if (!worker) throw new Error(`no worker ${index}`);
    return worker;
  }

  async #ownerOf(name: string, seenBy: number): Promise<string> {
    const rest = await this.#worker(seenBy).url('REST');
    const response = await fetch(`${rest}/v1/node?path=s3://${bucket}/data/${name}`);
    return ((await response.json()) as { readonly Host: string }).Host;
  }

  async #begin(): Promise<void> {
    await this.#storage.createBucket(bucket);
    for (const index of this.indexes) await this.#ufs.write(`data/f-${index}`, contentOf(index, 0));
    await this.#ufs.write(`data/${hugeName}`, hugeContent());
    await this.#coordinator.url('at');
    await Promise.all(this.#workers.map((worker) => worker.url('S3')));
    const { stderr } = await this.addMount('/data');
    if (stderr !== '') throw new Error(stderr);
    await this.served('/data');
    await this.whole();
  }
}
