/**
 * Memory as it is on a machine that has been up for a while: full of clean pages of files, which the kernel gives to whoever needs some. Without it what is measured is how a hypervisor gives back
 * memory that it had taken away as unused: a new file's page then costs several times what writing it does, and who comes later after the last big file was removed pays more.
 */

import { closeSync, ftruncateSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { GIB, KIB, MIB } from '@alluxio-ts/common/units';

/** Of which the disk has nothing; half of what ext4 takes for a file. */
const fileBytes = 8192 * GIB;
/** So much stays free, above what the kernel keeps for itself. */
const restBytes = 400 * MIB;

export class FullPageCache {
  readonly #path: string;
  readonly #fd: number;
  readonly #piece = new Uint8Array(64 * MIB);
  #position = 0;

  constructor(dir: string) {
    this.#path = join(dir, 'holes');
    this.#fd = openSync(this.#path, 'wx+');
    ftruncateSync(this.#fd, fileBytes);
  }

  /** Reads holes until no memory is free. A second or three for each GiB that is. */
  fill(): void {
    const endPosition = this.#position + 2 * totalmem();
    while (freeBytes() > restBytes && this.#position < endPosition)
      this.#position += readSync(this.#fd, this.#piece, 0, this.#piece.length, this.#position);
  }

  close(): void {
    closeSync(this.#fd);
    rmSync(this.#path);
  }
}

function freeBytes(): number {
  const [, count] = /^MemFree: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? [];
  if (count === undefined) throw new Error('/proc/meminfo does not say how much memory is free');
  return Number(count) * KIB;
}
