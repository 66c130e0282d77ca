/** The few answers of S3 that fills need, in this process: counts bytes, and cuts or holds a body when a test says so. */

import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

interface Hold {
  readonly afterBytes: number;
  readonly opened: Promise<void>;
}

export class S3Origin {
  /** Bytes of bodies sent, by key. */
  readonly sentBytes = new Map<string, number>();
  /** The ranges asked for by GET, in order. */
  readonly ranges: (readonly [key: string, from: number, to: number])[] = [];
  readonly sockets = new Set<Socket>();
  readonly #objects = new Map<string, StoredObject>();
  readonly #holds = new Map<string, Hold>();
  readonly #cuts = new Map<string, number>();
  readonly #server: http.Server;
  #writeCount = 0;

  static async start(): Promise<S3Origin> {
    const origin = new S3Origin();
    origin.#server.listen(0, '127.0.0.1');
    await once(origin.#server, 'listening');
    return origin;
  }

  private constructor() {
    this.#server = http.createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  get mountOptions(): Readonly<Record<string, string>> {
    const { port } = this.#server.address() as AddressInfo;
    return {
      's3a.accessKeyId': 'key',
      's3a.secretKey': 'secret',
      'alluxio.underfs.s3.region': 'us-east-1',
      'alluxio.underfs.s3.endpoint': `http://127.0.0.1:${port}`,
    };
  }

  put(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, { bytes, etag: `"${++this.#writeCount}-x"` });
  }

  remove(key: string): void {
    this.#objects.delete(key);
  }

  /** The next body of this key waits after so many bytes. */
  hold(key: string, afterBytes: number): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#holds.set(key, { afterBytes, opened: promise });
    return resolve;
  }

  /** The connection of the next body of this key ends after so many bytes. */
  cut(key: string, afterBytes: number): void {
    this.#cuts.set(key, afterBytes);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const key = decodeURIComponent((request.url ?? '').split('/').slice(2).join('/'));
    const object = this.#objects.get(key);
    if (!object) {
      response.writeHead(404, { 'content-type': 'application/xml' });
      response.end('<Error><Code>NoSuchKey</Code><Message>none</Message></Error>');
      return;
    }
    const wanted = request.headers['if-match'];
    if (wanted !== undefined && wanted !== object.etag) {
      response.writeHead(412, { 'content-type': 'application/xml' });
      response.end('<Error><Code>PreconditionFailed</Code><Message>other</Message></Error>');
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = Math.min(object.bytes.length, Number(range?.[2] ?? object.bytes.length - 1) + 1);
    response.writeHead(range ? 206 : 200, {
      etag: object.etag,
      'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      'content-length': to - from,
      ...(range ? { 'content-range': `bytes ${from}-${to - 1}/${object.bytes.length}` } : {}),
    });
    if (request.method === 'HEAD') response.end();
    else await this.#send(key, object.bytes.subarray(from, to), from, response);
  }

  async #send(key: string, bytes: Uint8Array, from: number, response: http.ServerResponse): Promise<void> {
    this.ranges.push([key, from, from + bytes.length]);
    const hold = this.#holds.get(key);
    const cutAt = this.#cuts.get(key);
    this.#holds.delete(key);
    this.#cuts.delete(key);
    const first = bytes.subarray(0, cutAt ?? hold?.afterBytes ?? bytes.length);
    this.sentBytes.set(key, (this.sentBytes.get(key) ?? 0) + first.length);
    if (cutAt !== undefined) {
      response.write(first, () => response.destroy());
      return;
    }
    if (first.length === bytes.length) {
      response.end(first);
      return;
    }
    response.write(first);
    await hold?.opened;
    this.sentBytes.set(key, (this.sentBytes.get(key) ?? 0) + bytes.length - first.length);
    response.end(bytes.subarray(first.length));
  }
}
