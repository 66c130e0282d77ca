/** A storage in memory, for tests: the smallest complete `Ufs`, and the model that the others are compared with. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '@alluxio-ts/common/clock';
import { commonPrefixOf, compareKeys } from '../byte-order.ts';
import { checkRange, checkVersion, emptyRead, fileNotFound } from '../ranges.ts';
import { receiveChunks, unwatched } from '../reception.ts';
import type {
  CallOptions,
  FileHeaders,
  FileStatus,
  ListEntry,
  ListOptions,
  ListPage,
  ReadOptions,
  ReceiveOptions,
  Ufs,
  UfsCapability,
  UfsRead,
  UfsReception,
} from '../ufs.ts';

/** Small, so that tests see bodies of several chunks. */
const chunkSizeBytes = 64 * 1024;

/** Small, so that tests see listings of several pages. */
const pageEntriesMax = 2;

interface StoredFile {
  readonly status: FileStatus;
  readonly bytes: Uint8Array;
}

export class MemoryUfs implements Ufs {
  readonly capability: UfsCapability = { pin: 'atomic', orderedList: true, write: true };
  readonly #clock: Clock;
  readonly #files = new Map<string, StoredFile>();
  #writeCount = 0;

  constructor(options: { readonly clock: Clock }) {
    this.#clock = options.clock;
  }

  async stat(key: string, options: CallOptions = {}): Promise<FileStatus | undefined> {
    options.signal?.throwIfAborted();
    return this.#files.get(key)?.status;
  }

  async *list(options: ListOptions): AsyncGenerator<ListPage> {
    let page: ListEntry[] = [];
    const { prefix, startAfter } = options;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    let last: string | undefined;
    const keys = [...this.#files.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
    for (const key of keys) {
      options.signal?.throwIfAborted();
      if (left <= 0) break;
      const cut = commonPrefixOf(key, options);
      const name = cut ?? key;
      if (name === last || (startAfter !== undefined && compareKeys(name, startAfter) <= 0)) continue;
      const file = this.#files.get(key);
      if (!file) continue;
      last = name;
      left--;
      page.push(cut === undefined ? { kind: 'file', file: file.status } : { kind: 'prefix', key: cut });
      if (page.length < pageEntriesMax) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    options.signal?.throwIfAborted();
    checkRange(key, options);
    const file = this.#files.get(key);
    if (!file) throw fileNotFound(key);
    checkVersion(key, file.status, options.version);
    const bytes = file.bytes.subarray(options.offset, options.offset + options.lengthBytes);
    if (bytes.length === 0) return emptyRead(file.status);
    return { file: file.status, body: chunksOf(bytes, options.signal) };
  }

  async receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    const { body, file } = await this.read(key, options);
    return { file, over: unwatched(receiveChunks(fromNextTurn(body, options.signal), options)) };
  }

  /** Every write makes a new version, also with equal bytes. `headers` lets a test attach what a client may read back. */
  async write(
    key: string,
    bytes: Uint8Array,
    options: CallOptions & { readonly headers?: FileHeaders } = {},
  ): Promise<FileStatus> {
    options.signal?.throwIfAborted();
    this.#writeCount++;
    const status: FileStatus = {
      key,
      sizeBytes: bytes.length,
      modifiedMs: this.#clock.now(),
      version: `memory:${this.#writeCount}`,
      etag: `"${this.#writeCount.toString(16).padStart(8, '0')}-${bytes.length.toString(16)}"`,
      headers: options.headers ?? {},
      isPartial: false,
    };
    this.#files.set(key, { status, bytes: bytes.slice() });
    return status;
  }

  async remove(key: string, options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#files.delete(key);
  }

  async close(): Promise<void> {}
}

/** As from a connection, where nothing has come when the answer begins. */
async function* fromNextTurn(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  await nextTurn(undefined, signal ? { signal } : {}).catch(() => undefined);
  signal?.throwIfAborted();
  yield* body;
}

async function* chunksOf(bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < bytes.length; from += chunkSizeBytes) {
    signal?.throwIfAborted();
    yield bytes.subarray(from, from + chunkSizeBytes);
  }
}
