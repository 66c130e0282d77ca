/** Empties the cache by path, as the coordinator asks for it. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FileCache, Freed } from './file-cache.ts';
import { type FileName, fileNameOf, type MountTable } from './mount-table.ts';

export class CacheControl {
  readonly #cache: FileCache;
  readonly #mounts: MountTable;

  constructor(cache: FileCache, mounts: MountTable) {
    this.#cache = cache;
    this.#mounts = mounts;
  }

  /**
   * Forgets the file of this path and every file below it, and drops their pages. The path is one of Alluxio's namespace (`/s3/dir`) or a full
   * UFS path. Fails with MountNotFound.
   */
  async free(path: string): Promise<Freed> {
    const { mount, key } = findPath(path, this.#mounts);
    const one = key === '' ? nothing : await this.#cache.free(fileNameOf(mount, key));
    const below = await this.#cache.freeBelow(mount, key);
    return {
      fileCount: one.fileCount + below.fileCount,
      pageCount: one.pageCount + below.pageCount,
      freedBytes: one.freedBytes + below.freedBytes,
    };
  }

  /** Empties the cache of this worker. */
  freeAll(): Promise<Freed> {
    return this.#cache.freeAll();
  }
}

const nothing: Freed = { fileCount: 0, pageCount: 0, freedBytes: 0 };

/** The file or directory of a full UFS path, or of a path of Alluxio's namespace. A trailing slash names the same directory. Throws MountNotFound. */
export function findPath(path: string, mounts: MountTable): FileName {
  const trimmed = path.replace(/\/+$/, '');
  const byUfs = mounts.findByUfsPath(trimmed);
  if (byUfs) return byUfs;
  const slash = trimmed.indexOf('/', 1);
  const mount = trimmed.startsWith('/')
    ? mounts.get(slash < 0 ? trimmed : trimmed.slice(0, slash))
    : undefined;
  if (!mount)
    throw new AlluxioError(
      'MountNotFound',
      `no mount holds ${path}; "alluxio mount list" shows what is mounted`,
    );
  return fileNameOf(mount, slash < 0 ? '' : trimmed.slice(slash + 1));
}
