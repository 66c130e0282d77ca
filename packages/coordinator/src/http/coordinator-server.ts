/** The coordinator's port: mounts, rules, cache, health. Turns requests into calls and failures into the catalogue's status; decides nothing. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock, Random } from '@alluxio-ts/common/clock';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import {
  addMountBodySchema,
  cachePath,
  type ClusterInfo,
  diagnosisPath,
  freeQuerySchema,
  type FreeResult,
  healthPath,
  infoPath,
  metricsPath,
  type MountView,
  mountsPath,
  pathQuerySchema,
  readyPath,
  requestIdHeader,
  rulePatternQuerySchema,
  rulesPath,
  type WorkerView,
  workerQuerySchema,
  workersPath,
} from '@alluxio-ts/common/protocol/coordinator-api';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import { ruleSchema } from '@alluxio-ts/common/protocol/rules';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { z } from 'zod';
import type { ClusterDoctor } from '../control/cluster-doctor.ts';
import type { MountControl } from '../control/mount-control.ts';
import type { RuleControl } from '../control/rule-control.ts';

/** Who empties caches. */
export interface CacheControl {
  /** Drops what is cached below a mounted path (`/s3`, `/s3/dir`), on every worker. Fails with MountNotFound. */
  free(path: string, call: { readonly signal?: AbortSignal }): Promise<FreeResult>;
  /** Drops everything that the worker of this id has cached: all pages and all it knows of files. */
  freeAll(workerId: string, call: { readonly signal?: AbortSignal }): Promise<FreeResult>;
}

/** Who knows the workers. */
export interface WorkerDirectory {
  /** In the order of their ids. */
  list(call: { readonly signal?: AbortSignal }): Promise<readonly WorkerView[]>;
  /** Takes a lost worker off the list. Fails with InvalidArgument for one that is not on it, with StateConflict for one that is online. */
  forget(workerId: string): Promise<void>;
}

export interface CoordinatorServerOptions {
  readonly mounts: MountControl;
  readonly rules: RuleControl;
  /** Undefined where no worker can be reached: the call then answers NotImplemented. */
  readonly cache: CacheControl | undefined;
  readonly workers: WorkerDirectory;
  readonly doctor: ClusterDoctor;
  readonly metrics: Metrics;
  readonly version: string;
  /** Resolves when changing calls can work; its failure is the answer of /ready. */
  checkReady(): Promise<void>;
  readonly admin: AdminAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export type AdminAccess =
  | { readonly kind: 'open' }
  /** `tokenFile` is for the error, which says where the token is to be found. */
  | { readonly kind: 'token'; readonly token: string; readonly tokenFile: string };

/** A mount with all its options stays below this by its own bounds; whatever is larger is none. */
const bodyMaxBytes = 1024 * 1024;
const requestTimeoutMs = 60_000;

export function createCoordinatorServer(options: CoordinatorServerOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: bodyMaxBytes,
    requestTimeout: requestTimeoutMs,
    genReqId: () => options.random.uuid(),
    routerOptions: { maxParamLength: 256, ignoreTrailingSlash: true },
  });
  addRequestIds(server);
  addAccessLog(server, options);
  addFailures(server, options.logger);
  addHealth(server, options);
  addMounts(server, options);
  addRules(server, options);
  addCache(server, options);
  addInfo(server, options);
  addDiagnosis(server, options);
  return server;
}

function addRequestIds(server: FastifyInstance): void {
  server.addHook('onRequest', async (request, reply) => {
    void reply.header(requestIdHeader, request.id);
  });
}

function addAccessLog(server: FastifyInstance, { clock, logger }: CoordinatorServerOptions): void {
  const startedAt = new WeakMap<FastifyRequest, number>();
  server.addHook('onRequest', async (request) => {
    startedAt.set(request, clock.monotonic());
  });
  server.addHook('onResponse', async (request, reply) => {
    const fields = {
      requestId: request.id,
      method: request.method,
      // The pattern, not what the client wrote: that could hold anything.
      route: request.routeOptions.url ?? 'none',
      status: reply.statusCode,
      durationMs: Math.round(clock.monotonic() - (startedAt.get(request) ?? 0)),
    };
    if (request.method === 'GET') logger.debug(fields, 'request');
    else logger.info(fields, 'request');
  });
}

