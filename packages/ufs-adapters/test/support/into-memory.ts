import { delegateTo } from '@alluxio-ts/ufs-adapters/layers/delegate';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';

/** The same storage, asked to receive bodies into memory of the caller. Fails when a chunk that lies there is not where it belongs. */
export function intoMemory(ufs: Ufs): Ufs {
  return {
    ...delegateTo(ufs),
    read: async (key, options) => {
      const into = new Uint8Array(new SharedArrayBuffer(Math.max(0, options.lengthBytes) + 7), 7);
      const { body, file } = await ufs.read(key, { ...options, into });
      return { file, body: inPlace(body, into) };
    },
  };
}

async function* inPlace(body: AsyncIterable<Uint8Array>, into: Uint8Array): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of body) {
    if (chunk.buffer === into.buffer && chunk.byteOffset !== into.byteOffset + at) {
      throw new Error(`bytes that belong at ${at} lie at ${chunk.byteOffset - into.byteOffset}`);
    }
    at += chunk.length;
    yield chunk;
  }
}
