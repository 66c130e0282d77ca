/** One record for each call that changes something, or wanted to: who, when, what, and how it ended. Values of options and tokens are never in it. */

import type { Clock } from '@alluxio-ts/common/clock';
import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Operation } from '@alluxio-ts/common/protocol/operation';
import type { FastifyInstance, FastifyRequest } from 'fastify';

export interface AuditLogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where records go beside the log, as JSON; undefined for nowhere. */
  readonly auditFile?: { write(line: string): void };
}

/** Of a list, the first ones say enough. */
const listedMax = 10;

/** Written when the answer is about to leave, so that a client that went away does not keep its call out of the log. */
export function addAuditLog(server: FastifyInstance, { clock, logger, auditFile }: AuditLogOptions): void {
  const startedAt = new WeakMap<FastifyRequest, number>();
  server.addHook('onRequest', async (request) => {
    startedAt.set(request, clock.monotonic());
  });
  server.addHook('onSend', async (request, reply) => {
    const { operation, operationId } = request.routeOptions.config;
    if (!operation?.changes) return;
    const record = {
      requestId: request.id,
      remoteAddress: request.ip,
      caller: request.caller ?? 'refused',
      operation: operationId,
      about: subjectOf(operation, request),
      status: reply.statusCode,
      ...(request.failureCode === undefined ? {} : { code: request.failureCode }),
      durationMs: Math.round(clock.monotonic() - (startedAt.get(request) ?? 0)),
    };
    logger.info(record, 'audit');
    auditFile?.write(JSON.stringify({ time: new Date(clock.now()).toISOString(), ...record }));
  });
}

/** What the call names, whether it is understood or not. */
function subjectOf({ about = [] }: Operation, { query, body }: FastifyRequest): Record<string, unknown> {
  const given = { ...fieldsOf(query), ...fieldsOf(body) };
  const subject: Record<string, unknown> = {};
  for (const name of about) {
    const value = given[name];
    if (typeof value === 'string') subject[name] = loggableTarget(value);
    if (Array.isArray(value)) {
      const texts = value.filter((each) => typeof each === 'string');
      subject[name] = texts.slice(0, listedMax).map(loggableTarget);
    }
  }
  return subject;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
