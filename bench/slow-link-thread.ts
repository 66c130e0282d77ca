/** A slow link in a thread of its own, so that whoever measures behind it does not hold it up; `threaded-link.ts` starts it. */

import { parentPort, workerData } from 'node:worker_threads';
import { SlowLink } from '../test/support/slow-link.ts';
import type { LinkPlace, LinkShape } from './threaded-link.ts';

// Only threaded-link.ts starts this file, and this is what it gives.
const { port, target } = workerData as LinkPlace;
const link = new SlowLink(target);
await link.listen('127.0.0.1', port);
parentPort?.on('message', (shape: Partial<LinkShape>) => {
  Object.assign(link, shape);
  tellBytes();
});
tellBytes();

function tellBytes(): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
  parentPort?.postMessage(link.receivedBytes);
}
