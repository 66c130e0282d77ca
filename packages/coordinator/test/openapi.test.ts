import { Validator } from '@seriousme/openapi-schema-validator';
import {
  type CoordinatorOperationId,
  coordinatorOperations,
} from '@alluxio-ts/common/protocol/coordinator-operations';
import type { Operation } from '@alluxio-ts/common/protocol/operation';
import { Ajv2020 } from 'ajv/dist/2020.js';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { cacheWith, startCoordinatorForTest, token, workerAt } from './support/coordinator-for-test.ts';

interface Sent {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

interface Expected {
  readonly id: CoordinatorOperationId;
  /** May depend on the answer before. */
  readonly sent?: Sent | ((before: unknown) => Sent);
  /** Of the failure; without it the call succeeds. */
  readonly status?: number;
}

/** Nothing that they are asked, and nothing that they ask. */
const cannotFail: readonly CoordinatorOperationId[] = [
  'getHealth',
  'getMetrics',
  'getOpenApi',
  // What is wrong is their answer.
  'getDiagnosis',
  'measureDisks',
];

/** In this order, so that what is listed and removed is there. */
function callsOf(directory: string): readonly Expected[] {
  const mount = { path: '/data', ufsUri: directory, options: { region: 'r', secretKey: 'hush' } };
  const rule = { pattern: 's3://b/.*', data: 'skipCache' };
  const entity = { key: 'VirtualPathMappingEntity', conf: '{"mappingRules":{"rules":[]}}' };
  return [
    { id: 'addMount', sent: { body: mount } },
    { id: 'addMount', sent: { body: mount }, status: 409 },
    { id: 'listMounts' },
    { id: 'putTtlRule', sent: { body: { path: '/data/some', time: '1h' } } },
    { id: 'putTtlRule', sent: { body: { path: '/data/some', time: '999ms' } }, status: 400 },
    { id: 'putTtlRule', sent: { body: { path: '/none', time: '1h' } }, status: 404 },
    { id: 'listTtlRules' },
    { id: 'removeTtlRule', sent: { query: { path: '/data/some/' } } },
    { id: 'removeTtlRule', sent: { query: { path: '/data/some/' } }, status: 404 },
    { id: 'freeCache', sent: { query: { path: '/data' } } },
    { id: 'freeCache', sent: { query: { worker: 'one' } } },
    { id: 'freeCache', sent: { query: { all: 'true' } } },
    { id: 'freeCache', sent: { query: { path: '/data', all: 'true' } }, status: 400 },
    { id: 'submitLoad', sent: { body: { paths: ['/data'], alias: 'mine' } } },
    { id: 'submitLoad', sent: { body: { paths: ['/data'] } }, status: 409 },
    { id: 'submitLoad', sent: { body: { paths: ['/none'] } }, status: 404 },
    { id: 'submitLoad', sent: { body: {} }, status: 400 },
    { id: 'getLoad' },
    { id: 'getLoad', sent: { query: { alias: 'mine' } } },
    { id: 'getLoad', sent: { query: { id: 'none' } }, status: 404 },
    { id: 'getLoad', sent: { query: { id: 'none', alias: 'mine' } }, status: 400 },
    { id: 'stopLoad', sent: { body: { paths: ['/data/'] } } },
    { id: 'stopLoad', sent: { body: { alias: 'none' } }, status: 404 },
    { id: 'submitJob', sent: { body: { paths: ['/data/some'] } } },
    { id: 'submitJob', sent: { body: { kind: 'FREE', paths: ['/data', '/data/a'] } }, status: 400 },
    { id: 'listJobs', sent: { query: { kind: 'LOAD', count: '10' } } },
    { id: 'listJobs', sent: { query: { path: '/data/some' } } },
    { id: 'stopJob', sent: (before) => ({ query: { id: jobsSchema.parse(before).jobs[0]?.id ?? '' } }) },
    { id: 'stopJob', sent: { query: { id: 'none' } }, status: 404 },
    { id: 'listJobs', sent: { query: { count: '0' } }, status: 400 },
    { id: 'removeMount', sent: { query: { path: '/data' } } },
    { id: 'removeMount', sent: { query: { path: '/data' } }, status: 404 },
    { id: 'putRule', sent: { body: rule } },
    { id: 'putRule', sent: { body: { pattern: '(' } }, status: 400 },
    { id: 'listRules' },
    { id: 'removeRule', sent: { query: { pattern: rule.pattern } } },
    { id: 'removeRule', sent: { query: { pattern: rule.pattern } }, status: 404 },
    { id: 'putConf', sent: { body: entity } },
    { id: 'putConf', sent: { body: { ...entity, key: 'Other' } }, status: 400 },
    { id: 'listConf' },
    { id: 'removeConf', sent: { query: { key: entity.key } } },
    { id: 'removeConf', sent: { query: { key: entity.key } }, status: 404 },
    { id: 'listWorkers' },
    { id: 'removeWorker', sent: { query: { id: 'worker-b' } } },
    { id: 'removeWorker', sent: { query: { id: 'worker-a' } }, status: 409 },
    { id: 'getLogLevel' },
    { id: 'getLogLevel', sent: { query: { worker: 'one' } } },
    { id: 'getLogLevel', sent: { query: { worker: 'nobody' } }, status: 400 },
    { id: 'putLogLevel', sent: { body: { level: 'debug' } } },
    { id: 'putLogLevel', sent: { query: { all: 'true' }, body: { level: 'warn' } } },
    { id: 'putLogLevel', sent: { body: { level: 'loud' } }, status: 400 },
    { id: 'getInfo' },
    { id: 'getDiagnosis' },
    { id: 'measureDisks' },
    { id: 'getHealth' },
    { id: 'getMetrics' },
    { id: 'getOpenApi' },
    { id: 'getReady' },
  ];
}

/** Once the state store is gone. */
const callsWithoutStore: readonly Expected[] = (
  ['listMounts', 'listRules', 'listTtlRules', 'listConf', 'listWorkers', 'getInfo', 'getReady'] as const
).map((id) => ({ id, status: 503 }));

async function start(t: Test) {
  const freed = { fileCount: 1, pageCount: 2, freedBytes: 3 };
  const started = await startCoordinatorForTest(t, {
    cache: cacheWith({ free: async () => freed, freeAll: async () => freed }),
    workerLogs: { logLevel: async () => 'info', setLogLevel: async (_, level) => level },
    workers: [workerAt('worker-a', 'one', { usedBytes: 1 }), workerAt('worker-b', 'two')],
  });
  const document: unknown = await (await fetch(`${started.url}/api/v1/openapi.json`)).json();
  return { ...started, document: documentSchema.parse(document) };
}

const jobsSchema = z.object({ jobs: z.array(z.object({ id: z.string() })) });

async function call(url: string, { id, sent: given = {} }: Expected, before?: unknown) {
  const sent = typeof given === 'function' ? given(before) : given;
  const { method, path }: Operation = coordinatorOperations[id];
  const query = sent.query ? `?${new URLSearchParams(sent.query).toString()}` : '';
  const response = await fetch(`${url}${path}${query}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(sent.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(sent.body === undefined ? {} : { body: JSON.stringify(sent.body) }),
  });
  const type = response.headers.get('content-type') ?? '';
  const text = await response.text();
  const value: unknown = type.startsWith('application/json') ? JSON.parse(text) : text;
  return { status: response.status, type, value };
}

/** As much of the document as the test goes through by itself. */
const responseSchema = z.union([
  z.strictObject({ $ref: z.literal('#/components/responses/Error') }),
  z.looseObject({ content: z.record(z.string(), z.unknown()) }),
]);
const operationSchema = z.looseObject({
  operationId: z.string(),
  security: z.array(z.record(z.string(), z.unknown())),
  responses: z.record(z.string(), responseSchema),
});
const documentSchema = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), operationSchema)) });
type Document = z.infer<typeof documentSchema>;

function operationOf({ paths }: Document, id: CoordinatorOperationId) {
  const { path, method }: Operation = coordinatorOperations[id];
  return paths[path]?.[method.toLowerCase()];
}

/** Holds answers against the document. Objects are taken as closed, so that what an answer has beside what is described is found. */
function answerCheckOf(document: Document) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addSchema(closed(document) as Document, 'document');
  return (id: CoordinatorOperationId, answer: Awaited<ReturnType<typeof call>>): string => {
    const { path, method }: Operation = coordinatorOperations[id];
    const { responses = {} } = operationOf(document, id) ?? {};
    const status = responses[answer.status] ? String(answer.status) : 'default';
    const response = responses[status];
    if (!response) return 'is not described';
    const own = ['paths', path, method.toLowerCase(), 'responses', status];
    const type = answer.type.startsWith('application/json') ? 'application/json' : answer.type;
    const place = [...('content' in response ? own : ['components', 'responses', 'Error']), 'content', type];
    const pointer = [...place, 'schema'].map((part) => part.replaceAll('~', '~0').replaceAll('/', '~1'));
    const validate = ajv.compile({ $ref: `document#/${pointer.map(encodeURIComponent).join('/')}` });
    return validate(answer.value) ? '' : ajv.errorsText(validate.errors);
  };
}

function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const parts = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, closed(part)]));
  const isOpen = 'properties' in parts && !('additionalProperties' in parts);
  return isOpen ? { ...parts, additionalProperties: false } : parts;
}

