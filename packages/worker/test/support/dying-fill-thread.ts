/** A fill thread that ends in the middle of fills of certain keys, after it has brought some of the bytes. */

import { workerData } from 'node:worker_threads';
import { SlotPool } from '@alluxio-ts/common/slot-pool';
import type { FillAnswer, FillTask, FillThreadData } from '../../src/cache/fill-message.ts';
import { fill as fillForReal } from '../../src/fill-thread.ts';

const slots = SlotPool.attach((workerData as FillThreadData).slots);

export async function fill(task: FillTask): Promise<FillAnswer> {
  const { key, slot } = task.job;
  if (!key.startsWith('die-')) return fillForReal(task);
  slots.advanceTail(slot, 100);
  if (key === 'die-exit') process.exit(3);
  if (key === 'die-memory') takeAllMemory();
  setImmediate(() => {
    throw new Error('a bug of the thread');
  });
  return new Promise(() => undefined);
}

function takeAllMemory(): never {
  const held: unknown[] = [];
  for (;;) held.push(Array.from({ length: 100_000 }, (_, at) => ({ at })));
}
