/** What passes between a worker and its fill threads: plain data, since an error or a storage does not cross. */

import {
  AlluxioError,
  type ErrorCode,
  type ErrorContext,
  type ErrorRetry,
  toAlluxioError,
} from '@alluxio-ts/common/errors';
import type { SharedSlots } from '@alluxio-ts/common/slot-pool';
import type { UfsMetrics } from '@alluxio-ts/ufs-adapters/layers/with-metrics';
import type { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import type { FillJob, ReceivedPage } from './fill-runner.ts';

/** What a thread is started with. */
export interface FillThreadData {
  readonly slots: SharedSlots;
  readonly localAllowedRoots: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Among how many threads the requests that a mount may have under way are divided. */
  readonly threadCount: number;
  /** The rate that all threads of the worker hold together, if there is one. */
  readonly readRate: ReadRate['shared'] | undefined;
  readonly hedgesReads: boolean;
  /** Name of the channel on which the ids of mounts that went are told. */
  readonly goneChannel: string;
}

export interface FillThreadMount {
  /** Of this serving of the mount; never used again in this process. */
  readonly id: number;
  readonly uri: string;
  /** Secrets opened. */
  readonly options: Readonly<Record<string, string>>;
  /** Of the mount's circuit, which is kept by whoever serves it. */
  readonly circuit: SharedArrayBuffer;
}

export interface FillTask {
  readonly mount: FillThreadMount;
  readonly job: FillJob;
}

export interface FillAnswer {
  readonly result: ReceivedPage | PlainError;
  readonly counts: readonly UfsCount[];
}

/** A call of `UfsMetrics`, by its name and arguments. */
export type UfsCount = {
  readonly [Name in keyof UfsMetrics]: {
    readonly scheme: string;
    readonly name: Name;
    readonly values: Parameters<UfsMetrics[Name]>;
  };
}[keyof UfsMetrics];

/** An AlluxioError without its cause, which need not be cloneable. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly context: ErrorContext;
  readonly retry: ErrorRetry;
  readonly retryAfterMs: number | undefined;
}

export function plainErrorOf(thrown: unknown): PlainError {
  const { code, context, message, retry, retryAfterMs } = toAlluxioError(thrown);
  return { code, context, message, retry, retryAfterMs };
}

export function errorOfPlain({ code, context, message, retry, retryAfterMs }: PlainError): AlluxioError {
  return new AlluxioError(code, message, {
    context,
    retry,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** Counts to be carried to the thread that has the metrics. */
export class CarriedUfsMetrics {
  #counts: UfsCount[] = [];
  #bytes = new Map<string, number>();

  of(scheme: string): UfsMetrics {
    return {
      calls: (...values) => this.#counts.push({ scheme, name: 'calls', values }),
      // As many as there are chunks, so they are summed up.
      bytes: (count) => this.#bytes.set(scheme, (this.#bytes.get(scheme) ?? 0) + count),
      latencyMs: (...values) => this.#counts.push({ scheme, name: 'latencyMs', values }),
      retry: (...values) => this.#counts.push({ scheme, name: 'retry', values }),
      hedge: (...values) => this.#counts.push({ scheme, name: 'hedge', values }),
      pausedMs: (...values) => this.#counts.push({ scheme, name: 'pausedMs', values }),
    };
  }

  /** What was counted since the last time. */
  take(): readonly UfsCount[] {
    const counts = this.#counts;
    for (const [scheme, count] of this.#bytes) counts.push({ scheme, name: 'bytes', values: [count] });
    this.#counts = [];
    this.#bytes = new Map();
    return counts;
  }
}

export function replayCounts(counts: readonly UfsCount[], metricsOf: (scheme: string) => UfsMetrics): void {
  for (const count of counts) {
    const metrics = metricsOf(count.scheme);
    switch (count.name) {
      case 'calls':
        metrics.calls(...count.values);
        break;
      case 'bytes':
        metrics.bytes(...count.values);
        break;
      case 'latencyMs':
        metrics.latencyMs(...count.values);
        break;
      case 'retry':
        metrics.retry(...count.values);
        break;
      case 'hedge':
        metrics.hedge(...count.values);
        break;
      case 'pausedMs':
        metrics.pausedMs(...count.values);
        break;
      default:
        count satisfies never;
    }
  }
}
