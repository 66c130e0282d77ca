/** The load generator of `bench/load`: builds it at first use, makes the objects with it, runs it. */

import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ObjectSet, Workload } from './workloads.ts';

export interface LoadResult {
  readonly requests: number;
  readonly bytes: number;
  /** Answers whose bytes were compared. */
  readonly verified: number;
  readonly wallSeconds: number;
  /** Of the load generator itself. */
  readonly cpuSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** How late the load generator itself came to send what was due: of a reader, which runs before everything else, what the machine took. */
  readonly late99Us: number;
}

export interface LoadTarget {
  readonly port: number;
  /** Path below which the objects are: `/bench`. */
  readonly folder: string;
  /** Where the REST API gives them, and their UFS path. */
  readonly rest?: { readonly port: number; readonly ufsRoot: string };
}

const clientCore = 1;
/** A reader that nobody stops ends by itself. */
const readerMsMax = 3_600_000;
const run = promisify(execFile);

export class LoadGenerator {
  readonly #binary: string;

  private constructor(binary: string) {
    this.#binary = binary;
  }

  /** Fails with what cargo says. */
  static build(benchDir: string): LoadGenerator {
    const manifest = join(benchDir, 'load', 'Cargo.toml');
    execFileSync('cargo', ['build', '--release', '--locked', '--quiet', '--manifest-path', manifest], {
      stdio: 'inherit',
    });
    return new LoadGenerator(join(benchDir, 'load', 'target', 'release', 'alluxio-bench-load'));
  }

  makeObjects(dir: string, objects: ObjectSet): void {
    execFileSync(this.#binary, ['make', '--dir', dir, ...objectArguments(objects)], { stdio: 'inherit' });
  }

  /** Reads every object once, whole, and compares all of its bytes. */
  async sweep(target: LoadTarget, objects: ObjectSet): Promise<void> {
    await this.#run(target, objects, { requestBytes: 0, connectionCount: 4, verifyEvery: 1, ms: 0, seed: 0 });
  }

  async measure(
    target: LoadTarget,
    workload: Workload,
    options: { readonly ms: number; readonly seed: number; readonly ratePerSecond?: number },
  ): Promise<LoadResult> {
    return this.#run(target, workload.objects, { ...workload, ...options });
  }

  /**
   * Begins to ask for whole objects and goes on until it is stopped: as fast as they come, or at a rate, asleep between requests. One with a rate is, as a client on another
   * machine would be, never kept from a processor: it runs before everything else, which takes root.
   */
  startReader(target: LoadTarget, { connectionCount, objects, ratePerSecond }: ReaderKind): Reader {
    const load = { requestBytes: 0, connectionCount, verifyEvery: 1, ms: readerMsMax, seed: 1 };
    const pace = ratePerSecond === undefined ? {} : { ratePerSecond, sleeps: true };
    const [program = '', ...args] = this.#commandOf(target, objects, { ...load, ...pace });
    const running =
      ratePerSecond === undefined ? run(program, args) : run('chrt', ['--fifo', '1', program, ...args]);
    return {
      stop: async () => {
        running.child.kill('SIGTERM');
        return resultOf(await running);
      },
    };
  }

  async #run(target: LoadTarget, objects: ObjectSet, load: Load): Promise<LoadResult> {
    return resultOf(
      await run('taskset', ['-c', String(clientCore), ...this.#commandOf(target, objects, load)]),
    );
  }

  #commandOf(target: LoadTarget, objects: ObjectSet, load: Load): readonly string[] {
    const rest = load.isOfPages === true ? target.rest : undefined;
    const flags = {
      address: `127.0.0.1:${rest?.port ?? target.port}`,
      folder: target.folder,
      pages: rest?.ufsRoot ?? '',
      request: load.requestBytes,
      connections: load.connectionCount,
      fresh: load.isFresh === true ? 1 : 0,
      rate: Math.round(load.ratePerSecond ?? 0),
      sleeps: load.sleeps === true ? 1 : 0,
      'verify-every': load.verifyEvery,
      ms: load.ms,
      seed: load.seed,
    };
    const options = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)]);
    return [this.#binary, 'run', ...objectArguments(objects), ...options];
  }
}

export interface ReaderKind {
  readonly objects: ObjectSet;
  readonly connectionCount: number;
  /** As fast as they come unless given. */
  readonly ratePerSecond?: number;
}

export interface Reader {
  /** Resolves when what is under way has been answered. */
  stop(): Promise<LoadResult>;
}

interface Load {
  readonly requestBytes: number;
  readonly connectionCount: number;
  readonly verifyEvery: number;
  readonly ms: number;
  readonly seed: number;
  /** A connection for each request. */
  readonly isFresh?: boolean;
  /** Asked of the REST API, where the server has one. */
  readonly isOfPages?: boolean;
  /** Requests begin at this rate, whether earlier ones have been answered or not; as fast as they are answered unless given. */
  readonly ratePerSecond?: number;
  /** Between the requests of a rate; else the core is kept busy. */
  readonly sleeps?: boolean;
}

function resultOf({ stdout }: { readonly stdout: string }): LoadResult {
  return JSON.parse(stdout) as LoadResult;
}

function objectArguments(objects: ObjectSet): readonly string[] {
  const { count, prefix, sizeBytes } = objects;
  return ['--prefix', prefix, '--count', String(count), '--size', String(sizeBytes)];
}
