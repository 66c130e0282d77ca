/** A cluster to break: three workers, a coordinator, an etcd of three, files of many sizes, and readers that check every byte. */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommandOutput, commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { type EtcdServer, startEtcdServer } from '../support/etcd-server.ts';
import { UfsProxy } from '../support/ufs-proxy.ts';
import {
  contentOf,
  hugeContent,
  hugeName,
  readChecked,
  type ReadFigures,
  TestFiles,
} from './cluster-files.ts';

/** Of the file that is in every mount. */
const indexEverywhere = 1;

export class BreakableCluster {
  readonly fileCount: number;
  readonly etcd: EtcdServer;
  /** The last worker reaches etcd only through these. */
  readonly proxies: readonly UfsProxy[];
  readonly #root: string;
  readonly #members: Member[] = [];
  readonly files: TestFiles;
  #coordinator: Member;
  #workers: readonly Member[] = [];
  #ports: readonly (readonly string[])[] = [];

  /** Whether waits are held against their bars: not where the machine may be busy with other tests. */
  readonly isTimed: boolean;

  private constructor(
    root: string,
    fileCount: number,
    parts: {
      readonly etcd: EtcdServer;
      readonly proxies: readonly UfsProxy[];
      readonly isTimed: boolean;
    },
  ) {
    this.#root = root;
    this.fileCount = fileCount;
    this.files = new TestFiles(fileCount);
    this.etcd = parts.etcd;
    this.isTimed = parts.isTimed;
    this.proxies = parts.proxies;
    this.#coordinator = this.#start('coordinator');
  }

  static async start(
    root: string,
    fileCount: number,
    options: { readonly isTimed: boolean },
  ): Promise<BreakableCluster> {
    await mkdir(join(root, 'data', 'data', 'set'), { recursive: true });
    const etcd = await startEtcdServer({ memberCount: 3 });
    const proxies = etcd.endpoints.map((endpoint) => new UfsProxy(new URL(endpoint)));
    await Promise.all(proxies.map((proxy) => proxy.start()));
    const cluster = new BreakableCluster(root, fileCount, { etcd, proxies, ...options });
    try {
      await cluster.#begin();
      return cluster;
    } catch (thrown) {
      await cluster.stop();
      throw thrown;
    }
  }

  get workerCount(): number {
    return this.#workers.length;
  }

  worker(index: number): Member {
    const worker = this.#workers[index];
    if (!worker) throw new Error(`no worker ${index}`);
    return worker;
  }

