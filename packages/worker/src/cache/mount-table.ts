/** The mounts that this process serves, each with its opened under storage. Kept up to date by whoever watches the state store. */

import type { MountUri } from '@alluxio-ts/common/ufs-path';
import { keyBelowMount, ufsPathOf } from '@alluxio-ts/common/ufs-path';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';

export interface ServedMount {
  /** `/s3`. */
  readonly path: string;
  readonly uri: MountUri;
  readonly ufs: Ufs;
  /** When the mount was first seen here, for listings: milliseconds since the epoch. */
  readonly sinceMs: number;
}

/** A file as a client named it, found below a mount. */
export interface FileName {
  readonly mount: ServedMount;
  /** Raw key below the mount. */
  readonly key: string;
  readonly ufsPath: string;
}

export class MountTable {
  readonly #byPath = new Map<string, ServedMount>();
  readonly #waiting: (() => void)[] = [];

  /** Sets or replaces the mount at its path; gives the replaced one, whose under storage is the caller's to close. */
  set(mount: ServedMount): ServedMount | undefined {
    const replaced = this.#byPath.get(mount.path);
    this.#byPath.set(mount.path, mount);
    for (const wake of this.#waiting.splice(0)) wake();
    return replaced;
  }

  delete(path: string): ServedMount | undefined {
    const removed = this.#byPath.get(path);
    this.#byPath.delete(path);
    return removed;
  }

  /** In the order of their paths. */
  list(): readonly ServedMount[] {
    return [...this.#byPath.values()].toSorted((one, other) => (one.path < other.path ? -1 : 1));
  }

  get(path: string): ServedMount | undefined {
    return this.#byPath.get(path);
  }

  /** Resolves when there is a mount at this path. Rejects with the signal's reason. */
  async whenServed(path: string, options: { readonly signal: AbortSignal }): Promise<void> {
    while (!this.#byPath.has(path)) {
      options.signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      options.signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
    }
  }

  /** The file of a full UFS path, whichever spelling of the scheme the client used; undefined when no mount holds it. */
  findByUfsPath(path: string): FileName | undefined {
    for (const mount of this.#byPath.values()) {
      const key = keyBelowMount(mount.uri, path);
      if (key !== undefined) return fileNameOf(mount, key);
    }
    return undefined;
  }
}

export function fileNameOf(mount: ServedMount, key: string): FileName {
  return { mount, key, ufsPath: ufsPathOf(mount.uri, key) };
}
