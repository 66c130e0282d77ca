/** The connections on which bodies are received straight into the caller's memory: so many at most, kept for the next request. */

import { errnoOf } from '@alluxio-ts/common/errors';
import { Limiter } from '@alluxio-ts/common/limiter';
import { type DirectAnswer, DirectConnection, type DirectTarget } from './direct-connection.ts';
import type { Patience } from './patience.ts';
import type { ResponseHead } from './response-head.ts';

export interface DirectPoolOptions extends DirectTarget {
  readonly connectionsMax: number;
}

export interface DirectRequest {
  /** The whole head, with the empty line that ends it. */
  readonly head: string;
  readonly into: Uint8Array;
  readonly signal: AbortSignal | undefined;
  /** With a connection that was used before. */
  readonly patience: Patience;
}

export interface DirectResponse {
  readonly head: ResponseHead;
  /** Resolves with the body when all of it is there, and tells meanwhile how much is. Fails when it cannot be received here: it is longer than the memory for it, or its length is not given. */
  whole(onReceived?: (count: number) => void): Promise<Uint8Array>;
  /** Ends the connection, unless the body is whole. Nothing is written to the memory any more. */
  discard(): void;
}

export class DirectPool {
  readonly #options: DirectPoolOptions;
  readonly #limiter: Limiter;
  /** The one used last is the last. */
  readonly #idle: DirectConnection[] = [];
  /** Of connections that are used: gives their place back. */
  readonly #used = new Map<DirectConnection, () => void>();
  #isClosed = false;

  constructor(options: DirectPoolOptions) {
    this.#options = options;
    const { connectionsMax, host, port } = options;
    // Whoever asks is bounded already; what comes here waits.
    this.#limiter = new Limiter({
      concurrencyMax: connectionsMax,
      queueMax: Number.POSITIVE_INFINITY,
      name: `requests to ${host}:${port}`,
    });
  }

  /** Resolves when the answer has begun. Fails with what happened to the connection, or with the signal's reason. */
  async get(request: DirectRequest, isAgain = false): Promise<DirectResponse> {
    const { patience, signal } = request;
    const release = await this.#limiter.acquire(signal ? { signal } : {});
    const kept = isAgain ? undefined : this.#idle.pop();
    const connection = kept ?? this.#connect();
    this.#used.set(connection, release);
    const answer = connection.get(request.head, request.into, kept && patience);
    try {
      return await patience.timed(begun(connection, answer, signal), isAgain);
    } catch (thrown) {
      // A store, or what stands before it, closes or forgets what was idle whenever it likes, also while a request is on its way to it: that says nothing of the request.
      const isStale = kept !== undefined && answer.head === undefined && !this.#isClosed;
      if (!isStale || signal?.aborted || errnoOf(thrown) === 'HTTP_SILENT') throw thrown;
      for (const other of this.#idle.splice(0)) other.destroy(thrown);
      return this.get(request, true);
    }
  }

  /** Ends all connections. */
  close(reason: unknown): void {
    this.#isClosed = true;
    for (const connection of [...this.#idle, ...this.#used.keys()]) connection.destroy(reason);
  }

  #connect(): DirectConnection {
    return new DirectConnection(this.#options, {
      onIdle: (connection) => {
        if (this.#isClosed) {
          connection.destroy(undefined);
          return;
        }
        this.#idle.push(connection);
        this.#release(connection);
      },
      onOver: (connection) => {
        const at = this.#idle.indexOf(connection);
        if (at !== -1) this.#idle.splice(at, 1);
        this.#release(connection);
      },
    });
  }

  #release(connection: DirectConnection): void {
    const release = this.#used.get(connection);
    this.#used.delete(connection);
    release?.();
  }
}

async function begun(
  connection: DirectConnection,
  answer: DirectAnswer,
  signal: AbortSignal | undefined,
): Promise<DirectResponse> {
  const abort = (): void => discard(connection, answer, signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const head = await answer.begun();
    return {
      head,
      whole: (onReceived) => answer.whole(onReceived),
      discard: () => {
        signal?.removeEventListener('abort', abort);
        discard(connection, answer, undefined);
      },
    };
  } catch (thrown) {
    signal?.removeEventListener('abort', abort);
    throw thrown;
  }
}

function discard(connection: DirectConnection, answer: DirectAnswer, reason: unknown): void {
  if (!answer.isWhole) connection.destroy(reason);
}
