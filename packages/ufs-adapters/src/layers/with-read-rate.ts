/** Holds the bodies of reads to a rate, by pauses before their chunks are passed on: the connection then fills up, and the storage waits. */

import type { ReadRate } from '../read-rate.ts';
import { receiveRead } from '../reception.ts';
import { delegateTo } from './delegate.ts';
import type { ReadOptions, ReceiveOptions, Ufs, UfsRead, UfsReception } from '../ufs.ts';

export interface ReadRateLayerOptions {
  readonly rate: ReadRate;
  /** Told at the end of each body that had to pause for how long. */
  readonly onPaused: (ms: number) => void;
}

export function withReadRate(ufs: Ufs, { rate, onPaused }: ReadRateLayerOptions): Ufs {
  async function* paced(
    body: AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    let pausedMs = 0;
    try {
      for await (const chunk of body) {
        pausedMs += await rate.pay(chunk.length, { signal });
        yield chunk;
      }
    } finally {
      if (pausedMs > 0) onPaused(pausedMs);
    }
  }

  async function read(key: string, options: ReadOptions): Promise<UfsRead> {
    const { file, body } = await ufs.read(key, options);
    return { file, body: { [Symbol.asyncIterator]: () => paced(body, options.signal) } };
  }

  /** What is received straight into memory comes as fast as the storage gives it: chunks do not. */
  const receive = (key: string, options: ReceiveOptions): Promise<UfsReception> =>
    receiveRead(() => read(key, options), options);

  return { ...delegateTo(ufs), read, receive };
}
