/** Whether a directory that failed is in order again: it is still the same one, and a few bytes come back as they were written. */

import { Buffer } from 'node:buffer';
import { constants } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '@alluxio-ts/common/clock';
import { alignedBytes, directAlignmentBytes, openDirect } from './direct-file.ts';
import type { StoreFile } from './store-file.ts';

export const probeFileName = 'probe.tmp';

export interface DirProbeOptions {
  /** Where the segments lie: pages can be written only there. */
  readonly folder: string;
  readonly storeFile: StoreFile;
  readonly random: Random;
}

/**
 * One block to the device and back, without a sync. Rejects with the system's error, or with one that says what was found instead. An empty mount point
 * in the place of the disk is found by its `store.json`, which is another one or none.
 */
export async function probeDir({ folder, random, storeFile }: DirProbeOptions): Promise<void> {
  await storeFile.confirm();
  const path = join(folder, probeFileName);
  const written = alignedBytes(directAlignmentBytes);
  written.set(random.bytes(directAlignmentBytes));
  const read = alignedBytes(directAlignmentBytes);
  const file = await openDirect(path, constants.O_RDWR | constants.O_CREAT);
  try {
    await file.write(written, 0, written.length, 0);
    await file.read(read, 0, read.length, 0);
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
  if (!Buffer.from(written).equals(read)) throw new Error('what was written was not read back');
}
