/**
 * What members of the cluster ask of a worker, on its REST port below `/internal/peer/`. The mark is checked first. A read that another worker relays is
 * answered by the surface that the client spoke to, as the owner's; calls of the coordinator empty the cache and tell of it.
 */

import { textBody } from '@alluxio-ts/common/body';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { changeLogLevel, type ProcessLogger } from '@alluxio-ts/common/logger';
import {
  type FreeResult,
  logLevelSchema,
  type WorkerStats,
} from '@alluxio-ts/common/protocol/coordinator-api';
import type { WorkerDiagnosis } from '@alluxio-ts/common/protocol/diagnosis';
import { isPeerMark, peerMarkHeader, peerRefusedHeader } from '@alluxio-ts/common/protocol/peer-mark';
import { parseJson } from '@alluxio-ts/common/parse-json';
import {
  type LoadBatch,
  type LoadBatchResult,
  loadBatchSchema,
} from '@alluxio-ts/common/protocol/load-batch';
import { cachedBytesBodySchema, controlTargets } from '@alluxio-ts/common/protocol/worker-api';
import type {
  RequestHandler,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import type { CachedBytes } from '../cluster/cached-bytes.ts';
import { type PeerApi, parsePeerTarget, peerPrefix } from '../cluster/peer-relay.ts';
import type { z } from 'zod';
import { createSurface } from './surface.ts';

export interface PeerEntryOptions {
  readonly secret: string;
  readonly clock: Clock;
  /** Its level is what peers may change. */
  readonly logger: ProcessLogger;
  readonly surfaces: Readonly<Record<PeerApi, RequestHandler>>;
  readonly control: PeerControl;
}

export interface PeerControl {
  free(path: string): Promise<FreeResult>;
  freeAll(): Promise<FreeResult>;
  stats(): WorkerStats;
  /** Measuring the disks writes to them. */
  diagnose(options: { readonly measuresDisks: boolean }): Promise<WorkerDiagnosis>;
  /** Of what this worker has. */
  readonly cachedBytes: CachedBytes;
  load(batch: LoadBatch, call: { readonly signal: AbortSignal }): Promise<LoadBatchResult>;
}

/** Far above a page of a listing with paths of the usual length. */
const bodyMaxBytes = 16 * 1024 * 1024;

/** `surface` answers everything that is not a peer's. */
export function withPeerEntry(surface: RequestHandler, options: PeerEntryOptions): RequestHandler {
  const entry = createSurface({
    idHeader: 'x-request-id',
    logger: options.logger,
    answer: (request) => answerPeer(request, options),
    describe: (request, error, message) => ({
      headers: [
        ['content-type', 'application/json'],
        ...(error.code === 'AccessDenied' ? [[peerRefusedHeader, String(options.clock.now())] as const] : []),
      ],
      body: textBody(JSON.stringify({ code: error.code, message, requestId: request.requestId })),
    }),
  });
  return (request) => (request.target.startsWith(peerPrefix) ? entry(request) : surface(request));
}

async function answerPeer(request: TransportRequest, options: PeerEntryOptions): Promise<TransportResponse> {
  if (!isPeerMark(request.headers.get(peerMarkHeader), request, options.secret, options.clock.now())) {
    throw new AlluxioError(
      'AccessDenied',
      'this path is for members of the cluster: they must share alluxio.cluster.secret.file, and their clocks',
    );
  }
  const read = parsePeerTarget(request.target);
  if (read) return options.surfaces[read.api]({ ...request, target: read.target, isRelayed: true });
  return answerControl(request, options);
}

async function answerControl(
  request: TransportRequest,
  { control, logger }: PeerEntryOptions,
): Promise<TransportResponse> {
  const url = new URL(request.target, 'http://worker');
  const call = `${request.method} ${url.pathname}`;
  switch (call) {
    case `POST ${controlTargets.free}`:
      return jsonResponse(await control.free(url.searchParams.get('path') ?? ''));
    case `POST ${controlTargets.freeAll}`:
      return jsonResponse(await control.freeAll());
    case `POST ${controlTargets.cachedBytes}`: {
      const { files } = await bodyOf(request, cachedBytesBodySchema);
      return jsonResponse({ bytes: await control.cachedBytes(files, request) });
    }
    case `POST ${controlTargets.load}`:
      return jsonResponse(await control.load(await bodyOf(request, loadBatchSchema), request));
    case `GET ${controlTargets.logLevel}`:
      return jsonResponse({ level: logger.level });
    case `POST ${controlTargets.logLevel}`: {
      const wanted = logLevelSchema.safeParse({ level: url.searchParams.get('level') });
      if (!wanted.success) throw new AlluxioError('InvalidArgument', 'the query names no level of the log');
      changeLogLevel(logger, wanted.data.level);
      return jsonResponse(wanted.data);
    }
    case `GET ${controlTargets.stats}`:
      return jsonResponse(control.stats());
    case `GET ${controlTargets.diagnosis}`:
      return jsonResponse(await control.diagnose({ measuresDisks: false }));
    case `POST ${controlTargets.diagnosis}`:
      return jsonResponse(await control.diagnose({ measuresDisks: true }));
    default:
      throw new AlluxioError('RouteNotFound', `${call} is no call between members of a cluster`);
  }
}

async function bodyOf<Schema extends z.ZodType>(
  request: TransportRequest,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request.body) {
    sizeBytes += chunk.length;
    if (sizeBytes > bodyMaxBytes) throw new AlluxioError('InvalidArgument', 'the body is too long');
    // Valid until the next one is asked for.
    chunks.push(Buffer.from(chunk));
  }
  const parsed = schema.safeParse(parseJson(Buffer.concat(chunks).toString()));
  if (parsed.success) return parsed.data;
  throw new AlluxioError('InvalidArgument', 'the body is not what this call takes');
}

function jsonResponse(value: object): TransportResponse {
  return {
    status: 200,
    headers: [['content-type', 'application/json']],
    body: textBody(JSON.stringify(value)),
  };
}
