/** Deadlines of work that goes on: here answers over a socket. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { systemClock } from '@alluxio-ts/common/clock';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import t from 'tap';

const deadlineMs = 50;

void t.test('work is over by its deadline, or it is not', async (t) => {
  t.equal(await resolvesWithin(systemClock, deadlineMs, systemClock.sleep(1)), true);
  t.equal(await resolvesWithin(systemClock, 1, systemClock.sleep(deadlineMs)), false);
  await t.rejects(resolvesWithin(systemClock, deadlineMs, Promise.reject(new Error('gone'))), /gone/);
});

void t.test('what came while this process was busy came in time', async (t) => {
  const server = createServer((socket) => {
    // It is in the client's socket then, and nobody reads before the deadline is over.
    socket.end('answer');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * deadlineMs);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const answer = once(client, 'data');
  t.equal(await resolvesWithin(systemClock, deadlineMs, answer), true);
});
