/** Calls the REST API of one worker: looks at files, lists them in pages of bounded size, reads their bytes as they are taken. */

import { AlluxioError } from '../errors.ts';
import { fileIdOf } from '../page.ts';
import { type WorkerNetAddress, workerNetAddressSchema } from '../protocol/worker-address.ts';
import { type FileInfo, fileObjectsSchema, nextStartAfterHeader } from '../protocol/worker-api.ts';
import { type ClientCallOptions, RemoteProcess, type RemoteStream } from './remote-process.ts';

export interface WorkerClientOptions {
  readonly host: string;
  /** Of the REST API. */
  readonly port: number;
}

export interface ListFilesOptions extends ClientCallOptions {
  /** Every file below instead of what lies directly in the directory; directories are then not entries. */
  readonly isRecursive?: boolean;
  /** Whether each file says how much of it is cached. */
  readonly wantsCached?: boolean;
}

export interface ListPageOptions extends ListFilesOptions {
  /** Only what comes after this name, relative to the directory. */
  readonly startAfter?: string;
}

export interface FilePage {
  readonly files: readonly FileInfo[];
  /** Where the next page begins; undefined when this is the last. */
  readonly nextStartAfter: string | undefined;
}

/** Bytes of a file: the first or last so many, or all from an offset on. */
export type FilePart =
  | { readonly kind: 'head' | 'tail'; readonly lengthBytes: number }
  | { readonly kind: 'range'; readonly offsetBytes: number; readonly lengthBytes?: number };

export interface ReadFileOptions extends ClientCallOptions {
  /** Which bytes; the whole file without it. */
  readonly part?: FilePart;
}

/** Entries of one page of a listing: what is in memory of a directory at a time. */
const pageEntries = 1000;

/** A storage that cannot be listed in pages gives 100,000 entries at once. */
const answerMaxBytes = 128 * 1024 * 1024;

export class WorkerClient {
  readonly #remote: RemoteProcess;

  constructor(options: WorkerClientOptions) {
    this.#remote = new RemoteProcess({
      ...options,
      name: 'worker',
      unreachableHint: '"alluxio info nodes" shows the workers that the coordinator knows',
      foreignHint: 'check alluxio.worker.http.server.port',
      answerMaxBytes,
    });
  }

  /** `host:port`, as it stands in a URL. */
  get address(): string {
    return this.#remote.address;
  }

  /** Fails with FileNotFound when the path, of Alluxio's namespace or of the under storage, is neither a file nor a directory. */
  async stat(path: string, call: ClientCallOptions = {}): Promise<FileInfo> {
    const [found] = await this.#remote.callJson(
      { method: 'GET', pathAndQuery: withQuery('/v1/info', { path }), ...call },
      fileObjectsSchema,
    );
    if (found) return found;
    throw new AlluxioError('Internal', `the worker at ${this.#remote.address} gave no entry for ${path}`);
  }

  /** What lies in a directory, in the byte order of names; a file gives itself. Fails with Internal for a page that does not go on. */
  async listPage(path: string, options: ListPageOptions = {}): Promise<FilePage> {
    const { isRecursive, wantsCached, startAfter, ...call } = options;
    const query = {
      path,
      limit: String(pageEntries),
      ...(isRecursive ? { recursive: 'true' } : {}),
      ...(wantsCached ? { cached: 'true' } : {}),
      ...(startAfter === undefined ? {} : { startAfter }),
    };
    const { value, headers } = await this.#remote.callJsonWithHeaders(
      { method: 'GET', pathAndQuery: withQuery('/v1/files', query), ...call },
      fileObjectsSchema,
    );
    const next = headers.get(nextStartAfterHeader);
    const nextStartAfter = next === undefined ? undefined : decodeURIComponent(next);
    if (nextStartAfter !== undefined && nextStartAfter === startAfter) {
      throw new AlluxioError('Internal', `the listing of ${path} does not go on after "${startAfter}"`);
    }
    return { files: value, nextStartAfter };
  }

  /** Resolves when the first bytes are at hand; the rest is fetched as it is taken. */
  read(file: FileInfo, { part, ...call }: ReadFileOptions = {}): Promise<RemoteStream> {
    const id = fileIdOf(file.mUfsPath);
    const kind = part?.kind ?? 'range';
    const query = { ufsFullPath: file.mUfsPath, ...queryOf(part) };
    return this.#remote.stream({
      method: 'GET',
      pathAndQuery: withQuery(`/v1/${kind}/${id}`, query),
      ...call,
    });
  }

  /** The worker that owns a file. */
  ownerOf(file: FileInfo, call: ClientCallOptions = {}): Promise<WorkerNetAddress> {
    return this.#remote.callJson(
      { method: 'GET', pathAndQuery: withQuery('/v1/node', { path: file.mUfsPath }), ...call },
      workerNetAddressSchema,
    );
  }

  async close(): Promise<void> {
    await this.#remote.close();
  }
}

function queryOf(part: FilePart | undefined): Readonly<Record<string, string>> {
  if (part === undefined) return { offset: '0' };
  if (part.kind !== 'range') return { numOfBytes: String(part.lengthBytes) };
  return {
    offset: String(part.offsetBytes),
    ...(part.lengthBytes === undefined ? {} : { length: String(part.lengthBytes) }),
  };
}

/** Encoded throughout, so that no value holds a slash: then the worker reads `+` as a space, which none is here. */
function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(query).map(
    ([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`,
  );
  return `${path}?${pairs.join('&')}`;
}
