/** `fs ls`: a directory as it comes, page by page; whole and bounded where an order is asked for. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { withWorker } from './connections.ts';
import type { ProgramOptions } from './context.ts';
import type { JsonFlag } from './answer.ts';
import { fileData, formatLine, formatRow, type TimestampName } from './file-format.ts';
import { walk } from './file-walk.ts';
import { JsonList } from './json-list.ts';
import { LineBatch } from './line-batch.ts';
import type { OnlineWorkers } from './online-workers.ts';
import { onPath } from './path-failures.ts';

export interface ListFlags extends JsonFlag {
  readonly d?: true;
  readonly humanReadable?: true;
  readonly recursive?: true;
  readonly reverse?: true;
  readonly sort?: SortName;
  readonly timestamp: TimestampName;
}

type Order = (one: FileInfo, other: FileInfo) => number;

const orders = {
  creationTime: (one, other) => one.mCreationTimeMs - other.mCreationTimeMs,
  inMemoryPercentage: (one, other) => one.mInAlluxioPercentage - other.mInAlluxioPercentage,
  lastAccessTime: (one, other) => one.mLastAccessTimeMs - other.mLastAccessTimeMs,
  lastModificationTime: (one, other) => one.mLastModificationTimeMs - other.mLastModificationTimeMs,
  name: (one, other) => compareTexts(one.mName, other.mName),
  path: (one, other) => compareTexts(one.mPath, other.mPath),
  size: (one, other) => one.mLength - other.mLength,
} as const satisfies Readonly<Record<string, Order>>;

export type SortName = keyof typeof orders;
export const sortNames = Object.keys(orders) as readonly SortName[];

/** To sort, everything must be in memory. */
const sortedMax = 100_000;

export async function listPath(context: ProgramOptions, path: string, flags: ListFlags): Promise<void> {
  await withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const found = await worker.stat(path);
      const listing = listingOf(context, flags);
      for await (const file of ordered(path, entriesOf(worker, found, flags), flags)) {
        await listing.add(file);
      }
      await listing.end();
    }),
  );
}

/** Takes the files in their order, with little of them in memory. */
interface Listing {
  add(file: FileInfo): Promise<void>;
  end(): Promise<void>;
}

function listingOf(context: ProgramOptions, flags: ListFlags): Listing {
  if (flags.json) {
    const list = new JsonList(context);
    return { add: (file) => list.add(fileData(file)), end: () => list.end() };
  }
  const lines = new LineBatch(context);
  const { outColumns } = context;
  const options = { isHumanReadable: flags.humanReadable === true, timestamp: flags.timestamp };
  return {
    add: (file) =>
      lines.add(outColumns === undefined ? formatLine(file, options) : formatRow(file, options, outColumns)),
    end: () => lines.flush(),
  };
}

function entriesOf(
  worker: OnlineWorkers,
  found: FileInfo,
  flags: ListFlags,
): AsyncIterable<FileInfo> | Iterable<FileInfo> {
  if (flags.d || found.mType === 'file') return [found];
  const wantsCached = flags.sort === 'inMemoryPercentage';
  return flags.recursive ? walk(worker, found, { wantsCached }) : worker.list(found.mPath, { wantsCached });
}

async function* ordered(
  path: string,
  entries: AsyncIterable<FileInfo> | Iterable<FileInfo>,
  flags: ListFlags,
): AsyncGenerator<FileInfo> {
  if (flags.sort === undefined && !flags.reverse) {
    yield* entries;
    return;
  }
  const all: FileInfo[] = [];
  for await (const entry of entries) {
    if (all.length === sortedMax) {
      throw new AlluxioError(
        'InvalidArgument',
        `${path} has more than ${sortedMax} entries, too many to sort; list it without --sort and -r, and pipe it through "sort"`,
      );
    }
    all.push(entry);
  }
  all.sort(orders[flags.sort ?? 'path']);
  yield* flags.reverse ? all.toReversed() : all;
}

function compareTexts(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
