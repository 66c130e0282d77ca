import { systemClock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { silentLogger } from '@alluxio-ts/common/logger';
import { type Operation, OtherAnswer } from '@alluxio-ts/common/protocol/operation';
import { makePeerMark, peerMarkHeader, peerRefusedHeader } from '@alluxio-ts/common/protocol/peer-mark';
import { fastify } from 'fastify';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { createCallerCheck } from '../src/http/caller-check.ts';
import { addFailures, addOperations } from '../src/http/operation-routes.ts';

const token = 'a-token-of-sufficient-length';
const secret = 'what the members share';

/** Of each kind that the table of the coordinator may have. */
const table = {
  submit: {
    method: 'POST',
    path: '/submit',
    tag: 'test',
    summary: 'Answers by what it is asked, and fails in a shape of its own',
    changes: true,
    allowsPeer: true,
    body: z.strictObject({ name: z.string() }),
    status: 200,
    answer: z.object({ id: z.string() }),
    furtherAnswers: { 409: { meaning: 'It runs already', answer: z.object({ runningId: z.string() }) } },
    errorBody: {
      schema: z.object({ status: z.string() }),
      of: ({ code, message }) => ({ status: `${code}: ${message}` }),
    },
  },
  change: {
    method: 'POST',
    path: '/change',
    tag: 'test',
    summary: 'Is for the administrator alone',
    changes: true,
    status: 200,
    answer: z.object({}),
  },
} as const satisfies Readonly<Record<string, Operation>>;

async function start(t: Test): Promise<string> {
  const server = fastify();
  t.teardown(() => server.close());
  addFailures(server, silentLogger);
  addOperations(
    server,
    table,
    {
      submit: async ({ body: { name } }) => {
        if (name === 'twice') return new OtherAnswer(409, { runningId: 'first' });
        if (name === 'bad') throw new AlluxioError('FileNotFound', 'no such thing');
        return { id: name };
      },
      change: async () => ({}),
    },
    createCallerCheck({
      admin: { kind: 'token', token, tokenFile: '/dir/token' },
      peerSecret: secret,
      clock: systemClock,
    }),
  );
  return server.listen({ host: '127.0.0.1', port: 0 });
}

interface Sent {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

async function post(url: string, { body = {}, headers = { authorization: `Bearer ${token}` } }: Sent = {}) {
  const response = await fetch(url, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });
  return { status: response.status, headers: response.headers, value: await response.json() };
}

await t.test('an operation may answer by further statuses, and fail in a shape of its own', async (t) => {
  const url = await start(t);
  t.match(await post(`${url}/submit`, { body: { name: 'new' } }), { status: 200, value: { id: 'new' } });
  t.match(await post(`${url}/submit`, { body: { name: 'twice' } }), {
    status: 409,
    value: { runningId: 'first' },
  });
  const failures: readonly (readonly [Sent, number, RegExp])[] = [
    [{ body: { name: 'bad' } }, 404, /^FileNotFound: no such thing$/],
    [{ body: {} }, 400, /^InvalidArgument: the body is not understood: name/],
    [{ body: '{' }, 400, /^InvalidArgument: .*JSON/],
    [{ headers: {} }, 401, /^Unauthenticated: /],
  ];
  for (const [sent, status, text] of failures) {
    const answer = await post(`${url}/submit`, sent);
    t.match(answer, { status, value: { status: text } });
    t.notMatch(answer.value, { code: String }, 'and in no other');
  }
});

await t.test('a member of the cluster may make the calls that say so, by its mark', async (t) => {
  const url = await start(t);
  const now = Date.now();
  const marked = (target: string, given = { secret, nowMs: now }) => ({
    [peerMarkHeader]: makePeerMark({ method: 'POST', target }, given.secret, given.nowMs),
  });
  const body = { name: 'new' };
  t.equal((await post(`${url}/submit`, { body, headers: marked('/submit') })).status, 200);
  for (const [what, headers] of [
    ['of another secret', marked('/submit', { secret: 'another', nowMs: now })],
    ['of another target', marked('/change')],
    ['of another time', marked('/submit', { secret, nowMs: now - 600_000 })],
  ] as const) {
    const refused = await post(`${url}/submit`, { body, headers });
    t.match(refused, { status: 403, value: { status: /^AccessDenied: / } }, what);
    const itsClock = Number(refused.headers.get(peerRefusedHeader));
    t.ok(Math.abs(itsClock - now) < 60_000, 'the refusal tells the time');
  }
  t.equal((await post(`${url}/change`, { headers: marked('/change') })).status, 401, 'no others');
});
