/**
 * A forward proxy for clients that are told of it by `http_proxy`: records which server is asked for what, and leads a port that a client has fixed to
 * the one that the server really has.
 */

import { createServer, request as sendRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

export interface ProxiedRequest {
  readonly method: string;
  /** `host:port` as the client named it. */
  readonly host: string;
  /** With the query, as the client wrote it. */
  readonly target: string;
  readonly status: number;
  /** What the server says of its cache; '' where it says nothing. */
  readonly outcome: string;
}

export interface RecordingProxy {
  readonly url: string;
  /** In the order of their answers. */
  readonly requests: ProxiedRequest[];
  stop(): Promise<void>;
}

/** `leads` has the real `host:port` for those that are not what the client takes them for. */
export async function startRecordingProxy(leads: ReadonlyMap<string, string>): Promise<RecordingProxy> {
  const requests: ProxiedRequest[] = [];
  const server = createServer((request, response) => forward(request, response, { leads, requests }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    stop: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function forward(
  request: IncomingMessage,
  response: ServerResponse,
  options: { readonly leads: ReadonlyMap<string, string>; readonly requests: ProxiedRequest[] },
): void {
  const match = /^http:\/\/([^/]+)(\/.*)$/.exec(request.url ?? '');
  const [, host = '', target = ''] = match ?? [];
  if (!match) {
    response.writeHead(400).end();
    return;
  }
  const [hostname, port] = (options.leads.get(host) ?? host).split(':');
  const method = request.method ?? '';
  const upstream = sendRequest({
    hostname,
    port,
    method,
    path: target,
    headers: request.headers,
    agent: false,
  });
  upstream.on('response', (answer) => {
    const status = answer.statusCode ?? 0;
    const outcome = String(answer.headers['x-alluxio-cache'] ?? '');
    options.requests.push({ method, host, target, status, outcome });
    response.writeHead(status, answer.rawHeaders);
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.pipe(upstream);
}