function addFailures(server: FastifyInstance, logger: Logger): void {
  server.setNotFoundHandler((request) => {
    throw new AlluxioError(
      'RouteNotFound',
      `the coordinator offers no ${request.method} at ${request.url.split('?', 1)[0]?.slice(0, 200)}`,
    );
  });
  server.setErrorHandler((thrown, request, reply) => {
    const error = ourErrorOf(thrown);
    if (error.code === 'Internal') logger.error({ requestId: request.id, error }, 'request-failed');
    if (error.code === 'Unauthenticated') void reply.header('www-authenticate', 'Bearer realm="alluxio"');
    if (error.retryAfterMs !== undefined) {
      void reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
    }
    // The text of an error of ours may quote anything; what it was stays in the log under the request's id.
    const message =
      error.code === 'Internal' ? 'an error inside the coordinator; its log has the cause' : error.message;
    return reply.status(error.httpStatus).send({ code: error.code, message, requestId: request.id });
  });
}

/** What fastify itself refuses (malformed JSON, too long a body, a wrong content type) carries a 4xx of its own. */
function ourErrorOf(thrown: unknown): AlluxioError {
  if (thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number') {
    if (thrown.statusCode >= 400 && thrown.statusCode < 500) {
      return new AlluxioError('InvalidArgument', thrown.message, { cause: thrown });
    }
  }
  return toAlluxioError(thrown);
}

function addHealth(server: FastifyInstance, options: CoordinatorServerOptions): void {
  server.get(healthPath, async () => ({ status: 'ok' }));
  server.get(readyPath, async () => {
    await options.checkReady();
    return { status: 'ok' };
  });
}

function addMounts(server: FastifyInstance, options: CoordinatorServerOptions): void {
  const onRequest = adminGuard(options.admin);
  server.get(mountsPath, async (_, reply) => ({
    mounts: (await options.mounts.list({ signal: goneSignalOf(reply) })).map(viewOf),
  }));
  server.post(mountsPath, { onRequest }, async (request, reply) => {
    const body = parsed(addMountBodySchema, request.body, 'the body');
    const mount = await options.mounts.add(body, { signal: goneSignalOf(reply) });
    return reply.status(201).send(viewOf(mount));
  });
  server.delete(mountsPath, { onRequest }, async (request, reply) => {
    const { path } = parsed(pathQuerySchema, request.query, 'the query');
    return viewOf(await options.mounts.remove(path, { signal: goneSignalOf(reply) }));
  });
}

function addRules(server: FastifyInstance, options: CoordinatorServerOptions): void {
  const onRequest = adminGuard(options.admin);
  server.get(rulesPath, async (_, reply) => ({
    rules: await options.rules.list({ signal: goneSignalOf(reply) }),
  }));
  server.put(rulesPath, { onRequest }, async (request, reply) => {
    const rule = parsed(ruleSchema, request.body, 'the rule');
    return options.rules.put(rule, { signal: goneSignalOf(reply) });
  });
  server.delete(rulesPath, { onRequest }, async (request, reply) => {
    const { pattern } = parsed(rulePatternQuerySchema, request.query, 'the query');
    return options.rules.remove(pattern, { signal: goneSignalOf(reply) });
  });
}

function addCache(server: FastifyInstance, options: CoordinatorServerOptions): void {
  const onRequest = adminGuard(options.admin);
  server.delete(cachePath, { onRequest }, async (request, reply) => {
    const what = parsed(freeQuerySchema, request.query, 'the query');
    const { cache, workers } = options;
    if (!cache) {
      throw new AlluxioError('NotImplemented', 'this coordinator has no workers whose cache it could free');
    }
    const call = { signal: goneSignalOf(reply) };
    if ('path' in what) return cache.free(what.path, call);
    const known = await workers.list(call);
    const chosen = 'worker' in what ? workersNamed(what.worker, known) : known;
    const freed: FreeResult = { fileCount: 0, pageCount: 0, freedBytes: 0 };
    for (const { id } of chosen) {
      const { fileCount, pageCount, freedBytes } = await cache.freeAll(id, call);
      freed.fileCount += fileCount;
      freed.pageCount += pageCount;
      freed.freedBytes += freedBytes;
    }
    options.logger.info({ workers: chosen.map(({ id }) => id), ...freed }, 'cache-freed');
    return freed;
  });
}

