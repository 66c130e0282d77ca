/** `fs check-cached`: how much of the files below a path is cached, in the form of Alluxio's summary, then file by file. */

import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatSize } from '@alluxio-ts/common/units';
import { printable } from './file-format.ts';
import type { OnlineWorkers } from './online-workers.ts';

export interface CheckOptions {
  /** One file in so many is looked at. */
  readonly sample: number;
  /** The most that are. */
  readonly limit: number;
}

/** The lines; at most `limit` files are in memory. */
export async function checkCached(
  worker: OnlineWorkers,
  path: string,
  options: CheckOptions,
): Promise<readonly string[]> {
  const checked: FileInfo[] = [];
  let seenCount = 0;
  for await (const file of worker.list(path, { isRecursive: true, wantsCached: true })) {
    if (file.mType !== 'file' || seenCount++ % options.sample !== 0) continue;
    if (checked.length === options.limit) break;
    checked.push(file);
  }
  const fullCount = checked.filter((file) => file.mInAlluxioPercentage === 100).length;
  const emptyCount = checked.filter((file) => cachedBytesOf(file) === 0 && file.mLength > 0).length;
  const sum = (pick: (file: FileInfo) => number): number =>
    checked.reduce((total, file) => total + pick(file), 0);
  return [
    `Total files checked: ${checked.length}`,
    `Fully cached files count: ${fullCount}`,
    `Partially cached files count: ${checked.length - fullCount - emptyCount}`,
    `Not cached files count: ${emptyCount}`,
    `Total bytes checked: ${formatSize(sum((file) => file.mLength))}`,
    `Bytes cached: ${formatSize(sum(cachedBytesOf))}`,
    ...checked.map((file) => `${String(file.mInAlluxioPercentage).padStart(3)}% ${printable(file.mPath)}`),
  ];
}

function cachedBytesOf(file: FileInfo): number {
  return file.mInAlluxioBytes ?? 0;
}
