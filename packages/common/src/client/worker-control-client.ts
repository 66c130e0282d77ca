/** What the coordinator, or another worker, asks of a worker of its cluster, known to it by the peer mark. */

import type { Clock } from '../clock.ts';
import type { LogLevel } from '../log-level.ts';
import {
  type FreeResult,
  freeResultSchema,
  logLevelSchema,
  workerStatsSchema,
  type WorkerStats,
} from '../protocol/coordinator-api.ts';
import { type WorkerDiagnosis, workerDiagnosisSchema } from '../protocol/diagnosis.ts';
import { type LoadBatch, type LoadBatchResult, loadBatchResultSchema } from '../protocol/load-batch.ts';
import { cachedBytesSchema, controlTargets, type FileOfVersion } from '../protocol/worker-api.ts';
import { makePeerMark, peerMarkHeader } from '../protocol/peer-mark.ts';
import { type ClientCallOptions, RemoteProcess } from './remote-process.ts';

export interface WorkerControlClientOptions {
  readonly host: string;
  /** The worker's HttpServerPort. */
  readonly port: number;
  readonly secret: string;
  readonly clock: Clock;
}

/** What is said of 10,000 files that all failed. */
const answerMaxBytes = 16 * 1024 * 1024;

export class WorkerControlClient {
  readonly #remote: RemoteProcess;

  constructor(options: WorkerControlClientOptions) {
    const { secret, clock } = options;
    this.#remote = new RemoteProcess({
      name: 'worker',
      host: options.host,
      port: options.port,
      headersOf: ({ method, pathAndQuery }) => ({
        [peerMarkHeader]: makePeerMark({ method, target: pathAndQuery }, secret, clock.now()),
      }),
      unreachableHint: 'is it running, and can this machine reach it?',
      foreignHint: 'is it a worker of this cluster, with the same alluxio.cluster.secret.file?',
      answerMaxBytes,
    });
  }

  free(path: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    const pathAndQuery = `${controlTargets.free}?path=${encodeURIComponent(path.toWellFormed())}`;
    return this.#remote.callJson({ ...call, method: 'POST', pathAndQuery }, freeResultSchema);
  }

  freeAll(call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#remote.callJson(
      { ...call, method: 'POST', pathAndQuery: controlTargets.freeAll },
      freeResultSchema,
    );
  }

  /** Bytes that the worker has of each of these versions, in their order. */
  async cachedBytes(
    files: readonly FileOfVersion[],
    call: ClientCallOptions = {},
  ): Promise<readonly number[]> {
    const { bytes } = await this.#remote.callJson(
      {
        ...call,
        method: 'POST',
        pathAndQuery: controlTargets.cachedBytes,
        body: JSON.stringify({ files }),
      },
      cachedBytesSchema,
    );
    return bytes;
  }

  /** Returns soon after the batch's deadline. An aborted call ends the load; what is under way is kept. */
  load(batch: LoadBatch, call: ClientCallOptions = {}): Promise<LoadBatchResult> {
    return this.#remote.callJson(
      { ...call, method: 'POST', pathAndQuery: controlTargets.load, body: JSON.stringify(batch) },
      loadBatchResultSchema,
    );
  }

  stats(call: ClientCallOptions = {}): Promise<WorkerStats> {
    return this.#remote.callJson(
      { ...call, method: 'GET', pathAndQuery: controlTargets.stats },
      workerStatsSchema,
    );
  }

  async logLevel(call: ClientCallOptions = {}): Promise<LogLevel> {
    const pathAndQuery = controlTargets.logLevel;
    return (await this.#remote.callJson({ ...call, method: 'GET', pathAndQuery }, logLevelSchema)).level;
  }

  async setLogLevel(level: LogLevel, call: ClientCallOptions = {}): Promise<LogLevel> {
    const pathAndQuery = `${controlTargets.logLevel}?level=${level}`;
    return (await this.#remote.callJson({ ...call, method: 'POST', pathAndQuery }, logLevelSchema)).level;
  }

  diagnose(call: ClientCallOptions & { readonly measuresDisks: boolean }): Promise<WorkerDiagnosis> {
    const { measuresDisks, ...rest } = call;
    const method = measuresDisks ? 'POST' : 'GET';
    return this.#remote.callJson(
      { ...rest, method, pathAndQuery: controlTargets.diagnosis },
      workerDiagnosisSchema,
    );
  }

  close(): Promise<void> {
    return this.#remote.close();
  }
}
