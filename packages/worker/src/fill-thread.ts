/** What runs in a fill thread: opens the storages of mounts for itself, and receives pages into the slots that it is told. */

import { BroadcastChannel, workerData } from 'node:worker_threads';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { ReadRate } from '@alluxio-ts/ufs-adapters/read-rate';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import {
  CarriedUfsMetrics,
  type FillAnswer,
  type FillTask,
  type FillThreadData,
  plainErrorOf,
} from './cache/fill-message.ts';
import { receivePage } from './cache/fill-runner.ts';
import { ThreadStorages } from './cache/thread-storages.ts';

const openStoragesMax = 64;

// Only ThreadFillRunner starts this file, and this is what it gives.
const data = workerData as FillThreadData;
const slots = SlotPool.attach(data.slots);
const metrics = new CarriedUfsMetrics();
const registry = createUfsRegistry({
  clock: systemClock,
  random: systemRandom,
  environment: data.environment,
  localAllowedRoots: data.localAllowedRoots,
  metrics: (scheme) => metrics.of(scheme),
  concurrencyShare: 1 / data.threadCount,
  keepsCircuits: false,
  readRate: data.readRate && new ReadRate({ ...data.readRate, clock: systemClock }),
  hedgesReads: data.hedgesReads,
});
const storages = new ThreadStorages({
  openMax: openStoragesMax,
  open: ({ circuit, options, uri }) => registry.open(parseMountUri(uri), options, { check: false, circuit }),
});

const goneMounts = new BroadcastChannel(data.goneChannel);
goneMounts.addEventListener('message', (message) =>
  storages.gone((message as { readonly data: number }).data),
);

export async function fill({ job, mount }: FillTask): Promise<FillAnswer> {
  try {
    const result = await storages.use(mount, (ufs) => receivePage(ufs, job, slots));
    return { result, counts: metrics.take() };
  } catch (thrown) {
    return { result: plainErrorOf(thrown), counts: metrics.take() };
  }
}
