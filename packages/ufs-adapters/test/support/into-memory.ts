import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import type { ReadOptions, Ufs, UfsRead } from '@alluxio-ts/ufs-adapters/ufs';

/** The same storage, whose reads receive into memory. Fails when it tells of bytes that it told of before. */
export function intoMemory(ufs: Ufs): Ufs {
  return { ...delegateTo(ufs), read: (key, options) => readIntoMemory(ufs, key, options) };
}

async function readIntoMemory(ufs: Ufs, key: string, options: ReadOptions): Promise<UfsRead> {
  const into = new Uint8Array(new SharedArrayBuffer(Math.max(0, options.lengthBytes) + 7), 7);
  const left = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, left.signal]) : left.signal;
  const state = { count: 0, isOver: false, wake: (): void => undefined };
  const onReceived = (count: number): void => {
    if (count <= state.count || count > options.lengthBytes) throw new Error(`${count} after ${state.count}`);
    state.count = count;
    state.wake();
  };
  const { file, over } = await ufs.receive(key, { ...options, signal, into, onReceived });
  const end = (): void => {
    state.isOver = true;
    state.wake();
  };
  over.then(end, end);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    let given = 0;
    try {
      while (!state.isOver || given < state.count) {
        if (given === state.count) await new Promise<void>((resolve) => (state.wake = resolve));
        const chunk = into.subarray(given, state.count);
        given += chunk.length;
        if (chunk.length > 0) yield chunk;
      }
      const all = await over;
      if (all !== given) throw new Error(`told of ${given} bytes of ${all}`);
    } finally {
      left.abort();
    }
  }
  return { file, body: { [Symbol.asyncIterator]: chunks } };
}
