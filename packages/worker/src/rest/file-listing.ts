/** `/v1/files` and `/v1/info`: directories are what a delimiter cuts, since an object store has none. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { ListEntry } from '@alluxio-ts/ufs-adapters/ufs';
import { findPath } from '../cache/cache-control.ts';
import type { FileCache, LookupOptions } from '../cache/file-cache.ts';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';
import type { CachedBytes } from '../cluster/cached-bytes.ts';
import { fileNameOf } from '../cache/mount-table.ts';
import type { CachedShare, FileObject } from './file-object.ts';
import { directoryObject, fileObject } from './file-object.ts';

export interface ListingOptions {
  readonly cache: FileCache;
  readonly mounts: MountTable;
  /** Wherever the files are cached. */
  readonly cachedBytes: CachedBytes;
}

export interface FilesRequest {
  readonly path: string;
  /** Every file below the directory instead of what lies directly in it; directories are then not entries. */
  readonly isRecursive: boolean;
  /** Whether each file says how much of it is cached. */
  readonly wantsCached: boolean;
  /** Without one, everything is given, or refused when it is too much. */
  readonly page?: {
    readonly limit: number;
    /** Only what comes after this name, relative to the directory. */
    readonly startAfter: string | undefined;
  };
}

export interface FilesAnswer {
  readonly objects: readonly FileObject[];
  /** Where the next page begins; undefined when there is none. */
  readonly nextStartAfter: string | undefined;
}

interface Call {
  readonly signal: AbortSignal;
}

/** Alluxio's call has no pages, so a directory over this bound is refused instead of held in memory. */
const entriesMax = 100_000;

export const filesLimitMax = 1000;

/** What lies in a directory, or the file itself. */
export async function listFiles(
  request: FilesRequest,
  options: ListingOptions,
  call: Call,
): Promise<FilesAnswer> {
  const { path } = request;
  const { mount, key } = findPath(path, options.mounts);
  const directory = key === '' ? '' : `${key}/`;
  // A storage without an order has nothing to go on after, so its directory is one page.
  const page = mount.ufs.capability.orderedList ? request.page : undefined;
  const limit = page?.limit ?? entriesMax;
  const entries: ListEntry[] = [];
  let last = '';
  const listing = options.cache.list(mount, {
    prefix: directory,
    signal: call.signal,
    ...(request.isRecursive ? {} : { delimiter: '/' }),
    // One more to know whether there is one, and one for the directory's own marker.
    ...(page ? { limit: limit + 2 } : {}),
    ...(page?.startAfter === undefined ? {} : { startAfter: directory + page.startAfter }),
  });
  for await (const listed of listing) {
    for (const entry of listed) {
      const name = entry.kind === 'prefix' ? entry.key : entry.file.key;
      if (name === directory) continue;
      if (entries.length === limit) {
        if (page) return answerOf(last);
        throw new AlluxioError(
          'InvalidArgument',
          `${path} has more than ${entriesMax} entries; ask for pages with limit and startAfter, or list it through the S3 API`,
        );
      }
      entries.push(entry);
      last = name.slice(directory.length);
    }
  }
  const isThere = entries.length > 0 || key === '' || page?.startAfter !== undefined;
  if (isThere) return answerOf(undefined);
  return { objects: [await statPath(path, options, call)], nextStartAfter: undefined };

  async function answerOf(nextStartAfter: string | undefined): Promise<FilesAnswer> {
    const shares = request.wantsCached ? await sharesOf(mount, entries, options, call) : undefined;
    return { objects: entries.map((entry) => objectOf(mount, entry, shares)), nextStartAfter };
  }
}

/** Of the files among the entries. */
async function sharesOf(
  mount: ServedMount,
  entries: readonly ListEntry[],
  options: ListingOptions,
  call: Call,
): Promise<ReadonlyMap<ListEntry, CachedShare>> {
  const listed = entries.flatMap((entry) => (entry.kind === 'file' ? [entry] : []));
  const files = listed.map(({ file }) => ({
    ufsPath: fileNameOf(mount, file.key).ufsPath,
    sizeBytes: file.sizeBytes,
    ...(file.version === undefined ? {} : { version: file.version }),
  }));
  const bytes = await options.cachedBytes(files, call);
  return new Map(listed.map((entry, index) => [entry, shareOf(bytes[index] ?? 0, entry.file.sizeBytes)]));
}

/** The file or directory; FileNotFound when it is neither. */
export async function statPath(
  path: string,
  options: ListingOptions,
  call: Call & Pick<LookupOptions, 'bypass'>,
): Promise<FileObject> {
  const { mount, key } = findPath(path, options.mounts);
  if (key === '') return directoryObject(mount, '');
  const found = await options.cache.lookup(fileNameOf(mount, key), call);
  if (found) {
    const { status } = found.record;
    // Asked of the owner, who answers for itself.
    const bytes = options.cache.cachedBytesOf(fileNameOf(mount, key), status);
    return fileObject(mount, status, shareOf(bytes, status.sizeBytes));
  }
  if (await hasBelow(mount, key, options, call)) return directoryObject(mount, key);
  throw new AlluxioError('FileNotFound', `no such file or directory: ${path}`);
}

/** In a listing without delimiter a name that ends in a slash is the marker of a directory. */
function objectOf(
  mount: ServedMount,
  entry: ListEntry,
  shares: ReadonlyMap<ListEntry, CachedShare> | undefined,
): FileObject {
  if (entry.kind === 'prefix') return directoryObject(mount, entry.key.slice(0, -1));
  const { file } = entry;
  if (file.key.endsWith('/')) return directoryObject(mount, file.key.slice(0, -1));
  return fileObject(mount, file, shares?.get(entry));
}

/** An empty file has nothing that could be missing; a file of which a byte is missing is not at 100. */
function shareOf(bytes: number, sizeBytes: number): CachedShare {
  return { bytes, percentage: sizeBytes === 0 ? 100 : Math.floor((100 * bytes) / sizeBytes) };
}

async function hasBelow(
  mount: ServedMount,
  key: string,
  options: ListingOptions,
  call: Call,
): Promise<boolean> {
  const listing = options.cache.list(mount, { prefix: `${key}/`, limit: 1, signal: call.signal });
  for await (const page of listing) return page.length > 0;
  return false;
}
