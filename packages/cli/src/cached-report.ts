/** `fs check-cached`: how much of the files below a path is cached, in the form of Alluxio's summary, then file by file. */

import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatSize } from '@alluxio-ts/common/units';

import { cachedData } from './file-format.ts';
import type { OnlineWorkers } from './online-workers.ts';
import { printable } from './printable.ts';
import type { Structured } from './structured-text.ts';
import { fitted } from './table.ts';

export interface CheckOptions {
  /** One file in so many is looked at. */
  readonly sample: number;
  /** The most that are. */
  readonly limit: number;
}

export interface CachedReport {
  readonly files: readonly FileInfo[];
  readonly fullCount: number;
  readonly partialCount: number;
  /** Files of which nothing is cached. */
  readonly missingCount: number;
  readonly checkedBytes: number;
  readonly cachedBytes: number;
}

/** At most `limit` files are in memory. */
export async function checkCached(
  worker: OnlineWorkers,
  path: string,
  options: CheckOptions,
): Promise<CachedReport> {
  const files: FileInfo[] = [];
  let seenCount = 0;
  for await (const file of worker.list(path, { isRecursive: true, wantsCached: true })) {
    if (file.mType !== 'file' || seenCount++ % options.sample !== 0) continue;
    if (files.length === options.limit) break;
    files.push(file);
  }
  const fullCount = files.filter((file) => file.mInAlluxioPercentage === 100).length;
  const missingCount = files.filter((file) => cachedBytesOf(file) === 0 && file.mLength > 0).length;
  const sum = (pick: (file: FileInfo) => number): number =>
    files.reduce((total, file) => total + pick(file), 0);
  return {
    files,
    fullCount,
    partialCount: files.length - fullCount - missingCount,
    missingCount,
    checkedBytes: sum((file) => file.mLength),
    cachedBytes: sum(cachedBytesOf),
  };
}

/** With the paths cut to a terminal of so many columns. */
export function reportText(report: CachedReport, columns = Number.POSITIVE_INFINITY): string {
  const lines = [
    `Total files checked: ${report.files.length}`,
    `Fully cached files count: ${report.fullCount}`,
    `Partially cached files count: ${report.partialCount}`,
    `Not cached files count: ${report.missingCount}`,
    `Total bytes checked: ${formatSize(report.checkedBytes)}`,
    `Bytes cached: ${formatSize(report.cachedBytes)}`,
    ...report.files.map((file) => {
      const share = `${String(file.mInAlluxioPercentage).padStart(3)}% `;
      return share + fitted(printable(file.mPath), columns - share.length);
    }),
  ];
  return `${lines.join('\n')}\n`;
}

export function reportData({ files, ...totals }: CachedReport): Structured {
  return {
    fileCount: files.length,
    ...totals,
    files: files.map((file) => ({ path: file.mPath, sizeBytes: file.mLength, ...cachedData(file) })),
  };
}

function cachedBytesOf(file: FileInfo): number {
  return file.mInAlluxioBytes ?? 0;
}
