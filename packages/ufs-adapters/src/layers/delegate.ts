import type { ListPage, Ufs } from '../ufs.ts';

/** The storage as a plain object, for a layer that changes some of its calls only. */
export function delegateTo(ufs: Ufs): Ufs {
  return {
    capability: ufs.capability,
    stat: (key, options) => ufs.stat(key, options),
    list: (options) => ufs.list(options),
    read: (key, options) => ufs.read(key, options),
    receive: (key, options) => ufs.receive(key, options),
    write: (key, bytes, options) => ufs.write(key, bytes, options),
    remove: (key, options) => ufs.remove(key, options),
    close: () => ufs.close(),
  };
}

/** The same pages, each awaited as `step` says. Leaving the loop early leaves the listing. */
export async function* listInSteps(
  pages: AsyncIterable<ListPage>,
  step: (next: () => Promise<IteratorResult<ListPage>>) => Promise<IteratorResult<ListPage>>,
): AsyncGenerator<ListPage> {
  const iterator = pages[Symbol.asyncIterator]();
  try {
    for (;;) {
      const result = await step(() => iterator.next());
      if (result.done) return;
      yield result.value;
    }
  } finally {
    await iterator.return?.();
  }
}
