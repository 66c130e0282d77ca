import { AlluxioError } from '@alluxio-ts/common/errors';
import type { LogLevel } from '@alluxio-ts/common/log-level';
import { changeLogLevel, type ProcessLogger } from '@alluxio-ts/common/logger';
import type { LogLevelQuery, LogLevels } from '@alluxio-ts/common/protocol/coordinator-api';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';
import type { WorkerDirectory } from './worker-directory.ts';
import { workerNamed } from './worker-named.ts';

/** Who reaches the logs of workers. Both fail with Unreachable for a worker that does not answer. */
export interface WorkerLogs {
  logLevel(workerId: string, call: { readonly signal?: AbortSignal }): Promise<LogLevel>;
  /** Until that worker starts again. */
  setLogLevel(workerId: string, level: LogLevel, call: { readonly signal?: AbortSignal }): Promise<LogLevel>;
}

export interface LogHandlersOptions {
  readonly logger: ProcessLogger;
  readonly workers: WorkerDirectory;
  /** Undefined where no worker can be reached: calls for one then answer NotImplemented. */
  readonly workerLogs?: WorkerLogs;
}

type AskWorker = (logs: WorkerLogs, workerId: string) => Promise<LogLevel>;

export function logHandlers(
  options: LogHandlersOptions,
): Pick<CoordinatorHandlers, 'getLogLevel' | 'putLogLevel'> {
  const { logger } = options;
  return {
    getLogLevel: async ({ query, signal }) => {
      if (!isOfWorkers(query)) return { level: logger.level };
      return askWorkers(options, query, signal, (logs, id) => logs.logLevel(id, { signal }));
    },
    putLogLevel: async ({ query, body, signal }) => {
      if (isOfWorkers(query)) {
        return askWorkers(options, query, signal, (logs, id) => logs.setLogLevel(id, body.level, { signal }));
      }
      changeLogLevel(logger, body.level);
      return body;
    },
  };
}

type WorkersQuery = Extract<LogLevelQuery, { readonly worker: string } | { readonly all: string }>;

function isOfWorkers(query: LogLevelQuery): query is WorkersQuery {
  return 'worker' in query || 'all' in query;
}

/** Of all, those that are online. Fails with what the first one failed with, after all have answered. */
async function askWorkers(
  { workers, workerLogs }: LogHandlersOptions,
  query: WorkersQuery,
  signal: AbortSignal,
  ask: AskWorker,
): Promise<LogLevels> {
  if (!workerLogs) throw new AlluxioError('NotImplemented', 'this coordinator reaches no worker');
  const known = await workers.list({ signal });
  const chosen =
    'worker' in query
      ? [workerNamed(query.worker, known)]
      : known.filter(({ status }) => status === 'ONLINE');
  const results = await Promise.allSettled(
    chosen.map(async ({ id }) => ({ id, level: await ask(workerLogs, id) })),
  );
  return {
    workers: results.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    }),
  };
}
