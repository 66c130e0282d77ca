/**
 * A TCP relay between us and an under storage: counts what crosses it, independent of our own metrics, and plays a storage that went away. It
 * understands nothing but the request lines that it sees go by.
 */

import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export class UfsProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  /** Those that let nothing through any more. */
  readonly #silent = new WeakSet<Socket>();
  #isSilent = false;
  #server: Server | undefined;
  #port = 0;
  /** Bytes that came from the storage, heads included. */
  receivedBytes = 0;
  /** Request lines sent to the storage, such as `GET /bucket/key`. */
  readonly requests: string[] = [];

  constructor(target: URL) {
    this.#target = { host: target.hostname, port: Number(target.port) };
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Listens; after `stop` again on the same port. */
  async start(): Promise<void> {
    const server = createServer((client) => this.#relay(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address !== null && typeof address === 'object') this.#port = address.port;
    this.#server = server;
  }

  /** Resets every connection and refuses new ones. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  /** From now on nothing comes through the connections that there are, and nobody is told. What is sent to the storage is still counted. */
  silenceKept(): void {
    for (const socket of this.#sockets) this.#silent.add(socket);
  }

  /** And nothing through new ones, until `speak`. */
  silenceAll(): void {
    this.silenceKept();
    this.#isSilent = true;
  }

  speak(): void {
    this.#isSilent = false;
  }

  /** Forgets what was counted. */
  reset(): void {
    this.receivedBytes = 0;
    this.requests.length = 0;
  }

  countOf(method: string): number {
    return this.requests.filter((line) => line.startsWith(`${method} `)).length;
  }

  #relay(client: Socket): void {
    const upstream = connect(this.#target);
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      if (this.#isSilent) this.#silent.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (chunk: Buffer) => {
      for (const match of chunk
        .toString('latin1')
        .matchAll(/^(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP\/1\.1\r$/gm)) {
        this.requests.push(`${match[1]} ${match[2]}`);
      }
      if (!this.#silent.has(client)) upstream.write(chunk);
    });
    upstream.on('data', (chunk: Buffer) => {
      if (this.#silent.has(client)) return;
      this.receivedBytes += chunk.length;
      if (!client.write(chunk)) {
        upstream.pause();
        client.once('drain', () => upstream.resume());
      }
    });
    const close = (): void => {
      client.destroy();
      upstream.destroy();
      this.#sockets.delete(client);
      this.#sockets.delete(upstream);
    };
    client.on('close', close);
    upstream.on('close', close);
  }
}
