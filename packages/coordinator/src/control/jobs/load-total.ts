/** Counts what a load job comes to, by a listing of its own beside the load, and whether each worker has room for its part. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Job } from '@alluxio-ts/common/protocol/jobs';
import { withRetries } from '@alluxio-ts/common/retry';
import { formatSize } from '@alluxio-ts/common/units';
import type { LoadPassParts } from './load-pass.ts';
import { loadItemsOf } from './load-source.ts';
import type { LoadWorkers } from './load-workers.ts';

export type JobTotal = NonNullable<Job['total']>;

export interface LoadTotalOptions extends LoadPassParts {
  readonly job: Job;
  readonly onCounted: (total: JobTotal) => void;
}

const triesMax = 4;
const pauseMinMs = 500;
const pauseMaxMs = 10_000;
const toldEachFiles = 1000;

/** Fails with what the listing fails with, and with InvalidArgument when a worker's part is larger than its cache. */
export async function countTotal(
  options: LoadTotalOptions,
  call: { readonly signal: AbortSignal },
): Promise<void> {
  const { clock, random, workers, job } = options;
  const bytesOf = new Map<string, number>();
  await withRetries({ clock, random, triesMax, pauseMinMs, pauseMaxMs, ...call }, async () => {
    bytesOf.clear();
    await countOnce(options, bytesOf, call.signal);
  });
  if (job.options.loadMetadataOnly || job.options.dryRun) return;
  for (const [workerId, bytes] of bytesOf) await checkRoom(workers, workerId, bytes, call);
}

async function countOnce(
  { job, mounted, clock, workers, onCounted }: LoadTotalOptions,
  bytesOf: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  let files = 0;
  let bytes = 0;
  for await (const { sizeBytes = 0, ufsPath } of loadItemsOf(
    job,
    { pass: 'load', source: 0 },
    { mounted, clock, signal },
  )) {
    files++;
    bytes += sizeBytes;
    const owner = workers.ownerOf(ufsPath);
    if (owner !== undefined) bytesOf.set(owner, (bytesOf.get(owner) ?? 0) + sizeBytes);
    if (files % toldEachFiles === 0) onCounted({ files, bytes, isComplete: false });
  }
  onCounted({ files, bytes, isComplete: true });
}

async function checkRoom(
  workers: LoadWorkers,
  workerId: string,
  bytes: number,
  call: { readonly signal: AbortSignal },
): Promise<void> {
  const room = await workers.roomOf(workerId, call);
  if (!room || bytes <= room.capacityBytes) return;
  throw new AlluxioError(
    'InvalidArgument',
    `it does not fit: ${workerId} owns ${formatSize(bytes)} of it and can cache ${formatSize(room.capacityBytes)}; load less, add workers or room, or load as much as stays with --partial-listing`,
  );
}
