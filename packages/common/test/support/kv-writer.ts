/**
 * A process for tests to kill: opens the embedded store in the directory given and puts `n` = 1, 2, 3 … into it, each with a
 * second key, printing each number once its transaction was answered. The second argument is the log's bound. When a
 * transaction fails it prints how, lifts the limit on file sizes that the test had set, prints how the next one fails and what a
 * read still gives, and ends.
 */

import { execFileSync } from 'node:child_process';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { toAlluxioError } from '../../src/errors.ts';
import { silentLogger } from '../../src/logger.ts';
import { openEmbeddedKvStore } from '../../src/state/embedded-kv-store.ts';

const [directory, logMaxBytes] = process.argv.slice(2);
if (directory === undefined) throw new Error('name a directory');
const store = await openEmbeddedKvStore({
  directory,
  clock: systemClock,
  random: systemRandom,
  logger: silentLogger,
  logMaxBytes: Number(logMaxBytes),
});
const last = Number((await store.get('n'))?.value ?? 0);
const put = (n: number) =>
  store.txn({
    put: [
      { key: 'n', value: String(n) },
      { key: `twin/${n % 10}`, value: String(n) },
    ],
  });
const failureOf = (n: number) =>
  put(n).then(
    () => 'none',
    (thrown: unknown) => toAlluxioError(thrown).message,
  );

let n = last;
let failure = 'none';
while (failure === 'none') {
  n++;
  failure = await failureOf(n);
  if (failure === 'none') process.stdout.write(`${n}\n`);
}
process.stdout.write(`failed: ${failure}\n`);
execFileSync('prlimit', [`--pid=${process.pid}`, '--fsize=unlimited:']);
process.stdout.write(`then: ${await failureOf(n)}\n`);
process.stdout.write(`read: ${(await store.get('n'))?.value}\n`);
