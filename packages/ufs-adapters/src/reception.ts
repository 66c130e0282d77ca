/** Bytes on their way into memory of the caller, for whoever has them in chunks. */

import type { ReceiveOptions, UfsRead, UfsReception } from './ufs.ts';

/** Begins the read, and brings its body to where it belongs. */
export async function receiveRead(
  read: () => Promise<UfsRead>,
  options: ReceiveOptions,
): Promise<UfsReception> {
  const { body, file } = await read();
  return { file, over: unwatched(receiveChunks(body, options)) };
}

/**
 * Copies chunks to where they belong; resolves with how many bytes they were. What is more than there is room for is not copied, and ends it. Nothing is written to the memory once the signal is
 * aborted.
 */
export async function receiveChunks(
  chunks: AsyncIterable<Uint8Array>,
  { into, onReceived, signal }: Pick<ReceiveOptions, 'into' | 'onReceived' | 'signal'>,
): Promise<number> {
  let count = 0;
  for await (const chunk of chunks) {
    signal?.throwIfAborted();
    const from = count;
    count += chunk.length;
    if (count > into.length) break;
    into.set(chunk, from);
    onReceived(count);
  }
  return count;
}

/** The same promise. That it fails harms nobody, whether or not anybody waits for it. */
export function unwatched<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** What is told of a reception before somebody follows it. */
export class HeldCount {
  #count = 0;
  #onReceived: ((count: number) => void) | undefined;

  readonly tell = (count: number): void => {
    this.#count = count;
    this.#onReceived?.(count);
  };

  /** Tells what has come, and from now on what comes. */
  follow(onReceived: (count: number) => void): void {
    this.#onReceived = onReceived;
    if (this.#count > 0) onReceived(this.#count);
  }
}
