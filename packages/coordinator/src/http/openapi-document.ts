/** A table of operations as an OpenAPI 3.1 document. */

import type { ErrorShape, Operation, OperationTable } from '@alluxio-ts/common/protocol/operation';
import { errorBodySchema } from '@alluxio-ts/common/protocol/error-body';
import { peerMarkHeader } from '@alluxio-ts/common/protocol/peer-mark';
import { z } from 'zod';

export interface OpenApiDocument {
  readonly openapi: '3.1.1';
  readonly [section: string]: unknown;
}

/** `tags` names the headings of the table and what is below them. */
export interface OpenApiOptions {
  readonly version: string;
  readonly tags: Readonly<Record<string, string>>;
}

type JsonSchema = z.core.JSONSchema.BaseSchema;

export function openApiDocument(table: OperationTable, options: OpenApiOptions): OpenApiDocument {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [id, operation] of Object.entries(table)) {
    (paths[operation.path] ??= {})[operation.method.toLowerCase()] = describe(id, operation);
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'alluxio-ts coordinator',
      version: options.version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Mounts, cache rules, workers and the cache of a cluster. Calls that change something need the admin token, unless the coordinator is open to everyone (`alluxio.security.admin.open`). Every answer carries its request id in `x-request-id`.',
    },
    servers: [{ url: '/' }],
    tags: Object.entries(options.tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: { Error: schemaOf(errorBodySchema) },
      responses: { Error: errorResponse('A failure. The codes and their statuses are in docs/errors.md.') },
      securitySchemes: {
        adminToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'The content of `alluxio.security.admin.token.file`.',
        },
        peerMark: {
          type: 'apiKey',
          in: 'header',
          name: peerMarkHeader,
          description: 'The mark of a member of the cluster: an HMAC over method, target and time.',
        },
      },
    },
  };
}

function describe(operationId: string, operation: Operation): object {
  const { tag, summary, changes, allowsPeer, query, body } = operation;
  return {
    operationId,
    tags: [tag],
    summary,
    security: changes ? [{ adminToken: [] }, ...(allowsPeer ? [{ peerMark: [] }] : [])] : [],
    ...(query ? { parameters: parametersOf(schemaOf(query)) } : {}),
    ...(body ? { requestBody: { required: true, content: jsonContent(schemaOf(body)) } } : {}),
    responses: responsesOf(operation),
  };
}

/** Where a query has alternatives, each of their parameters is optional. */
function parametersOf(query: JsonSchema): readonly object[] {
  const alternatives = query.anyOf ?? [query];
  const byName = new Map<string, object>();
  for (const alternative of alternatives) {
    const { properties = {}, required = [] } = alternative;
    for (const [name, schema] of Object.entries(properties)) {
      const isRequired = alternatives.length === 1 && required.includes(name);
      byName.set(name, { name, in: 'query', required: isRequired, schema });
    }
  }
  return [...byName.values()];
}

function responsesOf(operation: Operation): object {
  const { status, answer, textType, furtherAnswers = {}, errorBody } = operation;
  const schema = schemaOf(answer);
  const further = Object.entries(furtherAnswers).map(([code, { meaning, answer: other }]) => [
    code,
    { description: meaning, content: jsonContent(schemaOf(other)) },
  ]);
  return {
    [status]: {
      description: 'Done',
      content: textType === undefined ? jsonContent(schema) : { [textType]: { schema } },
    },
    ...Object.fromEntries(refusalsOf(operation).map((code) => [code, failure(errorBody)])),
    // An operation's own answers go before refusals of the same status.
    ...Object.fromEntries(further),
    default: failure(errorBody),
  };
}

/** What is refused before anything is done; whatever else may fail is under `default`. */
function refusalsOf({ query, body, changes, allowsPeer }: Operation): readonly number[] {
  return [...(query || body ? [400] : []), ...(changes ? [401] : []), ...(allowsPeer ? [403] : [])];
}

function failure(shape: ErrorShape | undefined): object {
  if (!shape) return { $ref: '#/components/responses/Error' };
  return {
    description: 'A failure, in the shape of this call',
    content: jsonContent(schemaOf(shape.schema)),
  };
}

function errorResponse(description: string): object {
  return { description, content: jsonContent({ $ref: '#/components/schemas/Error' }) };
}

function jsonContent(schema: JsonSchema): object {
  return { 'application/json': { schema } };
}

/** As a client writes it and as it has to read it: it may leave out what has a default, and more may come than is named. */
function schemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...described } = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // The bounds of exact integers in JavaScript say nothing of the value.
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  return described;
}
