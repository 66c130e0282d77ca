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
const badTextPattern = /\0|\r(?!\n)|(?<!\r)\n/;

/** `text` is the head without the empty line that ends it. Throws HPE_INVALID for what is no such head. */
export function parseResponseHead(text: string): ResponseHead {
  const firstEnd = lineEndOf(text, 0);
  const status = statusPattern.exec(text.slice(0, firstEnd));
  if (!status) throw notHttp('a status line');
  if (badTextPattern.test(text)) throw notHttp('headers');
  const headers: Record<string, string> = {};
  for (let at = firstEnd + 2, end = at; at <= text.length; at = end + 2) {
    end = lineEndOf(text, at);
    const colon = text.indexOf(':', at);
    if (colon === -1 || colon >= end) throw notHttp('headers');
    const name = text.slice(at, colon);
    if (!namePattern.test(name)) throw notHttp('headers');
    const key = name.toLowerCase();
    const value = text.slice(colon + 1, end).trim();
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

function lineEndOf(text: string, from: number): number {
  const end = text.indexOf('\r\n', from);
  return end === -1 ? text.length : end;
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
