/** `/v1/files` and `/v1/info`: directories are what a delimiter cuts, since an object store has none. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { findPath } from '../cache/cache-control.ts';
import type { FileCache } from '../cache/file-cache.ts';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';
import { fileNameOf } from '../cache/mount-table.ts';
import type { FileObject } from './file-object.ts';
import { directoryObject, fileObject } from './file-object.ts';

export interface ListingOptions {
  readonly cache: FileCache;
  readonly mounts: MountTable;
}

interface Call {
  readonly signal: AbortSignal;
}

/** The call has no pages, so a directory over this bound is refused instead of held in memory. */
const entriesMax = 100_000;

/** What lies directly in a directory, or the file itself. */
export async function listFiles(
  path: string,
  options: ListingOptions,
  call: Call,
): Promise<readonly FileObject[]> {
  const { mount, key } = findPath(path, options.mounts);
  const directory = key === '' ? '' : `${key}/`;
  const objects: FileObject[] = [];
  const listing = options.cache.list(mount, { prefix: directory, delimiter: '/', signal: call.signal });
  for await (const entry of listing) {
    if (objects.length === entriesMax) {
      throw new AlluxioError(
        'InvalidArgument',
        `${path} has more than ${entriesMax} entries; list it through the S3 API`,
      );
    }
    if (entry.kind === 'prefix') objects.push(directoryObject(mount, entry.key.slice(0, -1)));
    else if (entry.file.key !== directory) {
      objects.push(fileObject(mount, entry.file, { cachedPercentage: 0 }));
    }
  }
  if (objects.length > 0 || key === '') return objects;
  return [await statPath(path, options, call)];
}

/** The file or directory; FileNotFound when it is neither. */
export async function statPath(path: string, options: ListingOptions, call: Call): Promise<FileObject> {
  const { mount, key } = findPath(path, options.mounts);
  if (key === '') return directoryObject(mount, '');
  const found = await options.cache.lookup(fileNameOf(mount, key));
  if (found) {
    const pages = options.cache.cachedPages(found);
    const cachedPercentage = Math.round((100 * pages.filter(Boolean).length) / Math.max(1, pages.length));
    return fileObject(mount, found.record.status, { cachedPercentage });
  }
  if (await hasBelow(mount, key, options, call)) return directoryObject(mount, key);
  throw new AlluxioError('FileNotFound', `no such file or directory: ${path}`);
}

async function hasBelow(
  mount: ServedMount,
  key: string,
  options: ListingOptions,
  call: Call,
): Promise<boolean> {
  for await (const entry of options.cache.list(mount, { prefix: `${key}/`, limit: 1, signal: call.signal })) {
    return entry.kind === 'file' || entry.kind === 'prefix';
  }
  return false;
}
