/** A body that holds something (an open file, a connection, a place in a queue) which must be given back exactly once. */

export interface OwnedBodyOptions {
  /** Called once, when the body is first iterated. */
  readonly chunks: () => AsyncIterable<Uint8Array>;
  /** Called once: at the end, after a failure, when the loop is left early, or when the signal is aborted before anybody iterates. */
  readonly release: () => void | Promise<void>;
  readonly signal: AbortSignal | undefined;
}

/** A body can be iterated once. Whoever does not want it leaves the loop at once or aborts the signal of the call. */
export function ownedBody(options: OwnedBodyOptions): AsyncIterable<Uint8Array> {
  return new OwnedBody(options);
}

/** A class, since a generator function that is made anew for each body has the engine describe its generators anew. */
class OwnedBody implements AsyncIterable<Uint8Array> {
  readonly #options: OwnedBodyOptions;
  readonly #abandon: (() => void) | undefined;
  #isTaken = false;

  constructor(options: OwnedBodyOptions) {
    this.#options = options;
    const { signal } = options;
    if (!signal) return;
    this.#abandon = () => this.#release();
    if (signal.aborted) this.#abandon();
    else signal.addEventListener('abort', this.#abandon, { once: true });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const { chunks, release, signal } = this.#options;
    signal?.throwIfAborted();
    if (this.#isTaken) throw new TypeError('the body of a read can be iterated only once');
    this.#isTaken = true;
    if (this.#abandon) signal?.removeEventListener('abort', this.#abandon);
    try {
      yield* chunks();
    } finally {
      await release();
    }
  }

  #release(): void {
    if (this.#isTaken) return;
    this.#isTaken = true;
    void Promise.resolve(this.#options.release()).catch(() => undefined);
  }
}
