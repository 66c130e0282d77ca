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
  const { signal } = options;
  let isTaken = false;
  const abandon = (): void => {
    if (isTaken) return;
    isTaken = true;
    void Promise.resolve(options.release()).catch(() => undefined);
  };
  if (signal?.aborted) abandon();
  else signal?.addEventListener('abort', abandon, { once: true });

  async function* iterate(): AsyncGenerator<Uint8Array> {
    signal?.throwIfAborted();
    if (isTaken) throw new TypeError('the body of a read can be iterated only once');
    isTaken = true;
    signal?.removeEventListener('abort', abandon);
    try {
      yield* options.chunks();
    } finally {
      await options.release();
    }
  }
  return { [Symbol.asyncIterator]: iterate };
}
