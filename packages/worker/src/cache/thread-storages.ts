/** The storages that a fill thread has opened, one for each mount that it was asked for; so many at a time, and none of a mount that went. */

import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { FillThreadMount } from './fill-message.ts';

export interface ThreadStoragesOptions {
  /** More are open only while more are in use. */
  readonly openMax: number;
  readonly open: (mount: FillThreadMount) => Ufs;
}

interface OpenStorage {
  readonly ufs: Ufs;
  useCount: number;
  isGone: boolean;
}

export class ThreadStorages {
  readonly #options: ThreadStoragesOptions;
  /** The least recently used first. */
  readonly #open = new Map<number, OpenStorage>();

  constructor(options: ThreadStoragesOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#open.size;
  }

  async use<T>(mount: FillThreadMount, call: (ufs: Ufs) => Promise<T>): Promise<T> {
    const storage = this.#open.get(mount.id) ?? {
      ufs: this.#options.open(mount),
      useCount: 0,
      isGone: false,
    };
    this.#open.delete(mount.id);
    this.#open.set(mount.id, storage);
    storage.useCount++;
    try {
      return await call(storage.ufs);
    } finally {
      storage.useCount--;
      this.#closeUnused();
    }
  }

  /** Closes the mount's storage when its last use is over. */
  gone(mountId: number): void {
    const storage = this.#open.get(mountId);
    if (!storage) return;
    storage.isGone = true;
    this.#closeUnused();
  }

  #closeUnused(): void {
    for (const [id, { isGone, ufs, useCount }] of this.#open) {
      if (useCount > 0 || (!isGone && this.#open.size <= this.#options.openMax)) continue;
      this.#open.delete(id);
      // Its connections end in either case.
      ufs.close().catch(() => undefined);
    }
  }
}
