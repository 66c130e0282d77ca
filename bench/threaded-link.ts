/** A link between a storage and who reads it, as slow as a bench says, in a thread of its own. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { freePorts } from '../test/support/free-ports.ts';

export interface LinkShape {
  /** In each direction. */
  readonly latencyMs: number;
  /** Of all connections together, and of each. */
  readonly bytesPerSecond: number;
  readonly connectionBytesPerSecond: number;
}

export interface LinkPlace {
  readonly port: number;
  readonly target: { readonly host: string; readonly port: number };
}

export class ThreadedLink {
  readonly endpoint: string;
  readonly #worker: Worker;

  static async start(target: URL): Promise<ThreadedLink> {
    const [port = 0] = await freePorts(1);
    const place: LinkPlace = { port, target: { host: target.hostname, port: Number(target.port) } };
    const worker = new Worker(new URL('slow-link-thread.ts', import.meta.url), { workerData: place });
    await once(worker, 'message');
    return new ThreadedLink(worker, port);
  }

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.endpoint = `http://127.0.0.1:${port}`;
  }

  async set(shape: LinkShape): Promise<void> {
    await this.#tell(shape);
  }

  /** Bytes that came from the storage, heads included. */
  receivedBytes(): Promise<number> {
    return this.#tell({});
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  async #tell(shape: Partial<LinkShape>): Promise<number> {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has none
    this.#worker.postMessage(shape);
    const [receivedBytes] = (await once(this.#worker, 'message')) as [number];
    return receivedBytes;
  }
}
