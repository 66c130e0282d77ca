/** The REST API of a worker (`/v1/…`), read calls of both generations of Alluxio's Python client, as a function from request to response. */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import type { Clock } from '@alluxio-ts/common/clock';
import { emptyBody, textBody } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Outcome } from '@alluxio-ts/common/outcome';
import { pageCountOf, pageLengthOf } from '@alluxio-ts/common/page';
import { nextStartAfterHeader } from '@alluxio-ts/common/protocol/worker-api';
import type {
  FilePart,
  HeaderList,
  RequestHandler,
  ReusableAnswer,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { WorkerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { findPath } from '../cache/cache-control.ts';
import type { FileCache } from '../cache/file-cache.ts';
import type { FoundFile } from '../cache/file-table.ts';
import type { FileName, MountTable, ServedMount } from '../cache/mount-table.ts';
import type { Placement } from '../cache/placement.ts';
import type { CachedBytes } from '../cluster/cached-bytes.ts';
import type { FileRouter } from '../cluster/peer-relay.ts';
import { isBodyRead, outcomeHeader, withFoundFile } from '../http/file-answer.ts';
import { type AnswerHere, answerRouted } from '../http/routed.ts';
import { createSurface, type ErrorDescription } from '../http/surface.ts';
import { filesLimitMax, listFiles, statPath } from './file-listing.ts';
import { answerLoad } from './load-call.ts';
import { countParameter, parseRestTarget, requiredParameter } from './rest-target.ts';
import type { RestTarget } from './rest-target.ts';

export interface RestSurfaceOptions {
  readonly cache: FileCache;
  readonly mounts: MountTable;
  /** Wherever the files are cached. */
  readonly cachedBytes: CachedBytes;
  readonly placement: Placement;
  readonly router: FileRouter;
  readonly pageSizeBytes: number;
  /** Runs the loads that are submitted here; undefined where there is none. */
  readonly coordinator: () => CoordinatorClient | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What `/v1/ufsInfo` tells of a mount beside its path: credentials only where the operator allows it. */
  readonly ufsInfoOf: (mount: ServedMount) => Readonly<Record<string, string>>;
}

const requestIdHeader = 'x-request-id';

/** What `head` and `tail` give unless told otherwise, as alluxiofs asks. */
const headTailDefaultBytes = 1024;

export function createRestSurface(options: RestSurfaceOptions): RequestHandler {
  return createSurface({
    idHeader: requestIdHeader,
    logger: options.logger,
    answer: (request) => answer(request, options),
    describe: describeError,
  });
}

async function answer(request: TransportRequest, options: RestSurfaceOptions): Promise<TransportResponse> {
  const target = parseRestTarget(request.target);
  if (!target) throw unknownCall(request.target);
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw new AlluxioError(
      'MethodNotAllowed',
      `${request.method} is not allowed: the REST API serves reads only`,
    );
  }
  const [call = '', id = ''] = target.segments;
  switch (call) {
    case 'health':
      return { status: 200, headers: [['content-type', 'text/plain']], body: textBody('worker is active') };
    case 'node':
      return jsonResponse(ownerOf(requiredParameter(target, 'path'), options));
    case 'ufsInfo':
      return jsonResponse(ufsInfo(options));
    case 'files':
      return answerFiles(target, options, request.signal);
    case 'load': {
      const coordinator = options.coordinator();
      const { signal } = request;
      const answer = await answerLoad(target, { coordinator, nowMs: options.clock.now(), signal });
      return { ...jsonResponse(answer), headers: [['content-type', 'text/plain']] };
    }
    case 'info':
      return answerInfo(request, requiredParameter(target, 'path'), options);
    case 'chunk':
      return answerBytes(request, await fileOf(target, id, options), options, wholeOf);
    case 'range': {
      const offset = countParameter(target, 'offset') ?? 0;
      const length = countParameter(target, 'length');
      return answerBytes(request, await fileOf(target, id, options), options, (size) =>
        cut(wholeOf(size), offset, length),
      );
    }
    case 'head':
    case 'tail': {
      const count = countParameter(target, 'numOfBytes') ?? headTailDefaultBytes;
      return answerBytes(request, await fileOf(target, id, options), options, (size) =>
        call === 'head' ? cut(wholeOf(size), 0, count) : { from: Math.max(0, size - count), to: size },
      );
    }
    case 'file':
      return answerPage(request, target, options);
    default:
      throw unknownCall(request.target);
  }
}

/**
 * `/v1/files?path=`, with additions of ours: `limit` and `startAfter` give pages, whose answer names the next `startAfter` in a header as long as
 * there is one; `recursive=true` gives every file below; `cached=true` says how much of each is cached.
 */
async function answerFiles(
  target: RestTarget,
  options: RestSurfaceOptions,
  signal: AbortSignal,
): Promise<TransportResponse> {
  const limit = countParameter(target, 'limit');
  const request = {
    path: requiredParameter(target, 'path'),
    isRecursive: target.query.get('recursive') === 'true',
    wantsCached: target.query.get('cached') === 'true',
    ...(limit === undefined
      ? {}
      : {
          page: {
            limit: Math.max(1, Math.min(filesLimitMax, limit)),
            startAfter: target.query.get('startAfter'),
          },
        }),
  };
  const { objects, nextStartAfter } = await listFiles(request, options, { signal });
  const response = jsonResponse(objects);
  if (nextStartAfter === undefined) return response;
  const next = encodeURIComponent(nextStartAfter.toWellFormed());
  return { ...response, headers: [...response.headers, [nextStartAfterHeader, next]] };
}

/** Where a client should read a path: of a mounted one by its canonical name, whichever spelling the client used. */
function ownerOf(path: string, options: RestSurfaceOptions): WorkerNetAddress | undefined {
  const file = options.mounts.findByUfsPath(path);
  return options.placement.ownersOf(file?.ufsPath ?? path)[0];
}

/** The owner alone says what a file is. */
function answerInfo(
  request: TransportRequest,
  path: string,
  options: RestSurfaceOptions,
): Promise<TransportResponse> {
  const file = findPath(path, options.mounts);
  return answerRouted({ request, api: 'rest', file }, options, async (how) =>
    jsonResponse([await statPath(path, options, { signal: request.signal, ...how })]),
  );
}

/** `/v1/file/<id>/page/<index>?offset=&length=`: a part of one page; shorter than asked means that the file ends there. */
async function answerPage(
  request: TransportRequest,
  target: RestTarget,
  options: RestSurfaceOptions,
): Promise<TransportResponse> {
  const [, id = '', word, indexText = ''] = target.segments;
  if (word !== 'page' || !/^\d{1,10}$/.test(indexText)) throw unknownCall(request.target);
  const index = Number(indexText);
  const offset = countParameter(target, 'offset') ?? 0;
  const length = countParameter(target, 'length');
  const { pageSizeBytes } = options;
  const readFrom = index * pageSizeBytes + Math.min(offset, pageSizeBytes - 1);
  const pageOf = (size: number): FilePart => {
    if (index >= Math.max(1, pageCountOf(size, pageSizeBytes))) {
      throw new AlluxioError('FileNotFound', `the file has no page ${index}: it is ${size} bytes long`);
    }
    const from = index * pageSizeBytes;
    return { from, to: from + pageLengthOf(size, pageSizeBytes, index) };
  };
  return answerBytes(
    request,
    await fileOf(target, id, options),
    { ...options, readFrom, windowOf: pageOf },
    (size) => cut(pageOf(size), offset, length),
  );
}

function wholeOf(size: number): FilePart {
  return { from: 0, to: size };
}

function cut(whole: FilePart, offset: number, length: number | undefined): FilePart {
  const from = Math.min(whole.from + offset, whole.to);
  return { from, to: length === undefined ? whole.to : Math.min(whole.to, from + length) };
}

function answerBytes(
  request: TransportRequest,
  file: FileName,
  options: RestSurfaceOptions & {
    readonly readFrom?: number;
    /** What the target names without what cuts a piece out of it: such answers may be reused. */
    readonly windowOf?: (sizeBytes: number) => FilePart;
  },
  rangeOf: (sizeBytes: number) => FilePart,
): Promise<TransportResponse> {
  const { renewAheadMs } = request;
  const { windowOf } = options;
  return answerRouted({ request, api: 'rest', file }, options, (how) =>
    withFoundFile(options.cache, file, (found) => answerFound(found, how), {
      ...how,
      readFrom: request.method === 'GET' ? options.readFrom : undefined,
      renewAheadMs,
    }),
  );

  async function answerFound(found: FoundFile, how: AnswerHere): Promise<TransportResponse> {
    const { status } = found.record;
    const { from, to } = request.rest ?? rangeOf(status.sizeBytes);
    const ofFile = fileHeaders(status);
    const headers: HeaderList = [...ofFile, ['content-length', String(to - from)]];
    const open = async (): Promise<TransportResponse> => {
      const { body, outcome } = await options.cache.open(file, found, { from, to, signal: request.signal });
      return { status: 200, headers: [...headers, [outcomeHeader, outcome]], body };
    };
    const response = isBodyRead(request) ? await open() : { status: 200, headers, body: emptyBody };
    if (!windowOf || how.bypass !== undefined || request.method === 'HEAD') return response;
    const reusable = (): ReusableAnswer | undefined => {
      const reuse = how.isReusable() ? options.cache.reuseOf(file, found) : undefined;
      return (
        reuse && {
          ...reuse,
          requestIdHeader,
          sizeBytes: status.sizeBytes,
          bodyFrom: from,
          window: windowOf(status.sizeBytes),
          etag: status.etag,
          headers: ofFile,
          bodyHeaders: [[outcomeHeader, 'hit' satisfies Outcome]],
        }
      );
    };
    return { ...response, reusable };
  }
}

function fileHeaders({ etag, modifiedMs }: FileStatus): HeaderList {
  return [
    ['content-type', 'application/octet-stream'],
    ['last-modified', new Date(modifiedMs).toUTCString()],
    ...(etag === undefined ? [] : [['etag', etag] as const]),
  ];
}

/** The file that `ufsFullPath` names, or else the one that this worker knows by the id. */
async function fileOf(target: RestTarget, id: string, options: RestSurfaceOptions): Promise<FileName> {
  const path = target.query.get('ufsFullPath');
  if (path !== undefined && path !== '') {
    const file = options.mounts.findByUfsPath(path);
    if (!file)
      throw new AlluxioError(
        'MountNotFound',
        `no mount holds ${path}; "alluxio mount list" shows what is mounted`,
      );
    return file;
  }
  const ufsPath = await options.cache.files.pathOfId(id);
  const file = ufsPath === undefined ? undefined : options.mounts.findByUfsPath(ufsPath);
  if (!file) {
    throw new AlluxioError(
      'FileNotFound',
      `no file with the id ${id} is known here; send ufsFullPath with the request`,
    );
  }
  return file;
}

function ufsInfo(options: RestSurfaceOptions): Readonly<Record<string, Readonly<Record<string, string>>>> {
  return Object.fromEntries(
    options.mounts
      .list()
      .map((mount) => [mount.uri.text, { alluxio_path: mount.path, ...options.ufsInfoOf(mount) }]),
  );
}

function unknownCall(target: string): AlluxioError {
  return new AlluxioError(
    'NotImplemented',
    `${target.split('?', 1)[0]} is not a call of this API; see docs/http-api.md`,
  );
}

function jsonResponse(value: unknown): TransportResponse {
  return {
    status: 200,
    headers: [['content-type', 'application/json']],
    body: textBody(JSON.stringify(value)),
  };
}

function describeError(request: TransportRequest, error: AlluxioError, message: string): ErrorDescription {
  const body = textBody(JSON.stringify({ code: error.code, message, requestId: request.requestId }));
  return { headers: [['content-type', 'application/json']], body };
}
