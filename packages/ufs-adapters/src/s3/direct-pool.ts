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
  /** What is asked for may go on behind `into`: the rest waits for `next` by this name. */
  readonly part?: BodyPart | undefined;
}

/** A piece of one version of an object. */
export interface BodyPart {
  /** Of the version. */
  readonly of: string;
  /** Where it begins. */
  readonly offset: number;
  /** How many bytes behind it are asked for, too. */
  readonly nextBytes: number;
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
  /** Of connections whose answer may have more for `next`: the name of that. */
  readonly #nextNames = new Map<DirectConnection, string>();
  /** Those of them that wait for it, by that name; the longest first. */
  readonly #parted = new Map<string, DirectConnection>();
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
    const { into, part, patience, signal } = request;
    // Nobody waits for a place that is held for what may never be asked for.
    const [longest] = this.#parted.values();
    if (this.#limiter.runningCount >= this.#options.connectionsMax) longest?.destroy(undefined);
    const release = await this.#limiter.acquire(signal ? { signal } : {});
    const kept = isAgain ? undefined : this.#idle.pop();
    const connection = kept ?? this.#connect();
    this.#used.set(connection, release);
    const answer = connection.get(request.head, into, kept && patience, part?.nextBytes);
    if (part && part.nextBytes > 0) this.#nextNames.set(connection, nameOf(part, into.length));
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

  /** Whether so many connections are free that some may be held for what comes next. */
  get takesParts(): boolean {
    return 4 * this.#limiter.runningCount < 3 * this.#options.connectionsMax;
  }

  /** Whether an answer waits that goes on with this part. */
  holds(part: BodyPart): boolean {
    return this.#parted.size > 0 && this.#parted.has(nameOf(part, 0));
  }

  /** The part, where an answer waits that goes on with it; undefined where none does, or its connection has ended meanwhile. Fails with the signal's reason. */
  async next(part: BodyPart, into: Uint8Array, signal?: AbortSignal): Promise<DirectResponse | undefined> {
    const name = nameOf(part, 0);
    const connection = this.#parted.get(name);
    this.#parted.delete(name);
    if (!connection) return undefined;
    if (connection.leftBytes < into.length) {
      connection.destroy(undefined);
      return undefined;
    }
    this.#nextNames.set(connection, nameOf(part, into.length));
    const answer = connection.next(into);
    try {
      return await begun(connection, answer, signal);
    } catch (thrown) {
      if (signal?.aborted) throw thrown;
      return undefined;
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
        this.#nextNames.delete(connection);
        this.#idle.push(connection);
        this.#release(connection);
      },
      onParted: (connection) => {
        const name = this.#nextNames.get(connection);
        // Of two answers for the same bytes the later one is kept: the other one ends by its time.
        if (name !== undefined && !this.#isClosed) this.#parted.set(name, connection);
        else connection.destroy(undefined);
      },
      onOver: (connection) => {
        const name = this.#nextNames.get(connection);
        this.#nextNames.delete(connection);
        if (name !== undefined && this.#parted.get(name) === connection) this.#parted.delete(name);
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

function nameOf({ of, offset }: BodyPart, lengthBytes: number): string {
  return `${offset + lengthBytes} ${of}`;
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
