/**
 * The workers that are online, as one that answers for all: a file is read from its owner, and a worker that is away is passed by for another, which
 * reads past the cache. What a worker answers stands, also a failure; only one that is away (it takes no connection, breaks off, or shows no sign
 * of life) is passed by.
 */

import type { RemoteStream } from '@alluxio-ts/common/client/remote-process';
import { SilenceWatch } from '@alluxio-ts/common/client/silence-watch';
import {
  type FilePage,
  type FilePart,
  type ListFilesOptions,
  type ListPageOptions,
  type ReadFileOptions,
  WorkerClient,
} from '@alluxio-ts/common/client/worker-client';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import { hostAndPortOf, type WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';

interface CallOptions {
  readonly signal?: AbortSignal;
}

export type RestAddress = Pick<WorkerNetAddress, 'Host' | 'HttpServerPort'>;

export interface OnlineWorkersOptions {
  /** At least one; asked in this order. */
  readonly addresses: readonly RestAddress[];
  readonly clock: Clock;
  /** Called with one line when a worker is passed by, once for each. */
  readonly notice: (text: string) => void;
}

/** A read under way: what its first answer said, and how far it came. */
interface Progress {
  /** Of the answer's version, or undefined before the first answer. */
  version: string | undefined;
  /** The bytes that the first answer promised. */
  lengthBytes: number;
  reachedBytes: number;
}

/** A worker that was away is asked last for so long. */
const skipMs = 5000;

export class OnlineWorkers {
  readonly #options: OnlineWorkersOptions;
  /** By address, in the order in which they are asked. Bounded by the number of workers. */
  readonly #clients = new Map<string, WorkerClient>();
  /** By address, on the monotonic clock: until when a worker is asked last. */
  readonly #awayUntilMs = new Map<string, number>();
  readonly #noticed = new Set<string>();
  readonly #silence: SilenceWatch;

  constructor(options: OnlineWorkersOptions) {
    this.#options = options;
    this.#silence = new SilenceWatch(options.clock);
    for (const address of options.addresses) this.#clientOf(address);
  }

  async close(): Promise<void> {
    await Promise.all([
      this.#silence.close(),
      ...[...this.#clients.values()].map((client) => client.close()),
    ]);
  }

  /** Fails with FileNotFound when the path is neither a file nor a directory. */
  stat(path: string, call: CallOptions = {}): Promise<FileInfo> {
    return this.#ask(call, (client, signal) => client.stat(path, { signal }));
  }

  /** The worker that owns a file, whether it is there or not. */
  ownerOf(file: FileInfo, call: CallOptions = {}): Promise<WorkerNetAddress> {
    return this.#ask(call, (client, signal) => client.ownerOf(file, { signal }));
  }

  /** What lies in a directory, in the byte order of names, a page in memory at a time; a file gives itself. */
  async *list(path: string, options: ListFilesOptions = {}): AsyncGenerator<FileInfo> {
    let startAfter: string | undefined;
    do {
      const page = await this.listPage(path, {
        ...options,
        ...(startAfter === undefined ? {} : { startAfter }),
      });
      yield* page.files;
      startAfter = page.nextStartAfter;
    } while (startAfter !== undefined);
  }

  listPage(path: string, options: ListPageOptions = {}): Promise<FilePage> {
    return this.#ask(options, (client, signal) => client.listPage(path, { ...options, signal }));
  }

  /**
   * The bytes of a file, fetched as they are taken. When its worker goes away in the middle, another goes on at the byte that was reached; fails with
   * VersionChanged when that one has another version.
   */
  async *read(file: FileInfo, options: ReadFileOptions = {}): AsyncGenerator<Uint8Array> {
    const progress: Progress = { version: undefined, lengthBytes: 0, reachedBytes: 0 };
    const owner = this.#clientOf(await this.ownerOf(file, options));
    const clients = this.#inOrder(owner);
    for (const [index, client] of clients.entries()) {
      try {
        yield* this.#readFrom(client, file, { ...options, progress });
        return;
      } catch (thrown) {
        this.#passBy(thrown, { client, next: clients[index + 1], signal: options.signal });
      }
    }
  }

  /** The answer of the first worker that is not away. */
  async #ask<T>(
    { signal }: CallOptions,
    run: (client: WorkerClient, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const clients = this.#inOrder();
    for (const [index, client] of clients.entries()) {
      const watched = this.#watch(client, signal);
      try {
        watched.wait();
        return await run(client, watched.signal);
      } catch (thrown) {
        this.#passBy(watched.reasonOf(thrown), { client, next: clients[index + 1], signal });
      } finally {
        watched.rest();
      }
    }
    throw new AlluxioError('Unreachable', 'no worker is online');
  }

  async *#readFrom(
    client: WorkerClient,
    file: FileInfo,
    { part, progress, signal }: ReadFileOptions & { readonly progress: Progress },
  ): AsyncGenerator<Uint8Array> {
    const watched = this.#watch(client, signal);
    try {
      watched.wait();
      const rest = remainderOf(file, part, progress);
      const stream = await client.read(file, { ...(rest ? { part: rest } : {}), signal: watched.signal });
      takeHead(file, stream, progress);
      for await (const chunk of stream.body) {
        // A reader that takes its time is no silence of the worker.
        watched.rest();
        progress.reachedBytes += chunk.length;
        yield chunk;
        watched.wait();
      }
    } catch (thrown) {
      throw watched.reasonOf(thrown);
    } finally {
      watched.rest();
    }
  }

  /** A call to one worker: `signal` ends it when the worker shows no sign of life between `wait` and `rest`. */
  #watch(client: WorkerClient, outer: AbortSignal | undefined) {
    const silent = new AbortController();
    let end = (): void => undefined;
    return {
      signal: outer ? AbortSignal.any([outer, silent.signal]) : silent.signal,
      wait: (): void => {
        end = this.#silence.begin(client.address, () =>
          silent.abort(
            new AlluxioError('Unreachable', `the worker at ${client.address} shows no sign of life`),
          ),
        );
      },
      rest: (): void => end(),
      reasonOf: (thrown: unknown): unknown => (silent.signal.aborted ? silent.signal.reason : thrown),
    };
  }

  /** Throws what is no reason to ask the next worker, or what there is no next one for. */
  #passBy(
    thrown: unknown,
    how: {
      readonly client: WorkerClient;
      readonly next: WorkerClient | undefined;
      readonly signal: AbortSignal | undefined;
    },
  ): void {
    if (how.signal?.aborted || !hasErrorCode(thrown, 'Unreachable') || !how.next) throw thrown;
    const { clock, notice } = this.#options;
    const { address } = how.client;
    this.#awayUntilMs.set(address, clock.monotonic() + skipMs);
    if (this.#noticed.has(address)) return;
    this.#noticed.add(address);
    const [reason = ''] = thrown.message.split(';');
    notice(`${reason}; going on with the worker at ${how.next.address}`);
  }

  /** The owner first, what was away just now last. */
  #inOrder(owner?: WorkerClient): readonly WorkerClient[] {
    const nowMs = this.#options.clock.monotonic();
    const all = [...new Set([...(owner ? [owner] : []), ...this.#clients.values()])];
    const isAway = ({ address }: WorkerClient): boolean => (this.#awayUntilMs.get(address) ?? 0) > nowMs;
    return [...all.filter((client) => !isAway(client)), ...all.filter(isAway)];
  }

  #clientOf(address: RestAddress): WorkerClient {
    const name = hostAndPortOf(address);
    const known = this.#clients.get(name);
    if (known) return known;
    const client = new WorkerClient({ host: address.Host, port: address.HttpServerPort });
    this.#clients.set(name, client);
    return client;
  }
}

/** What is still to be read of what was asked for. */
function remainderOf(file: FileInfo, part: FilePart | undefined, progress: Progress): FilePart | undefined {
  const { version, lengthBytes, reachedBytes } = progress;
  if (version === undefined) return part;
  switch (part?.kind) {
    case undefined:
    // Up to the end, so that another size is seen.
    case 'tail': {
      const startBytes = part ? file.mLength - lengthBytes : 0;
      return { kind: 'range', offsetBytes: startBytes + reachedBytes };
    }
    case 'head':
    case 'range':
      return {
        kind: 'range',
        offsetBytes: (part.kind === 'range' ? part.offsetBytes : 0) + reachedBytes,
        lengthBytes: lengthBytes - reachedBytes,
      };
    default:
      return part satisfies never;
  }
}

/** Fails with VersionChanged when the answer is not the rest of what the first one began. */
function takeHead(file: FileInfo, { headers }: RemoteStream, progress: Progress): void {
  const version = `${headers.get('etag') ?? ''} ${headers.get('last-modified') ?? ''}`;
  const lengthBytes = Number(headers.get('content-length'));
  if (progress.version === undefined) {
    progress.version = version;
    progress.lengthBytes = lengthBytes;
    return;
  }
  const isSame = version === progress.version && lengthBytes === progress.lengthBytes - progress.reachedBytes;
  if (isSame) return;
  throw new AlluxioError(
    'VersionChanged',
    `${file.mPath} was overwritten while it was read, after ${progress.reachedBytes} bytes`,
  );
}