  workDirOf(index: number): string {
    return join(this.#root, `worker-${index}`);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop('SIGKILL')));
    await Promise.all(this.proxies.map((proxy) => proxy.stop()));
    await this.etcd.stop();
  }

  command(...args: readonly string[]): Promise<CommandOutput> {
    return runCommand(this.#coordinator, this.#common(0), args);
  }

  killCoordinator(): Promise<unknown> {
    return this.#coordinator.stop('SIGKILL');
  }

  async startCoordinator(): Promise<void> {
    this.#coordinator = this.#start('coordinator');
    await this.#coordinator.url('at');
  }

  /** Starts the worker that was stopped as the same one, and resolves when it answers. `more` is what it is told beside the usual. */
  async restartWorker(index: number, more: readonly string[] = []): Promise<void> {
    const worker = this.#start('worker', index, more);
    this.#workers = this.#workers.map((each, at) => (at === index ? worker : each));
    await worker.url('S3');
  }

  /** Gives a file its next version, all of it at once. */
  overwrite(index: number): Promise<void> {
    const file = this.#fileOf(index);
    return this.files.overwrite(index, async (bytes) => {
      await writeFile(`${file}.new`, bytes);
      await rename(`${file}.new`, file);
    });
  }

  /** Mounts a directory of its own, with one file in it. */
  async addMount(path: string): Promise<CommandOutput> {
    const directory = join(this.#root, 'data', path);
    await mkdir(join(directory, 'set'), { recursive: true });
    await writeFile(join(directory, 'set', `f-${indexEverywhere}`), contentOf(indexEverywhere, 0));
    return this.command('mount', 'add', '--path', path, '--ufs-uri', directory);
  }

  /** Resolves when every worker reads through this mount. */
  async served(path: string): Promise<void> {
    for (let worker = 0; worker < this.workerCount; worker++) {
      await until(async () => (await this.read(worker, indexEverywhere, path)).failure === undefined);
    }
  }

  async read(worker: number, index: number, mount = '/data'): Promise<ReadFigures> {
    return this.files.read(index, `${await this.worker(worker).url('S3')}${mount}/set/f-${index}`);
  }

  /** Whether the file is read as it was last written. */
  async isNewest(worker: number, index: number): Promise<boolean> {
    return this.files.isNewest(index, `${await this.worker(worker).url('S3')}/data/set/f-${index}`);
  }

  /** Reads the one file that is larger than all buffers on the way, and waits for `midway` when its first bytes are here. */
  async readHuge(worker: number, midway: () => Promise<unknown>): Promise<ReadFigures> {
    const url = `${await this.worker(worker).url('S3')}/data/set/${hugeName}`;
    return readChecked(url, (bytes) => bytes.equals(hugeContent()), midway);
  }

  /** The worker that owns the large file. */
  async ownerOfHuge(): Promise<number> {
    const port = await this.#ownerSeenBy(0, join(this.#root, 'data', 'data', 'set', hugeName));
    const ports = await Promise.all(this.#workers.map((worker) => worker.restPort()));
    return ports.indexOf(port);
  }

  /** Whom this worker takes for the owner, by the port of its REST API. */
  async #ownerSeenBy(worker: number, file: string): Promise<string> {
    const response = await fetch(`${await this.worker(worker).url('REST')}/v1/node?path=file://${file}`);
    return String(((await response.json()) as { readonly HttpServerPort: number }).HttpServerPort);
  }

  /** The files whose owner, as `seenBy` sees it, is this worker. */
  async filesOf(owner: number, seenBy: number): Promise<readonly number[]> {
    const port = await this.worker(owner).restPort();
    const owners = await Promise.all(
      this.indexes.map((index) => this.#ownerSeenBy(seenBy, this.#fileOf(index))),
    );
    return this.indexes.filter((index) => owners[index] === port);
  }

  get indexes(): readonly number[] {
    return this.files.indexes;
  }

  /** Resolves when every worker takes all of them for owners. */
  async whole(): Promise<void> {
    for (let seenBy = 0; seenBy < this.workerCount; seenBy++) {
      await until(async () => {
        const owners = this.indexes.map((index) => this.#ownerSeenBy(seenBy, this.#fileOf(index)));
        return new Set(await Promise.all(owners)).size === this.workerCount;
      });
    }
  }

  async #begin(): Promise<void> {
    for (const index of this.indexes) await writeFile(this.#fileOf(index), contentOf(index, 0));
    await writeFile(join(this.#root, 'data', 'data', 'set', hugeName), hugeContent());
    await this.#coordinator.url('at');
    this.#workers = [0, 1, 2].map((index) => this.#start('worker', index));
    this.#ports = await Promise.all(this.#workers.map((worker) => worker.ports()));
    await this.addMount('/data');
    await this.served('/data');
    await this.whole();
  }

  #fileOf(index: number): string {
    return join(this.#root, 'data', 'data', 'set', `f-${index}`);
  }

  #common(index: number): readonly string[] {
    const endpoints = index === 2 ? this.proxies.map(({ endpoint }) => endpoint) : this.etcd.endpoints;
    return [...commonDefinitions(this.#root, endpoints), '-Dalluxio.worker.metadata.default.max.age=1s'];
  }

  #start(role: 'coordinator' | 'worker', index = 0, more: readonly string[] = []): Member {
    const workDir = role === 'worker' ? this.workDirOf(index) : join(this.#root, role);
    const ports = this.#ports[index] ?? [];
    const member = new Member({
      role,
      workDir,
      common: [...this.#common(role === 'worker' ? index : 0), ...more],
      ...(role === 'worker' ? { ports } : {}),
    });
    this.#members.push(member);
    return member;
  }
}

/** What a load reads. */
export interface ReadableCluster {
  readonly indexes: readonly number[];
  read(worker: number, index: number): Promise<ReadFigures>;
}

export interface LoadOptions {
  /** The workers that are asked, in turn. */
  readonly through: readonly number[];
  readonly indexes?: readonly number[];
  readonly laneCount?: number;
}

const failuresKeptMax = 5;

/** Readers that go on until `stop`, each with one read at a time. */
export class ReadLoad {
  readonly #cluster: ReadableCluster;
  readonly #through: readonly number[];
  readonly #indexes: readonly number[];
  readonly #lanes: readonly Promise<void>[];
  readonly failures: string[] = [];
  failureCount = 0;
  readCount = 0;
  slowestMs = 0;
  #isOver = false;

  constructor(cluster: ReadableCluster, { through, indexes, laneCount = 3 }: LoadOptions) {
    this.#cluster = cluster;
    this.#through = through;
    this.#indexes = indexes ?? cluster.indexes;
    this.#lanes = Array.from({ length: laneCount }, (_, lane) => this.#lane(lane, laneCount));
  }

  /** Resolves when so many more reads have ended. */
  more(count: number): Promise<void> {
    const goal = this.readCount + count;
    return until(() => this.readCount >= goal);
  }

  async stop(): Promise<this> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
    return this;
  }

  async #lane(lane: number, laneCount: number): Promise<void> {
    for (let turn = lane; !this.#isOver; turn += laneCount) {
      const index = this.#indexes[turn % this.#indexes.length] ?? 0;
      const worker = this.#through[Math.floor(turn / laneCount) % this.#through.length] ?? 0;
      const { failure, tookMs } = await this.#cluster.read(worker, index);
      this.readCount++;
      this.slowestMs = Math.max(this.slowestMs, Math.round(tookMs));
      if (failure === undefined) continue;
      this.failureCount++;
      if (this.failures.length < failuresKeptMax)
        this.failures.push(`${failure} after ${Math.round(tookMs)} ms`);
    }
  }
}
