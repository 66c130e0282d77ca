/**
 * What a load job comes to, and whether each worker has room for its part: as its pass has listed it, or, where that takes as long as the loading does, by a listing of its own
 * beside it.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Job } from '@alluxio-ts/common/protocol/jobs';
import { withRetries } from '@alluxio-ts/common/retry';
import { formatSize } from '@alluxio-ts/common/units';
import type { LoadPassParts } from './load-pass.ts';
import { loadPagesOf } from './load-source.ts';
import type { LoadWorkers } from './load-workers.ts';
import { WholeListing } from './whole-listing.ts';

export type JobTotal = NonNullable<Job['total']>;

export interface LoadTotalOptions extends LoadPassParts {
  readonly job: Job;
  /** As the pass has it, if it soon does. */
  readonly listed: Promise<WholeListing | undefined>;
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
  const { clock, random, workers, job, listed, onCounted } = options;
  const counted =
    (await listed) ??
    (await withRetries({ clock, random, triesMax, pauseMinMs, pauseMaxMs, ...call }, () =>
      countOnce(options, call.signal),
    ));
  onCounted(totalOf(counted, true));
  if (job.options.loadMetadataOnly || job.options.dryRun) return;
  for (const [workerId, bytes] of counted.bytesOf) await checkRoom(workers, workerId, bytes, call);
}

async function countOnce(
  { job, mounted, clock, workers, onCounted }: LoadTotalOptions,
  signal: AbortSignal,
): Promise<WholeListing> {
  signal.throwIfAborted();
  const whole = new WholeListing(workers);
  let toldFiles = 0;
  for await (const page of loadPagesOf(job, { pass: 'load', source: 0 }, { mounted, clock, signal })) {
    for (const item of page) whole.add(item);
    if (whole.files - toldFiles < toldEachFiles) continue;
    toldFiles = whole.files;
    onCounted(totalOf(whole, false));
  }
  return whole;
}

function totalOf({ bytes, files }: WholeListing, isComplete: boolean): JobTotal {
  return { files, bytes, isComplete };
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
