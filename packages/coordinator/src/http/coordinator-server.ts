/** The coordinator's port. Turns requests into calls and failures into the catalogue's status; decides nothing. */

import type { Random } from '@alluxio-ts/common/clock';
import { requestIdHeader } from '@alluxio-ts/common/protocol/coordinator-api';
import { coordinatorOperations } from '@alluxio-ts/common/protocol/coordinator-operations';
import { type FastifyInstance, type FastifyRequest, fastify } from 'fastify';
import { addAuditLog, type AuditLogOptions } from './audit-log.ts';
import { cacheHandlers, type CacheHandlersOptions } from './cache-handlers.ts';
import { type CallerCheckOptions, createCallerCheck } from './caller-check.ts';
import { confHandlers, type ConfHandlersOptions } from './conf-handlers.ts';
import type { CoordinatorHandlers } from './coordinator-handlers.ts';
import { diagnosisHandlers, type DiagnosisHandlersOptions } from './diagnosis-handlers.ts';
import { infoHandlers, type InfoHandlersOptions } from './info-handlers.ts';
import { jobHandlers, type JobHandlersOptions } from './job-handlers.ts';
import { logHandlers, type LogHandlersOptions } from './log-handlers.ts';
import { mountHandlers, type MountHandlersOptions } from './mount-handlers.ts';
import { addFailures, addOperations } from './operation-routes.ts';
import { ruleHandlers, type RuleHandlersOptions } from './rule-handlers.ts';
import { ttlHandlers, type TtlHandlersOptions } from './ttl-handlers.ts';

export type CoordinatorServerOptions = CallerCheckOptions &
  AuditLogOptions &
  MountHandlersOptions &
  RuleHandlersOptions &
  TtlHandlersOptions &
  ConfHandlersOptions &
  CacheHandlersOptions &
  JobHandlersOptions &
  LogHandlersOptions &
  DiagnosisHandlersOptions &
  InfoHandlersOptions & { readonly random: Random };

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
  addAuditLog(server, options);
  addFailures(server, options.logger);
  addOperations(server, coordinatorOperations, handlersOf(server, options), createCallerCheck(options));
  return server;
}

function handlersOf(server: FastifyInstance, options: CoordinatorServerOptions): CoordinatorHandlers {
  return {
    ...mountHandlers(options),
    ...ruleHandlers(options),
    ...ttlHandlers(options),
    ...confHandlers(options),
    ...cacheHandlers(options),
    ...jobHandlers(options),
    ...logHandlers(options),
    ...diagnosisHandlers(options),
    ...infoHandlers(options, () => {
      const address = server.server.address();
      return typeof address === 'object' && address ? address.port : 0;
    }),
  };
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
