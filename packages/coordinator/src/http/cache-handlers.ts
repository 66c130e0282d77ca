import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FreeResult } from '@alluxio-ts/common/protocol/coordinator-api';
import type { Logger } from '@alluxio-ts/common/logger';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';
import type { WorkerDirectory } from './worker-directory.ts';
import { workerNamed } from './worker-named.ts';

/** Who empties caches. */
export interface CacheControl {
  /** Drops what is cached below a mounted path (`/s3`, `/s3/dir`), on every worker. Fails with MountNotFound. */
  free(path: string, call: { readonly signal?: AbortSignal }): Promise<FreeResult>;
  /** Drops everything that the worker of this id has cached: all pages and all it knows of files. */
  freeAll(workerId: string, call: { readonly signal?: AbortSignal }): Promise<FreeResult>;
}

export interface CacheHandlersOptions {
  /** Undefined where no worker can be reached: the call then answers NotImplemented. */
  readonly cache: CacheControl | undefined;
  readonly workers: WorkerDirectory;
  readonly logger: Logger;
}

export function cacheHandlers(options: CacheHandlersOptions): Pick<CoordinatorHandlers, 'freeCache'> {
  const { cache, workers, logger } = options;
  return {
    freeCache: async ({ query, signal }) => {
      if (!cache) {
        throw new AlluxioError('NotImplemented', 'this coordinator has no workers whose cache it could free');
      }
      const call = { signal };
      if ('path' in query) return cache.free(query.path, call);
      const known = await workers.list(call);
      const chosen = 'worker' in query ? [workerNamed(query.worker, known)] : known;
      const freed: FreeResult = { fileCount: 0, pageCount: 0, freedBytes: 0 };
      for (const { id } of chosen) {
        const { fileCount, pageCount, freedBytes } = await cache.freeAll(id, call);
        freed.fileCount += fileCount;
        freed.pageCount += pageCount;
        freed.freedBytes += freedBytes;
      }
      logger.info({ workers: chosen.map(({ id }) => id), ...freed }, 'cache-freed');
      return freed;
    },
  };
}
