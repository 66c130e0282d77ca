/** Opens connections for undici which end with a signal, also while they are being opened: undici's own would be waited for when it is closed. */

import { connect } from 'node:net';
import type { buildConnector } from 'undici';

/** A connection that is not there after `timeoutMs` fails with ETIMEDOUT. */
export function abortableConnector(timeoutMs: number, signal: AbortSignal): buildConnector.connector {
  return ({ hostname, port }, callback) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true, keepAlive: true, signal });
    const late = Object.assign(new Error(`no connection within ${timeoutMs} ms`), { code: 'ETIMEDOUT' });
    const timer = setTimeout(() => socket.destroy(late), timeoutMs);
    const failed = (error: Error): void => {
      clearTimeout(timer);
      callback(error, null);
    };
    socket.once('error', failed).once('connect', () => {
      clearTimeout(timer);
      socket.removeListener('error', failed);
      callback(null, socket);
    });
  };
}
