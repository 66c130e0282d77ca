import { connect, type Socket } from 'node:net';
import type { buildConnector } from 'undici';

/** Opens connections for undici, and gives up at once those that are still being opened when it is closed: undici's own would be waited for. */
export class Connector {
  readonly #timeoutMs: number;
  readonly #opening = new Set<Socket>();

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** A connection that is not there in time fails with ETIMEDOUT. */
  readonly open: buildConnector.connector = ({ hostname, port }, callback) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true, keepAlive: true });
    this.#opening.add(socket);
    const timer = setTimeout(() => socket.destroy(failure('ETIMEDOUT')), this.#timeoutMs);
    const over = (): void => {
      clearTimeout(timer);
      this.#opening.delete(socket);
      socket.removeListener('error', failed);
    };
    const failed = (error: Error): void => {
      over();
      callback(error, null);
    };
    socket.once('error', failed).once('connect', () => {
      over();
      callback(null, socket);
    });
  };

  close(): void {
    for (const socket of this.#opening) socket.destroy(failure('ECONNABORTED'));
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(`no connection: ${code}`), { code });
}
