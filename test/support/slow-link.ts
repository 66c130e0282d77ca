/** A TCP relay that is as slow as it is told: latency in each direction, bytes a second for all its connections together and for each, or nothing at all. */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { systemClock } from '@alluxio-ts/common/clock';

/** One connection sends so much before another one has its turn. */
const pieceBytes = 16 * 1024;
/** Timers are no finer. */
const timerMs = 2;
/** What may be on the way in one direction of a connection. */
const roomBytes = 1024 * 1024;

export class SlowLink {
  /** What was taken in is let out so much later. */
  latencyMs = 0;
  /** In both directions together. */
  bytesPerSecond = Number.POSITIVE_INFINITY;
  /** In each direction of each connection. */
  connectionBytesPerSecond = Number.POSITIVE_INFINITY;
  /** Bytes that came from the target and were let out. */
  receivedBytes = 0;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #over = new AbortController();
  readonly #line = new Line();
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
    void this.#pass(client, upstream, () => undefined);
    void this.#pass(upstream, client, (bytes) => (this.receivedBytes += bytes));
  }

  async #pass(from: Socket, to: Socket, count: (bytes: number) => void): Promise<void> {
    const line = new Line();
    let sent: Promise<unknown> = Promise.resolve();
    let onTheWayBytes = 0;
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        const dueMs = systemClock.monotonic() + this.latencyMs;
        onTheWayBytes += chunk.length;
        sent = sent
          .then(() => this.#letOut(chunk, dueMs, { to, line, count }))
          .then(() => (onTheWayBytes -= chunk.length));
        sent.catch(() => undefined);
        if (onTheWayBytes > roomBytes) await sent;
      }
      await sent;
      to.end();
    } catch {
      to.destroy();
    }
  }

  async #letOut(chunk: Buffer, dueMs: number, { count, line, to }: Way): Promise<void> {
    const { signal } = this.#over;
    await systemClock.sleep(Math.max(0, dueMs - systemClock.monotonic()), { signal });
    for (let at = 0; at < chunk.length; at += pieceBytes) {
      await this.#stalled?.promise;
      const piece = chunk.subarray(at, at + pieceBytes);
      const busyUntilMs = Math.max(
        this.#line.book((1000 * piece.length) / this.bytesPerSecond),
        line.book((1000 * piece.length) / this.connectionBytesPerSecond),
      );
      const waitMs = busyUntilMs - systemClock.monotonic();
      // A timer that is late is made good by the next ones.
      if (waitMs > timerMs) await systemClock.sleep(waitMs, { signal });
      count(piece.length);
      if (!to.write(piece)) await once(to, 'drain', { signal });
    }
  }
}

interface Way {
  readonly to: Socket;
  readonly line: Line;
  readonly count: (bytes: number) => void;
}

/** What takes one piece after the other. */
class Line {
  #busyUntilMs = 0;

  /** When a piece that takes so long, and all before it, are through. */
  book(ms: number): number {
    this.#busyUntilMs = Math.max(this.#busyUntilMs, systemClock.monotonic()) + ms;
    return this.#busyUntilMs;
  }
}
