/** A cluster to break: three workers, a coordinator, an etcd of three, files of many sizes, and readers that check every byte. */

import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@alluxio-ts/common/clock';
import { type CommandOutput, commonDefinitions, Member, runCommand, until } from '../support/cluster.ts';
import { type EtcdServer, startEtcdServer } from '../support/etcd-server.ts';
import { UfsProxy } from '../support/ufs-proxy.ts';

const bigEvery = 10;
const bigSizeBytes = 3 * 1024 * 1024;
const smallSizeBytes = 1500;
/** Of the file that is in every mount. */
const indexEverywhere = 1;
const readTimeoutMs = 150_000;

/** Every line says of which version it is, so that an answer of two versions shows. */
function contentOf(index: number, version: number): Buffer {
  const sizeBytes = index % bigEvery === 0 ? bigSizeBytes : smallSizeBytes * (1 + (index % 40));
  return Buffer.alloc(sizeBytes, `file ${index} version ${version}\n`);
}

const hugeName = 'huge';
const hugeSizeBytes = 48 * 1024 * 1024;
const hugeContent = (): Buffer =>
  Buffer.alloc(hugeSizeBytes, 'neither chunk nor page is a multiple of this line\n');

export class BreakableCluster {
  readonly fileCount: number;
  readonly etcd: EtcdServer;
  /** The last worker reaches etcd only through these. */
  readonly proxies: readonly UfsProxy[];
  readonly #root: string;
  readonly #members: Member[] = [];
  readonly #versions: number[];
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
    this.#versions = Array.from({ length: fileCount }, () => 0);
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

  /** Starts the worker that was stopped as the same one, and resolves when it answers. */
  async restartWorker(index: number): Promise<void> {
    const worker = this.#start('worker', index);
    this.#workers = this.#workers.map((each, at) => (at === index ? worker : each));
    await worker.url('S3');
  }

  /** Gives a file its next version, all of it at once. */
  async overwrite(index: number): Promise<void> {
    const version = (this.#versions[index] ?? 0) + 1;
    const file = this.#fileOf(index);
    await writeFile(`${file}.new`, contentOf(index, version));
    this.#versions[index] = version;
    await rename(`${file}.new`, file);
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
    const begunMs = systemClock.monotonic();
    const done = (failure: string | undefined, cache?: string | null): ReadFigures => ({
      failure,
      cache: cache ?? undefined,
      tookMs: systemClock.monotonic() - begunMs,
    });
    try {
      const url = `${await this.worker(worker).url('S3')}${mount}/set/f-${index}`;
      const response = await fetch(url, { signal: AbortSignal.timeout(readTimeoutMs) });
      const bytes = Buffer.from(await response.arrayBuffer());
      if (response.status !== 200) return done(`f-${index}: ${response.status} ${bytes.toString()}`);
      const version = Number(/version (\d+)\n/.exec(bytes.toString('latin1', 0, 60))?.[1]);
      const isKnown = version <= (this.#versions[index] ?? 0);
      if (!isKnown || !bytes.equals(contentOf(index, version))) return done(`f-${index}: wrong bytes`);
      return done(undefined, response.headers.get('x-alluxio-cache'));
    } catch (thrown) {
      const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause.message : '';
      return done(`f-${index}: ${String(thrown)} ${cause}`);
    }
  }

  /** Reads the one file that is larger than all buffers on the way, and waits for `midway` when its first bytes are here. */
  async readHuge(worker: number, midway: () => Promise<unknown>): Promise<ReadFigures> {
    const begunMs = systemClock.monotonic();
    const url = `${await this.worker(worker).url('S3')}/data/set/${hugeName}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(readTimeoutMs) });
    const chunks: Uint8Array[] = [];
    let failure: string | undefined;
    try {
      for await (const chunk of response.body ?? []) {
        if (chunks.length === 0) await midway();
        chunks.push(chunk);
      }
      if (!Buffer.concat(chunks).equals(hugeContent())) failure = `${hugeName}: wrong bytes`;
    } catch (thrown) {
      failure = `${hugeName}: ${String(thrown)}`;
    }
    const tookMs = systemClock.monotonic() - begunMs;
    return { failure, cache: response.headers.get('x-alluxio-cache') ?? undefined, tookMs };
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
    return this.#versions.map((_, index) => index);
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

  #start(role: 'coordinator' | 'worker', index = 0): Member {
    const workDir = role === 'worker' ? this.workDirOf(index) : join(this.#root, role);
    const ports = this.#ports[index] ?? [];
    const member = new Member({
      role,
      workDir,
      common: this.#common(role === 'worker' ? index : 0),
      ...(role === 'worker' ? { ports } : {}),
    });
    this.#members.push(member);
    return member;
  }
}

export interface ReadFigures {
  /** What was wrong; undefined when every byte was right. */
  readonly failure: string | undefined;
  readonly cache: string | undefined;
  readonly tookMs: number;
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
  readonly #cluster: BreakableCluster;
  readonly #through: readonly number[];
  readonly #indexes: readonly number[];
  readonly #lanes: readonly Promise<void>[];
  readonly failures: string[] = [];
  failureCount = 0;
  readCount = 0;
  slowestMs = 0;
  #isOver = false;

  constructor(cluster: BreakableCluster, { through, indexes, laneCount = 3 }: LoadOptions) {
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
