/** What stands before workers in production: gives each new connection to the next one that says it is ready. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Backend {
  /** Where connections go. */
  readonly url: URL;
  /** Answers with 200 while it wants connections. */
  readonly readyUrl: string;
}

export interface Balancer {
  readonly endpoint: string;
  /** Replaces a backend that was started anew. */
  set(index: number, backend: Backend): void;
  stop(): Promise<void>;
}

/** Asks for readiness before each connection, so it never knows less than one that asks now and then. */
export async function startBalancer(backends: readonly Backend[]): Promise<Balancer> {
  const current = [...backends];
  const sockets = new Set<Socket>();
  let next = 0;
  const server = createServer((client) => {
    track(client);
    void serve(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');

  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  }

  async function serve(client: Socket): Promise<void> {
    for (let tries = 0; tries < current.length; tries++) {
      const backend = current[next++ % current.length];
      if (!backend || !(await isReady(backend))) continue;
      const upstream = connect(Number(backend.url.port), backend.url.hostname);
      track(upstream);
      try {
        await once(upstream, 'connect');
      } catch {
        continue;
      }
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
      return;
    }
    client.destroy();
  }

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set: (index, backend) => void (current[index] = backend),
    stop: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function isReady({ readyUrl }: Backend): Promise<boolean> {
  return fetch(readyUrl).then(
    async (response) => {
      await response.arrayBuffer();
      return response.ok;
    },
    () => false,
  );
}
