/** A directory of this machine, most often a mounted network file system, as an under storage. */

import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { KIB } from '@alluxio-ts/common/units';
import { ownedBody } from '../owned-body.ts';
import { checkRange, checkVersion, emptyRead, fileNotFound, versionChanged } from '../ranges.ts';
import type {
  CallOptions,
  FileStatus,
  ListEntry,
  ListOptions,
  ReadOptions,
  Ufs,
  UfsCapability,
  UfsRead,
} from '../ufs.ts';
import { isAbsent, localError } from './errors.ts';
import { identityOf, localStatus } from './file-version.ts';
import { listLocal } from './list.ts';
import { isFileKey, LocalPaths, temporaryPrefix } from './local-paths.ts';
import type { LocalUfsOptions } from './options.ts';

/** One read of the file, into a buffer that each chunk uses again. */
const readSizeBytes = 256 * KIB;

/** Without O_NONBLOCK the open of a pipe would wait for its writer. The path is real already, so a link is one put there since. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

export interface LocalUfsParts {
  readonly clock: Clock;
  readonly random: Random;
}

/** A system call that hangs (a dead NFS server) cannot be taken back: an abort takes effect when it returns. */
export class LocalUfs implements Ufs {
  readonly capability: UfsCapability = { pin: 'checked', orderedList: true, write: true };
  readonly #paths: LocalPaths;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(options: LocalUfsOptions, parts: LocalUfsParts) {
    this.#paths = new LocalPaths(options);
    this.#clock = parts.clock;
    this.#random = parts.random;
  }

  async stat(key: string, options: CallOptions = {}): Promise<FileStatus | undefined> {
    options.signal?.throwIfAborted();
    const path = await this.#find(key);
    if (path === undefined) return undefined;
    try {
      const stats = await stat(path, { bigint: true });
      options.signal?.throwIfAborted();
      return stats.isFile() ? localStatus(key, stats, this.#clock.now()) : undefined;
    } catch (thrown) {
      if (isAbsent(thrown)) return undefined;
      throw localError(thrown, `read the status of ${this.#paths.pathOf(key)}`);
    }
  }

  list(options: ListOptions): AsyncIterable<ListEntry> {
    return listLocal(this.#paths, options, () => this.#clock.now());
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    options.signal?.throwIfAborted();
    checkRange(key, options);
    const handle = await this.#open(key);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw fileNotFound(this.#paths.pathOf(key));
      const file = localStatus(key, stats, this.#clock.now());
      checkVersion(this.#paths.pathOf(key), file, options.version);
      options.signal?.throwIfAborted();
      const end = Math.min(options.offset + options.lengthBytes, file.sizeBytes);
      if (options.offset >= end) {
        await handle.close();
        return emptyRead(file);
      }
      const span = { start: options.offset, end, identity: identityOf(stats) };
      const body = ownedBody({
        chunks: () => this.#chunks(handle, key, span, options),
        release: () => handle.close(),
        signal: options.signal,
      });
      return { file, body };
    } catch (thrown) {
      await handle.close();
      throw localError(thrown, `read ${this.#paths.pathOf(key)}`);
    }
  }

  /** The file is looked at again before the last chunk is handed out, so that nobody holds all bytes of a mix of versions. */
  async *#chunks(
    handle: FileHandle,
    key: string,
    span: { readonly start: number; readonly end: number; readonly identity: string },
    { into, signal }: Pick<ReadOptions, 'into' | 'signal'>,
  ): AsyncGenerator<Uint8Array> {
    const path = this.#paths.pathOf(key);
    const own = into ? undefined : Buffer.allocUnsafeSlow(Math.min(readSizeBytes, span.end - span.start));
    let position = span.start;
    try {
      while (position < span.end) {
        signal?.throwIfAborted();
        const length = Math.min(readSizeBytes, span.end - position);
        const buffer = own ?? into?.subarray(position - span.start) ?? new Uint8Array(length);
        const { bytesRead } = await handle.read({ buffer, length, position });
        if (bytesRead === 0) throw versionChanged(path);
        position += bytesRead;
        if (position === span.end && identityOf(await handle.stat({ bigint: true })) !== span.identity) {
          throw versionChanged(path);
        }
        signal?.throwIfAborted();
        yield buffer.subarray(0, bytesRead);
      }
    } catch (thrown) {
      throw localError(thrown, `read ${path}`);
    }
  }

  /** Writes beside the file and renames, so that a reader sees the old bytes or the new ones. */
  async write(key: string, bytes: Uint8Array, options: CallOptions = {}): Promise<FileStatus> {
    options.signal?.throwIfAborted();
    const path = await this.#paths.place(key);
    const temporary = join(dirname(path), `${temporaryPrefix}${this.#random.uuid()}`);
    try {
      await mkdir(dirname(path), { recursive: true });
      const handle = await open(temporary, 'wx');
      try {
        await handle.writeFile(bytes, options.signal ? { signal: options.signal } : {});
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, path);
      return localStatus(key, await stat(path, { bigint: true }), this.#clock.now());
    } catch (thrown) {
      // What stays is hidden; the first failure is the one to tell.
      await rm(temporary, { force: true }).catch(() => undefined);
      options.signal?.throwIfAborted();
      throw localError(thrown, `write ${this.#paths.pathOf(key)}`);
    }
  }

  /** A link is removed itself, not what it leads to. */
  async remove(key: string, options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    if (!isFileKey(key)) return;
    const slash = key.lastIndexOf('/');
    const parent = await this.#paths.find(slash < 0 ? '' : key.slice(0, slash));
    if (parent === undefined) return;
    try {
      const path = join(parent, basename(key));
      if (await isDirectory(path)) return;
      await unlink(path);
    } catch (thrown) {
      if (!isAbsent(thrown)) throw localError(thrown, `remove ${this.#paths.pathOf(key)}`);
    }
  }

  async close(): Promise<void> {}

  #find(key: string): Promise<string | undefined> {
    return isFileKey(key) ? this.#paths.find(key) : Promise.resolve(undefined);
  }

  async #open(key: string): Promise<FileHandle> {
    const path = await this.#find(key);
    if (path === undefined) throw fileNotFound(this.#paths.pathOf(key));
    try {
      return await open(path, openFlags);
    } catch (thrown) {
      if (isAbsent(thrown)) throw fileNotFound(this.#paths.pathOf(key));
      throw localError(thrown, `open ${this.#paths.pathOf(key)}`);
    }
  }
}

/** A link that leads nowhere is no directory. */
async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (thrown) {
    if (isAbsent(thrown)) return false;
    throw thrown;
  }
}
