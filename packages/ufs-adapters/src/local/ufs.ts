/** A directory of this machine, most often a mounted network file system, as an under storage. */

import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { KIB } from '@alluxio-ts/common/units';
import { ownedBody } from '../owned-body.ts';
import { checkRange, checkVersion, emptyRead, fileNotFound, versionChanged } from '../ranges.ts';
import { unwatched } from '../reception.ts';
import type {
  CallOptions,
  FileStatus,
  ListOptions,
  ListPage,
  ReadOptions,
  ReceiveOptions,
  Ufs,
  UfsCapability,
  UfsRead,
  UfsReception,
} from '../ufs.ts';
import { isAbsent, localError } from './errors.ts';
import { identityOf, localStatus } from './file-version.ts';
import { listLocal } from './list.ts';
import { isFileKey, LocalPaths, temporaryPrefix } from './local-paths.ts';
import type { LocalUfsOptions } from './options.ts';

/** One read of the file; a body's chunks share a buffer of this size. */
const readSizeBytes = 256 * KIB;

/** Without O_NONBLOCK the open of a pipe would wait for its writer. The path is real already, so a link is one put there since. */
const openFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

export interface LocalUfsParts {
  readonly clock: Clock;
  readonly random: Random;
}

/** Bytes [start, end) of an open file, as it was when its status was looked at. */
interface Span {
  readonly handle: FileHandle;
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly identity: string;
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

  list(options: ListOptions): AsyncIterable<ListPage> {
    return listLocal(this.#paths, options, () => this.#clock.now());
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    const { file, span } = await this.#begin(key, options);
    if (!span) return emptyRead(file);
    const body = ownedBody({
      chunks: () => this.#chunks(span, options.signal),
      release: () => span.handle.close(),
      signal: options.signal,
    });
    return { file, body };
  }

  async receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    const { file, span } = await this.#begin(key, options);
    return { file, over: span ? unwatched(this.#receive(span, options)) : Promise.resolve(0) };
  }

  /** Opens the file and compares its version; no span where there is nothing to read. */
  async #begin(
    key: string,
    options: ReadOptions,
  ): Promise<{ readonly file: FileStatus; readonly span: Span | undefined }> {
    const { lengthBytes, offset: start, signal, version } = options;
    signal?.throwIfAborted();
    checkRange(key, options);
    const path = this.#paths.pathOf(key);
    const handle = await this.#open(key);
    try {
      const stats = await handle.stat({ bigint: true });
      if (!stats.isFile()) throw fileNotFound(path);
      const file = localStatus(key, stats, this.#clock.now());
      checkVersion(path, file, version);
      signal?.throwIfAborted();
      const end = Math.min(start + lengthBytes, file.sizeBytes);
      if (start < end) return { file, span: { handle, path, start, end, identity: identityOf(stats) } };
      await handle.close();
      return { file, span: undefined };
    } catch (thrown) {
      await handle.close();
      throw localError(thrown, `read ${path}`);
    }
  }

  async *#chunks(span: Span, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(Math.min(readSizeBytes, span.end - span.start));
    for (let position = span.start; position < span.end; ) {
      const count = await readPiece(span, position, buffer, signal);
      position += count;
      yield buffer.subarray(0, count);
    }
  }

  async #receive(span: Span, { into, onReceived, signal }: ReceiveOptions): Promise<number> {
    const { end, handle, start } = span;
    try {
      for (let position = start; position < end; ) {
        position += await readPiece(span, position, into.subarray(position - start), signal);
        onReceived(position - start);
      }
      return end - start;
    } finally {
      await handle.close();
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

/** One call. The file is looked at again before the last bytes are handed out, so that nobody holds all of a mix of versions. */
async function readPiece(
  { end, handle, identity, path }: Span,
  position: number,
  buffer: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<number> {
  signal?.throwIfAborted();
  try {
    const length = Math.min(readSizeBytes, end - position);
    const { bytesRead } = await handle.read({ buffer, length, position });
    const isLast = position + bytesRead === end;
    if (bytesRead === 0 || (isLast && identityOf(await handle.stat({ bigint: true })) !== identity)) {
      throw versionChanged(path);
    }
    signal?.throwIfAborted();
    return bytesRead;
  } catch (thrown) {
    throw localError(thrown, `read ${path}`);
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