await t.test('the document is OpenAPI 3.1 and describes every operation of the table', async (t) => {
  const { document } = await start(t);
  const result = await new Validator().validate(structuredClone(document));
  t.same(result, { valid: true });
  for (const [id, operation] of Object.entries<Operation>(coordinatorOperations)) {
    t.match(operationOf(document, id as CoordinatorOperationId), { operationId: id }, id);
    t.equal(
      operationOf(document, id as CoordinatorOperationId)?.security.length,
      operation.changes ? (operation.allowsPeer ? 2 : 1) : 0,
      `${id}: who may call is said`,
    );
  }
});

await t.test('every operation answers as the document says, in success and in failure', async (t) => {
  const { url, store, document } = await start(t);
  const faultOf = answerCheckOf(document);
  const succeeded = new Set<string>();
  const failed = new Set<string>(cannotFail);
  let before: unknown;
  const check = async (expected: Expected): Promise<void> => {
    const { id, status } = expected;
    const answer = await call(url, expected, before);
    before = answer.value;
    t.equal(
      answer.status,
      status ?? coordinatorOperations[id].status,
      `${id}: ${JSON.stringify(answer.value)}`.slice(0, 200),
    );
    t.equal(faultOf(id, answer), '', `${id} ${answer.status} answers as described`);
    (status === undefined ? succeeded : failed).add(id);
  };
  for (const expected of callsOf(t.testdir({ a: 'x', some: { b: 'y' } }))) await check(expected);
  await store.close();
  for (const expected of callsWithoutStore) await check(expected);
  const ids = Object.keys(coordinatorOperations).toSorted();
  t.same([...succeeded].toSorted(), ids, 'none is left out');
  t.same([...failed].toSorted(), ids, 'none is left out in failure');
});

await t.test(
  'every changing operation says 401 without the token, in the shape that is described',
  async (t) => {
    const { url, document } = await start(t);
    const faultOf = answerCheckOf(document);
    for (const [id, { method, path, changes }] of Object.entries<Operation>(coordinatorOperations)) {
      if (!changes) continue;
      const response = await fetch(url + path, { method });
      const value: unknown = await response.json();
      t.equal(response.status, 401, id);
      t.equal(faultOf(id as CoordinatorOperationId, { status: 401, type: 'application/json', value }), '');
    }
  },
);
