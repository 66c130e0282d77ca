/** Registers the operations of a table: who may call, what they are given, and what they answer is as the table says. */

import { AlluxioError, type ErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import {
  type AnswerOf,
  type BodyOf,
  type Operation,
  OtherAnswer,
  type OtherAnswerOf,
  type OperationTable,
  type QueryOf,
} from '@alluxio-ts/common/protocol/operation';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Caller, CallerCheck } from './caller-check.ts';

export interface OperationCall<Call extends Operation> {
  readonly query: QueryOf<Call>;
  readonly body: BodyOf<Call>;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export type OperationHandlers<Table extends OperationTable> = {
  readonly [Id in keyof Table]: (
    call: OperationCall<Table[Id]>,
  ) => Promise<AnswerOf<Table[Id]> | OtherAnswerOf<Table[Id]>>;
};

/** A handler whose operation is known by its id alone. */
type SomeHandler = (call: {
  readonly query: unknown;
  readonly body: unknown;
  readonly signal: AbortSignal;
}) => Promise<unknown>;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of a route that came from a table. */
    readonly operation?: Operation;
    readonly operationId?: string;
  }
  interface FastifyRequest {
    /** Undefined until somebody was let in. */
    caller: Caller | undefined;
    /** Undefined unless the request failed. */
    failureCode: ErrorCode | undefined;
  }
}

export function addOperations<Table extends OperationTable>(
  server: FastifyInstance,
  table: Table,
  handlers: OperationHandlers<Table>,
  checkCaller: CallerCheck,
): void {
  server.decorateRequest('caller', undefined);
  for (const [id, operation] of Object.entries(table)) {
    // What it is given is checked by the same operation from which its type comes.
    const handle = handlers[id] as unknown as SomeHandler;
    server.route({
      method: operation.method,
      url: operation.path,
      config: { operation, operationId: id },
      // Before the body is read, so that nobody without the token makes us read one.
      onRequest: async (request, reply) => {
        request.caller = checkCaller(request, reply, operation);
      },
      handler: (request, reply) => answer(operation, handle, request, reply),
    });
  }
}

async function answer(
  operation: Operation,
  handle: SomeHandler,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { query, body, bodyName = 'the body' } = operation;
  const value = await handle({
    query: query && parsed(query, request.query, 'the query'),
    body: body && parsed(body, request.body, bodyName),
    signal: goneSignalOf(reply),
  });
  if (value instanceof OtherAnswer) return reply.status(value.status).send(value.answer);
  if (operation.textType !== undefined) void reply.type(operation.textType);
  return reply.status(operation.status).send(value);
}

/** Failures become the catalogue's status, in the shape of the operation that failed. */
export function addFailures(server: FastifyInstance, logger: Logger): void {
  server.setNotFoundHandler((request) => {
    throw new AlluxioError(
      'RouteNotFound',
      `the coordinator offers no ${request.method} at ${request.url.split('?', 1)[0]?.slice(0, 200)}`,
    );
  });
  server.decorateRequest('failureCode', undefined);
  server.setErrorHandler((thrown, request, reply) => {
    const error = ourErrorOf(thrown);
    request.failureCode = error.code;
    if (error.code === 'Internal') logger.error({ requestId: request.id, error }, 'request-failed');
    if (error.code === 'Unauthenticated') void reply.header('www-authenticate', 'Bearer realm="alluxio"');
    if (error.retryAfterMs !== undefined) {
      void reply.header('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
    }
    // The text of an error of ours may quote anything; what it was stays in the log under the request's id.
    const message =
      error.code === 'Internal' ? 'an error inside the coordinator; its log has the cause' : error.message;
    const failure = { code: error.code, message, requestId: request.id };
    const shape = request.routeOptions.config.operation?.errorBody;
    return reply.status(error.httpStatus).send(shape ? shape.of(failure) : failure);
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

/** The values are not in the message: an option's may be a secret. */
function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.map(String).join('.') || what}: ${issue.message}`);
  throw new AlluxioError('InvalidArgument', `${what} is not understood: ${faults.join('; ')}`);
}
