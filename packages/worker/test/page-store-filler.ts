/**
 * A process that fills and empties a page store as fast as it can until it is killed: `page-store-filler.ts <dir> <seed>`.
 * Writes a line every few operations, with the count of evictions, so that whoever kills it can choose the moment.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { inspect, mixedPage, openTestStore, seededRandom } from './page-store-fixture.ts';
import { contentsOf } from './page-contents.ts';
import { killFileCount, killSizeBytes } from './page-store-kill.ts';

const [, , dir = '', seed = '1'] = process.argv;
const random = seededRandom(Number(seed));
const store = await openTestStore(dir, { sizeBytes: killSizeBytes });

async function put(fileNumber: number): Promise<void> {
  const page = mixedPage(fileNumber);
  const writer = store.openWriter(page.id, page.origin, page.lengthBytes);
  if (!writer) return;
  await writer.write(contentsOf(page));
  if (random(10) === 0) writer.abort();
  else writer.finish();
}

for (;;) {
  await Promise.all([put(random(killFileCount)), put(random(killFileCount)), put(random(killFileCount))]);
  const finding = await inspect(store, mixedPage(random(killFileCount)));
  if (finding === 'wrong') process.stdout.write('wrong\n');
  if (random(20) === 0) store.remove(mixedPage(random(killFileCount)).id, 'freed');
  process.stdout.write(`${store.stats().evictedCount}\n`);
  await turn();
}
