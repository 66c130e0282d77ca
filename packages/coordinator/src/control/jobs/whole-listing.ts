/** What a listing comes to: of all files, and of each worker's. */

import type { LoadItem } from './load-source.ts';
import type { LoadWorkers } from './load-workers.ts';

export class WholeListing {
  files = 0;
  bytes = 0;
  /** Of each worker's files, by its id. */
  readonly bytesOf = new Map<string, number>();
  readonly #workers: Pick<LoadWorkers, 'ownerOf'>;

  constructor(workers: Pick<LoadWorkers, 'ownerOf'>) {
    this.#workers = workers;
  }

  add({ sizeBytes = 0, ufsPath }: Pick<LoadItem, 'sizeBytes' | 'ufsPath'>): void {
    this.files++;
    this.bytes += sizeBytes;
    const owner = this.#workers.ownerOf(ufsPath);
    if (owner !== undefined) this.bytesOf.set(owner, (this.bytesOf.get(owner) ?? 0) + sizeBytes);
  }
}