/** By id, by host, or by host and port of the REST API. Fails with InvalidArgument when there is none, or more than one. */
function workersNamed(name: string, workers: readonly WorkerView[]): readonly WorkerView[] {
  const found = workers.filter(({ id, address }) =>
    [id, address.Host, hostAndPortOf(address)].includes(name),
  );
  if (found.length === 1) return found;
  const ids = workers.map(({ id, address }) => `${id} (${hostAndPortOf(address)})`);
  const fault = found.length === 0 ? 'no worker is called' : 'several workers are at';
  throw new AlluxioError(
    'InvalidArgument',
    `${fault} "${name.slice(0, 200)}"; name one of: ${ids.join(', ') || 'there are none'}`,
  );
}

function addInfo(server: FastifyInstance, options: CoordinatorServerOptions): void {
  const startedAt = { nowMs: options.clock.now(), monotonicMs: options.clock.monotonic() };
  server.get(metricsPath, async (_, reply) => {
    const { contentType, text } = await options.metrics.scrape();
    return reply.type(contentType).send(text);
  });
  server.get(workersPath, async (_, reply) => ({
    workers: await options.workers.list({ signal: goneSignalOf(reply) }),
  }));
  server.delete(workersPath, { onRequest: adminGuard(options.admin) }, async (request) => {
    const { id } = parsed(workerQuerySchema, request.query, 'the query');
    await options.workers.forget(id);
    options.logger.info({ workerId: id }, 'worker-removed');
    return { id };
  });
  server.get(infoPath, async (_, reply): Promise<ClusterInfo> => {
    const call = { signal: goneSignalOf(reply) };
    const workers = await options.workers.list(call);
    const mounts = await options.mounts.list(call);
    const sum = (name: 'capacityBytes' | 'usedBytes' | 'pageCount' | 'hitBytes' | 'missBytes'): number =>
      workers.reduce((total, { stats }) => total + (stats?.[name] ?? 0), 0);
    const address = server.server.address();
    return {
      version: options.version,
      startMs: startedAt.nowMs,
      uptimeMs: Math.round(options.clock.monotonic() - startedAt.monotonicMs),
      webPort: typeof address === 'object' && address ? address.port : 0,
      liveWorkerCount: workers.filter(({ status }) => status === 'ONLINE').length,
      lostWorkerCount: workers.filter(({ status }) => status === 'OFFLINE').length,
      capacityBytes: sum('capacityBytes'),
      usedBytes: sum('usedBytes'),
      pageCount: sum('pageCount'),
      mountCount: mounts.length,
      hitBytes: sum('hitBytes'),
      missBytes: sum('missBytes'),
    };
  });
}

/** To look is anyone's; measuring the disks writes to them, so that takes the token. */
function addDiagnosis(server: FastifyInstance, options: CoordinatorServerOptions): void {
  server.get(diagnosisPath, () => options.doctor.diagnose({ measuresDisks: false }));
  server.post(diagnosisPath, { onRequest: adminGuard(options.admin) }, () =>
    options.doctor.diagnose({ measuresDisks: true }),
  );
}

/**
 * Aborts when the client goes away before its answer is out. Not fastify's own `request.signal`: that follows the request's
 * stream, which closes as soon as a body has been read.
 */
function goneSignalOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new AlluxioError('Unreachable', 'the client went away'));
  });
  return gone.signal;
}

/** Runs before the body is read, so that nobody without the token makes us read one. */
function adminGuard(admin: AdminAccess): (request: FastifyRequest) => Promise<void> {
  return async (request) => {
    if (admin.kind === 'open') return;
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given !== undefined && isSameText(given, admin.token)) return;
    const fault = given === undefined ? 'came without the admin token' : 'came with a wrong admin token';
    throw new AlluxioError(
      'Unauthenticated',
      `a changing call ${fault}; send "Authorization: Bearer <token>" with the token in ${admin.tokenFile} (option alluxio.security.admin.token.file)`,
    );
  };
}

/** Takes the same time whatever differs: digests of equal length are compared. */
function isSameText(one: string, other: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}

/** The values are not in the message: an option's may be a secret. */
function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join('.') || what}: ${issue.message}`);
  throw new AlluxioError('InvalidArgument', `${what} is not understood: ${faults.join('; ')}`);
}

function viewOf({ path, ufsUri, options }: Mount): MountView {
  return { path, ufsUri, options };
}
