/**
 * Connections that have been answered once and then stand idle, in a process of their own: `idle-clients.ts <port> <count>`. Says when all stand, is asked to use some of them again, and says how
 * many have been ended by the server.
 */

import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

const [, , portText = '', countText = ''] = process.argv;
const count = Number(countText);
const atOnce = 100;
const request = 'GET / HTTP/1.1\r\nhost: h\r\n\r\n';
const sockets: Socket[] = [];
let endedCount = 0;

async function open(): Promise<void> {
  const socket = connect({ port: Number(portText), host: '127.0.0.1' });
  sockets.push(socket);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    endedCount++;
    if (endedCount === count) process.send?.({ event: 'ended', endedCount });
  });
  await use(socket);
}

async function use(socket: Socket): Promise<void> {
  socket.write(request);
  await once(socket, 'data');
}

while (sockets.length < count) await Promise.all(Array.from({ length: atOnce }, open));
process.send?.({ event: 'open', endedCount });
process.on('message', () => {
  // From one end to the other, the oldest among them.
  const some = sockets.filter((_, index) => index % 100 === 0);
  void Promise.all(some.map(use)).then(() => process.send?.({ event: 'used', endedCount }));
});
