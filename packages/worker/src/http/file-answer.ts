/** The answer to GET and HEAD of one file, the same on every surface: conditions, range, headers, body, and the one retry that a changed version gets. */

import { emptyBody } from '@alluxio-ts/common/body';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import type { Outcome } from '@alluxio-ts/common/outcome';
import type {
  HeaderList,
  ReusableAnswer,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { FileCache, LookupOptions } from '../cache/file-cache.ts';
import { fileNotFound } from '../cache/file-table.ts';
import type { FoundFile } from '../cache/file-table.ts';
import type { FileName } from '../cache/mount-table.ts';
import { firstByteOf, parseByteRange } from './byte-range.ts';
import { evaluateConditions, hasConditions, isRangeWanted } from './conditions.ts';
import type { AnswerHere } from './routed.ts';

/** The header that carries the outcome of the page with the first byte. */
export const outcomeHeader = 'x-alluxio-cache';

/**
 * Fails with FileNotFound, PreconditionFailed or InvalidRange (its context has `sizeBytes`), and with whatever the under storage fails with before
 * the first byte.
 */
export async function answerFile(
  request: TransportRequest,
  file: FileName,
  cache: FileCache,
  options: AnswerOptions,
): Promise<TransportResponse> {
  const answer = async (found: FoundFile): Promise<TransportResponse> => {
    const response = await answerFound(request, file, found, { cache, ...options });
    // A range that the target implies, instead of the header, is not what a transport that reads headers would send.
    const isWhole = request.method === 'GET' && options.range === undefined && options.bypass === undefined;
    if (!isWhole) return response;
    return { ...response, reusable: () => reusableAnswer(response, file, found, { ...options, cache }) };
  };
  const isRead = request.method === 'GET' && !hasConditions(request.headers);
  const readFrom = isRead ? firstByteOf(options.range ?? request.headers.get('range')) : undefined;
  const { renewAheadMs } = request;
  return withFoundFile(cache, file, answer, { ...options, readFrom, renewAheadMs });
}

export interface AnswerOptions extends AnswerHere {
  /** Headers that the request asks to be other than the file's own; their names in lower case. */
  readonly overrides?: ReadonlyMap<string, string>;
  /** Stands in for the Range header. */
  readonly range?: string;
  /** The surface's header for the request's id. */
  readonly requestIdHeader: string;
}

/**
 * Answers from the file as it is known. When the under storage turns out to have another version before the first byte is sent, the file is looked up
 * again and the answer made anew, once. Fails with FileNotFound.
 */
export async function withFoundFile<T>(
  cache: FileCache,
  file: FileName,
  answer: (found: FoundFile) => Promise<T>,
  options: Pick<LookupOptions, 'bypass' | 'readFrom' | 'renewAheadMs'> = {},
): Promise<T> {
  const known = await cache.lookup(file, options);
  if (!known) throw fileNotFound(file);
  try {
    return await answer(known);
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'VersionChanged')) throw thrown;
    const found = await cache.lookup(file, { ...options, mustCheck: true });
    if (!found) throw fileNotFound(file);
    return answer(found);
  }
}

async function answerFound(
  request: TransportRequest,
  file: FileName,
  found: FoundFile,
  options: AnswerOptions & { readonly cache: FileCache },
): Promise<TransportResponse> {
  const { status } = found.record;
  const headers = overridden(fileHeaders(status), options.overrides);
  switch (evaluateConditions(request.headers, status)) {
    case 'precondition-failed':
      throw new AlluxioError('PreconditionFailed', 'the file does not meet the condition of the request');
    case 'not-modified':
      return { status: 304, headers, body: emptyBody };
    case 'proceed':
      break;
  }
  const range = parseByteRange(
    options.range ?? (isRangeWanted(request.headers, status) ? request.headers.get('range') : undefined),
    status.sizeBytes,
  );
  if (range.kind === 'unsatisfiable') {
    throw new AlluxioError(
      'InvalidRange',
      `the range begins behind the end of the file (${status.sizeBytes} bytes)`,
      {
        context: { sizeBytes: status.sizeBytes },
      },
    );
  }
  const { from, to } = range.kind === 'part' ? range : { from: 0, to: status.sizeBytes };
  const all: [string, string][] = [
    ...headers.map(([name, value]): [string, string] => [name, value]),
    ['content-length', String(to - from)],
  ];
  if (range.kind === 'part') all.push(['content-range', `bytes ${from}-${to - 1}/${status.sizeBytes}`]);
  const code = range.kind === 'part' ? 206 : 200;
  if (!isBodyRead(request)) return { status: code, headers: all, body: emptyBody };
  const opened = await options.cache.open(file, found, { from, to, signal: request.signal });
  all.push([outcomeHeader, opened.outcome satisfies Outcome]);
  return { status: code, headers: all, body: opened.body };
}

/** Whether anybody will read the body of the answer. */
export function isBodyRead({ method, renewAheadMs }: TransportRequest): boolean {
  return method !== 'HEAD' && renewAheadMs === undefined;
}

/** What the next answers about the file will say, as long as nothing changes. */
function reusableAnswer(
  response: TransportResponse,
  file: FileName,
  found: FoundFile,
  options: AnswerOptions & { readonly cache: FileCache },
): ReusableAnswer | undefined {
  const reuse = options.isReusable() ? options.cache.reuseOf(file, found) : undefined;
  if (!reuse) return undefined;
  const { status } = found.record;
  const range = response.headers.find(([name]) => name === 'content-range')?.[1];
  return {
    ...reuse,
    requestIdHeader: options.requestIdHeader,
    sizeBytes: status.sizeBytes,
    bodyFrom: Number(/^bytes (\d+)-/.exec(range ?? '')?.[1] ?? 0),
    etag: status.etag,
    headers: overridden(fileHeaders(status), options.overrides),
    bodyHeaders: [[outcomeHeader, 'hit' satisfies Outcome]],
  };
}

function overridden(headers: HeaderList, overrides: ReadonlyMap<string, string> | undefined): HeaderList {
  if (!overrides || overrides.size === 0) return headers;
  return [...headers.filter(([name]) => !overrides.has(name)), ...overrides];
}

/** What describes the file itself, as the under storage keeps it. */
function fileHeaders(status: FileStatus): HeaderList {
  const { headers } = status;
  const list: [string, string][] = [
    ['last-modified', new Date(status.modifiedMs).toUTCString()],
    ['accept-ranges', 'bytes'],
    ['content-type', headers.contentType ?? 'application/octet-stream'],
  ];
  const optional = [
    ['etag', status.etag],
    ['content-encoding', headers.contentEncoding],
    ['content-disposition', headers.contentDisposition],
    ['content-language', headers.contentLanguage],
    ['cache-control', headers.cacheControl],
    ['expires', headers.expires],
  ] as const;
  for (const [name, value] of optional) {
    if (value !== undefined) list.push([name, value]);
  }
  for (const [name, value] of Object.entries(headers.metadata ?? {}))
    list.push([`x-amz-meta-${name}`, value]);
  return list;
}
