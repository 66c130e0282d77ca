/** A TCP relay that is as slow as it is told: latency in each direction, bytes a second for all its connections together, or nothing at all. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '@alluxio-ts/common/clock';

/** One connection sends so much before another one has its turn. */
const pieceBytes = 16 * 1024;
/** What may be on the way in one direction of a connection. */
const roomBytes = 1024 * 1024;

export class SlowLink {
  /** What was taken in is let out so much later. */
  latencyMs = 0;
  bytesPerSecond = Number.POSITIVE_INFINITY;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #over = new AbortController();
  #turn: Promise<void> = Promise.resolve();
  #stalled: PromiseWithResolvers<void> | undefined;

  constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer((client) => this.#relay(client));
  }

  async listen(host: string, port: number): Promise<void> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
  }

  /** Lets nothing out any more; connections are still taken and stay open. */
  stall(): void {
    this.#stalled ??= Promise.withResolvers();
  }

  flow(): void {
    this.#stalled?.resolve();
    this.#stalled = undefined;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    this.flow();
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  #relay(client: Socket): void {
    const upstream = connect({ ...this.#target, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    void this.#pass(client, upstream);
    void this.#pass(upstream, client);
  }

  async #pass(from: Socket, to: Socket): Promise<void> {
    let sent: Promise<unknown> = Promise.resolve();
    let onTheWayBytes = 0;
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        const dueMs = systemClock.monotonic() + this.latencyMs;
        onTheWayBytes += chunk.length;
        sent = sent.then(() => this.#letOut(chunk, dueMs, to)).then(() => (onTheWayBytes -= chunk.length));
        sent.catch(() => undefined);
        if (onTheWayBytes > roomBytes) await sent;
      }
      await sent;
      to.end();
    } catch {
      to.destroy();
    }
  }

  async #letOut(chunk: Buffer, dueMs: number, to: Socket): Promise<void> {
    const { signal } = this.#over;
    await systemClock.sleep(Math.max(0, dueMs - systemClock.monotonic()), { signal });
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      await this.#stalled?.promise;
      const piece = chunk.subarray(at, at + pieceBytes);
      await this.#inTurn((piece.length / this.bytesPerSecond) * 1000);
      if (!to.write(piece)) await once(to, 'drain', { signal });
    }
  }

  async #inTurn(ms: number): Promise<void> {
    if (ms === 0) return;
    this.#turn = this.#turn.then(() => systemClock.sleep(ms, { signal: this.#over.signal }));
    await this.#turn;
  }
}
