/** The directories of a worker's cache as they are told of: each with its store, or with the reason why it has none. */

import { constants } from 'node:fs';
import { type FileHandle, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@alluxio-ts/common/clock';
import type { CacheDirStats } from '@alluxio-ts/common/protocol/coordinator-api';
import { type CacheDirDiagnosis, faultOf } from '@alluxio-ts/common/protocol/diagnosis';
import { MIB } from '@alluxio-ts/common/units';
import { alignedBytes, openDirect } from './direct-file.ts';
import type { DiskPageStore } from './disk-page-store.ts';

export interface CacheDir {
  readonly dir: string;
  readonly capacityBytes: number;
  /** What is in use of it, or why nothing is. */
  readonly use: { readonly store: DiskPageStore } | { readonly reason: string };
}

export function cacheDirStats({ dir, capacityBytes, use }: CacheDir): CacheDirStats {
  if ('reason' in use) return { dir, capacityBytes, ...nothing, state: 'unused', reason: use.reason };
  const { corruptCount, pageCount, usedBytes } = use.store.stats();
  const scrubbedMs = use.store.scrubStats()?.passEndedMs;
  const { segmentCount } = use.store;
  const { failedReadCount, failedWriteCount, reason, state } = use.store.health();
  return {
    dir,
    state,
    capacityBytes,
    usedBytes,
    pageCount,
    segmentCount,
    failedReadCount,
    failedWriteCount,
    corruptPageCount: corruptCount,
    ...(scrubbedMs === undefined ? {} : { scrubbedMs }),
    ...(reason === undefined ? {} : { reason }),
  };
}

const nothing = {
  usedBytes: 0,
  pageCount: 0,
  segmentCount: 0,
  failedReadCount: 0,
  failedWriteCount: 0,
  corruptPageCount: 0,
};

/** Measuring the speed writes to the directory; without it nothing is written. */
export async function diagnoseCacheDir(
  cacheDir: CacheDir,
  { clock, measuresSpeed }: { readonly clock: Clock; readonly measuresSpeed: boolean },
): Promise<CacheDirDiagnosis> {
  const stats = cacheDirStats(cacheDir);
  const freeBytes = await statfs(cacheDir.dir).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => undefined,
  );
  return {
    ...stats,
    ...(freeBytes === undefined ? {} : { freeBytes }),
    ...(measuresSpeed ? { speed: await speedOf(cacheDir.dir, clock) } : {}),
  };
}

const speedFileName = 'speed.tmp';
const chunkBytes = 4 * MIB;
/** Enough to see a disk that is ten times slower than it should be, little enough to do no harm to its readers. */
const chunkCount = 8;

/** Past the memory of the kernel, where the file system can; the write counts with its sync. */
async function speedOf(dir: string, clock: Clock): Promise<CacheDirDiagnosis['speed']> {
  const path = join(dir, speedFileName);
  try {
    const chunk = alignedBytes(chunkBytes).fill(0x5a);
    const written = await timeOf(path, constants.O_RDWR | constants.O_CREAT, clock, async (file) => {
      for (let index = 0; index < chunkCount; index++) {
        await file.write(chunk, 0, chunkBytes, index * chunkBytes);
      }
      await file.sync();
    });
    const read = await timeOf(path, constants.O_RDONLY, clock, async (file) => {
      for (let index = 0; index < chunkCount; index++) {
        await file.read(chunk, 0, chunkBytes, index * chunkBytes);
      }
    });
    return { writeBytesPerSecond: perSecond(written), readBytesPerSecond: perSecond(read) };
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  } finally {
    await rm(path, { force: true }).catch(() => undefined);
  }
}

async function timeOf(
  path: string,
  flags: number,
  clock: Clock,
  run: (file: FileHandle) => Promise<void>,
): Promise<number> {
  const file = await openDirect(path, flags);
  try {
    const begunMs = clock.monotonic();
    await run(file);
    return clock.monotonic() - begunMs;
  } finally {
    await file.close();
  }
}

function perSecond(durationMs: number): number {
  return Math.round((chunkCount * chunkBytes * 1000) / Math.max(1, durationMs));
}
