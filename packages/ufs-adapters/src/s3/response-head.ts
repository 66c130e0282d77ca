/** The head of an HTTP/1.1 answer (RFC 9112), read strictly: what two readers could understand differently is refused. */

import { Buffer } from 'node:buffer';
import { HttpFailure } from './http-failure.ts';
import type { ResponseHeaders } from './responses.ts';

export interface ResponseHead {
  readonly statusCode: number;
  readonly statusText: string;
  /** By lower-case name; a name that came more than once has its values joined by a comma. */
  readonly headers: ResponseHeaders;
  /** Whether the connection may be used again after the body. */
  readonly isKeptAlive: boolean;
  /** Of the body; undefined where the answer is framed in another way than by its length. */
  readonly lengthBytes: number | undefined;
}

const statusPattern = /^HTTP\/1\.([01]) (\d{3})(?: (.*))?$/;
const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// oxlint-disable-next-line no-control-regex -- these are what no value may hold
const badValuePattern = /[\0\r\n]/;

/** `text` is the head without the empty line that ends it. Throws HPE_INVALID for what is no such head. */
export function parseResponseHead(text: string): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n');
  const status = statusPattern.exec(first);
  if (!status) throw notHttp('a status line');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0));
    const value = line.slice(colon + 1).trim();
    if (!namePattern.test(name) || badValuePattern.test(value)) throw notHttp('headers');
    const key = name.toLowerCase();
    const earlier = headers[key];
    headers[key] = earlier === undefined ? value : `${earlier}, ${value}`;
  }
  // undici, which answers for HEAD, reads this one so where there is a length.
  const disposition = headers['content-disposition'];
  if (disposition !== undefined && headers['content-length'] !== undefined) {
    headers['content-disposition'] = Buffer.from(disposition).toString('latin1');
  }
  const isNew = status[1] === '1';
  const connection = (headers['connection'] ?? '').toLowerCase();
  return {
    statusCode: Number(status[2]),
    statusText: status[3] ?? '',
    headers,
    isKeptAlive: isNew && !/\bclose\b/.test(connection),
    lengthBytes: lengthOf(headers),
  };
}

function lengthOf(headers: Record<string, string>): number | undefined {
  const text = headers['content-length'];
  if (headers['transfer-encoding'] !== undefined) {
    if (text !== undefined) throw notHttp('one length');
    return undefined;
  }
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw notHttp('a length');
  return Number(text);
}

function notHttp(what: string): Error {
  return new HttpFailure('HPE_INVALID', `the answer has not ${what} as HTTP wants`);
}
