/** The dataset that a first start makes and mounts at `/sample`, so that there is something to read: the same bytes on every machine. */

import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MIB } from '@alluxio-ts/common/units';

const helloText =
  'Hello from alluxio-ts. You read this through the cache; the x-alluxio-cache header says how.\n';
const rowCount = 20_000;
const imageCount = 24;
const imageSizeBytes = 110 * 1024;
const blobSizeBytes = 24 * MIB;

/** Makes what is missing of it in `directory`. */
export async function makeSampleDataset(directory: string): Promise<void> {
  await mkdir(join(directory, 'images'), { recursive: true });
  await makeFile(join(directory, 'hello.txt'), () => Buffer.from(helloText));
  await makeFile(join(directory, 'table.csv'), () => Buffer.from(makeTable()));
  await makeFile(join(directory, 'blob.bin'), () => makeBytes(1, blobSizeBytes));
  for (let index = 0; index < imageCount; index++) {
    const name = `${String(index).padStart(4, '0')}.bin`;
    await makeFile(join(directory, 'images', name), () => makeBytes(index + 2, imageSizeBytes));
  }
}

/** Whole or not at all, whenever the process ends. */
async function makeFile(path: string, make: () => Uint8Array): Promise<void> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  await writeFile(`${path}.part`, make());
  await rename(`${path}.part`, path);
}

function makeTable(): string {
  const rows = ['id,label,value'];
  for (let id = 0; id < rowCount; id++) rows.push(`${id},class-${(id * 7) % 10},${(id * 7919) % 104_729}`);
  return `${rows.join('\n')}\n`;
}

/** Bytes of a linear congruential generator (Numerical Recipes' constants). */
function makeBytes(seed: number, lengthBytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(lengthBytes / 4));
  let state = seed >>> 0;
  for (let index = 0; index < words.length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, lengthBytes);
}
