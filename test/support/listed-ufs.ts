/** A storage that holds nothing: any number of small files whose names, versions and bytes are told from their number. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { checkRange, checkVersion, fileNotFound } from '@alluxio-ts/ufs-adapters/ranges';
import { receiveRead } from '@alluxio-ts/ufs-adapters/reception';
import type {
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
} from '@alluxio-ts/ufs-adapters/ufs';

export interface ListedUfsOptions {
  readonly fileCount: number;
  readonly fileBytes: number;
}

const digits = 8;
/** As stores list: between two of them others have a turn. */
const listPageFiles = 1000;

/** The bytes of a file repeat its number. */
export function listedBytes(index: number, fileBytes: number): Buffer {
  return Buffer.alloc(fileBytes, `file ${index}\n`);
}

export function listedKey(index: number): string {
  const name = String(index).padStart(digits, '0');
  return `${name.slice(0, -3)}/${name}`;
}

export class ListedUfs implements Ufs {
  readonly capability: UfsCapability = { pin: 'atomic', orderedList: true, write: false };
  readonly #options: ListedUfsOptions;
  listedCount = 0;
  statCount = 0;
  readCount = 0;

  constructor(options: ListedUfsOptions) {
    this.#options = options;
  }

  async stat(key: string): Promise<FileStatus | undefined> {
    this.statCount++;
    const index = this.#indexOf(key);
    return index === undefined ? undefined : this.#statusOf(index);
  }

  async *list({ prefix, startAfter, signal }: ListOptions): AsyncGenerator<ListPage> {
    const from = startAfter === undefined ? 0 : (this.#indexOf(startAfter) ?? -1) + 1;
    const { fileCount } = this.#options;
    for (let first = from; first < fileCount; first += listPageFiles) {
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      const page: ListEntry[] = [];
      for (let index = first; index < Math.min(fileCount, first + listPageFiles); index++) {
        const file = this.#statusOf(index);
        if (file.key.startsWith(prefix)) page.push({ kind: 'file', file });
      }
      this.listedCount += page.length;
      if (page.length > 0) yield page;
    }
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    this.readCount++;
    checkRange(key, options);
    const index = this.#indexOf(key);
    if (index === undefined) throw fileNotFound(key);
    const file = this.#statusOf(index);
    checkVersion(key, file, options.version);
    const { offset, lengthBytes } = options;
    const bytes = listedBytes(index, this.#options.fileBytes).subarray(offset, offset + lengthBytes);
    return { file, body: bodyOf(bytes) };
  }

  receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    return receiveRead(() => this.read(key, options), options);
  }

  write(): Promise<FileStatus> {
    return Promise.reject(new AlluxioError('UfsUnsupported', 'nothing is written here'));
  }

  remove(): Promise<void> {
    return Promise.reject(new AlluxioError('UfsUnsupported', 'nothing is removed here'));
  }

  async close(): Promise<void> {}

  #indexOf(key: string): number | undefined {
    const index = Number(key.slice(-digits));
    return index < this.#options.fileCount && listedKey(index) === key ? index : undefined;
  }

  #statusOf(index: number): FileStatus {
    return {
      key: listedKey(index),
      sizeBytes: this.#options.fileBytes,
      modifiedMs: Date.UTC(2026, 0, 1),
      version: `listed:${index}`,
      etag: `"${index}"`,
      headers: {},
      isPartial: false,
    };
  }
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
