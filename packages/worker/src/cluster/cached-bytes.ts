/** How much of files is cached, in the one place where each is cached: by this worker, or by its owner in the cluster. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import { WorkerControlClient } from '@alluxio-ts/common/client/worker-control-client';
import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import { hostAndPortOf, type WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import type { FileOfVersion } from '@alluxio-ts/common/protocol/worker-api';
import type { FileCache } from '../cache/file-cache.ts';
import type { MountTable } from '../cache/mount-table.ts';
import type { Placement } from '../cache/placement.ts';

/** Bytes that are cached of each of these versions, in their order. */
export type CachedBytes = (
  files: readonly FileOfVersion[],
  call: { readonly signal: AbortSignal },
) => Promise<readonly number[]>;

/** Of what this worker itself has. A file of no mount has nothing. */
export function ownCachedBytes(cache: FileCache, mounts: MountTable): CachedBytes {
  return async (files) => {
    const counts: number[] = [];
    for (const { ufsPath, version, sizeBytes } of files) {
      const file = mounts.findByUfsPath(ufsPath);
      counts.push(file ? cache.cachedBytesOf(file, { version, sizeBytes }) : 0);
      await nextTurn();
    }
    return counts;
  };
}

export interface OwnersCachedBytesOptions {
  readonly own: CachedBytes;
  readonly placement: Placement;
  readonly self: () => WorkerNetAddress;
  readonly secret: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** An owner that says nothing for so long counts as gone. */
const answerTimeoutMs = 5000;

/** Of what the owners have. While one of them cannot be asked nothing of its files counts as cached: they are read past the cache. */
export function ownersCachedBytes(options: OwnersCachedBytesOptions): CachedBytes {
  return async (files, call) => {
    const { placement, self, own } = options;
    const groups = new Map<string, { readonly owner: WorkerNetAddress; readonly indexes: number[] }>();
    for (const [index, { ufsPath }] of files.entries()) {
      const owner = placement.ownersOf(ufsPath)[0] ?? self();
      const name = hostAndPortOf(owner);
      const group = groups.get(name) ?? { owner, indexes: [] };
      groups.set(name, group);
      group.indexes.push(index);
    }
    const counts = Array.from({ length: files.length }, () => 0);
    const asking = [...groups].map(async ([name, { owner, indexes }]) => {
      const asked = indexes.flatMap((index) => files[index] ?? []);
      const ask = name === hostAndPortOf(self()) ? own(asked, call) : askOwner(owner, asked, options, call);
      for (const [at, count] of (await ask).entries()) counts[indexes[at] ?? -1] = count;
    });
    await Promise.all(asking);
    return counts;
  };
}

async function askOwner(
  { Host: host, HttpServerPort: port }: WorkerNetAddress,
  files: readonly FileOfVersion[],
  { secret, clock, logger }: OwnersCachedBytesOptions,
  call: { readonly signal: AbortSignal },
): Promise<readonly number[]> {
  const client = new WorkerControlClient({ host, port, secret, clock });
  try {
    const signal = AbortSignal.any([call.signal, AbortSignal.timeout(answerTimeoutMs)]);
    return await client.cachedBytes(files, { signal });
  } catch (thrown) {
    call.signal.throwIfAborted();
    logger.warn({ host, port, error: thrown }, 'owner-not-asked');
    return [];
  } finally {
    await client.close();
  }
}
