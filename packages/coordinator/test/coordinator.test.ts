import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { AlluxioError } from '@alluxio-ts/common/errors';
import t from 'tap';
import {
  cacheWith,
  startCoordinatorForTest as start,
  token,
  workerAt,
} from './support/coordinator-for-test.ts';

await t.test('the client adds, lists and removes mounts over HTTP', async (t) => {
  const { client, lines } = await start(t);
  await client.health();
  const mount = { path: '/data', ufsUri: `${t.testdir()}/`, options: { region: 'r', secretKey: 'hush' } };
  const shown = { ...mount, options: { region: 'r', secretKey: 'xxx' } };
  t.same(await client.addMount({ ...mount, check: true }), shown);
  t.same(await client.listMounts(), [shown]);
  await t.rejects(client.addMount({ ...mount, check: true }), {
    code: 'AlreadyExists',
    message: /mounted already/,
  });
  t.same(await client.removeMount('/data/'), shown);
  await t.rejects(client.removeMount('/data'), { code: 'MountNotFound' });
  t.notMatch(lines.join(''), 'hush', 'no secret is logged');
  t.notMatch(lines.join(''), token);
});

await t.test(
  'the client puts, lists and removes rules, and a wrong one is told with its field',
  async (t) => {
    const { client, clientWith } = await start(t);
    const rule = { pattern: 's3://b/tmp/.*', data: 'skipCache', metadata: 'maxAge=1h' };
    t.same(await client.putRule(rule), rule);
    t.same(await client.listRules(), [rule]);
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ pattern: '(', data: 'immutable' }, /the rule is not understood: pattern: "\(" is not a regular/],
      [{ pattern: 'a', data: 'sometimes' }, /data: "sometimes" is not immutable, skipCache or maxAge=/],
      [{ pattern: 'a', metadata: 'maxAge=soon' }, /metadata: "soon" is not a duration/],
      [{ pattern: 'a' }, /a rule says something of data, of metadata, or of both/],
      [{ pattern: 'a\n', data: 'immutable' }, /pattern: holds control characters/],
      [{ pattern: 'a'.repeat(1025), data: 'immutable' }, /pattern: longer than 1024 bytes/],
      [{ pattern: 'a', data: 'immutable', mount: '/a' }, /mount/],
    ];
    for (const [body, message] of wrong) {
      await t.rejects(client.putRule(body as typeof rule), { code: 'InvalidArgument', message });
    }
    const refusal = { code: 'Unauthenticated' };
    await t.rejects(clientWith({}).putRule(rule), refusal);
    await t.rejects(clientWith({}).removeRule(rule.pattern), refusal);
    t.same(await client.removeRule(rule.pattern), rule);
    await t.rejects(client.removeRule(rule.pattern), { code: 'RuleNotFound' });
  },
);

await t.test('a changing call needs the token, a reading one does not', async (t) => {
  const { client, clientWith } = await start(t, {
    cache: cacheWith({ free: async () => ({ fileCount: 1, pageCount: 2, freedBytes: 3 }) }),
  });
  const mount = { path: '/data', ufsUri: t.testdir(), options: {}, check: true };
  for (const other of [clientWith({}), clientWith({ token: `${token}x` }), clientWith({ token: 'x' })]) {
    t.same(await other.listMounts(), []);
    const refusal = {
      code: 'Unauthenticated',
      message: /token in \/dir\/admin\.token \(option alluxio\.security\.admin\.token\.file\)/,
    };
    await t.rejects(other.addMount(mount), refusal);
    await t.rejects(other.removeMount('/data'), refusal);
    await t.rejects(other.freeCache('/data'), refusal);
  }
  t.same(await client.listMounts(), []);
  t.same(await client.freeCache('/data'), { fileCount: 1, pageCount: 2, freedBytes: 3 });
  const { clientWith: openClientWith } = await start(t, { admin: { kind: 'open' } });
  t.ok(await openClientWith({}).addMount(mount), 'unless the coordinator is open');
  await t.rejects(openClientWith({}).freeCache('/data'), { code: 'NotImplemented' });
});

await t.test('every answer carries a request id, and a failure the status of the catalogue', async (t) => {
  const { url, lines } = await start(t);
  const authorization = `Bearer ${token}`;
  const post = (body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
    fetch(`${url}/api/v1/mounts`, { method: 'POST', body, headers: { authorization, ...headers } });
  const rows: readonly (readonly [Promise<Response>, number, string, RegExp])[] = [
    [fetch(`${url}/none?q=1`), 404, 'RouteNotFound', /no GET at \/none$/],
    [fetch(`${url}/api/v1/mounts`, { method: 'PUT' }), 404, 'RouteNotFound', /no PUT/],
    [post('{'), 400, 'InvalidArgument', /JSON/],
    [post('{"path":1}'), 400, 'InvalidArgument', /path: .*ufsUri: /],
    [post('{"path":"/a","ufsUri":"s3://b/","hush":1}'), 400, 'InvalidArgument', /[Uu]nrecognized key/],
    [
      post(`{"path":"/a","ufsUri":"s3://b/","options":{"secret":["hush"]}}`),
      400,
      'InvalidArgument',
      /^(?!.*hush)/,
    ],
    [post('x', { 'content-type': 'text/plain' }), 400, 'InvalidArgument', /./],
    [post(JSON.stringify({ path: 'x'.repeat(1024 * 1024) })), 400, 'InvalidArgument', /too large/],
    [
      fetch(`${url}/api/v1/mounts`, { method: 'DELETE', headers: { authorization } }),
      400,
      'InvalidArgument',
      /the query is not understood: path/,
    ],
  ];
  for (const [answer, status, code, message] of rows) {
    const response = await answer;
    const id = response.headers.get('x-request-id');
    t.equal(response.status, status, code);
    t.match(await response.json(), { code, message, requestId: id });
    t.match(id, /^[\da-f-]{36}$/);
    t.match(lines.join(''), `"requestId":"${id}"`, 'the access log has it');
  }
  const unauthorised = await fetch(`${url}/api/v1/mounts`, { method: 'POST', body: '{' });
  t.equal(unauthorised.status, 401, 'the token comes before the body');
  t.match(unauthorised.headers.get('www-authenticate'), 'Bearer');
});

await t.test('workers are listed and told apart when their caches are freed', async (t) => {
  const freed: string[] = [];
  const cache = cacheWith({
    freeAll: async (workerId) => {
      freed.push(workerId);
      return { fileCount: 1, pageCount: 2, freedBytes: 3 };
    },
  });
  const workers = [
    workerAt('worker-a', 'one', {
      capacityBytes: 100,
      usedBytes: 60,
      pageCount: 4,
      hitBytes: 9,
      missBytes: 1,
      transport: { kind: 'plain', configured: 'hotpath', reason: 'there is no addon' },
    }),
    workerAt('worker-b', 'two', { capacityBytes: 100, usedBytes: 10, pageCount: 1 }),
    workerAt('worker-c', 'two'),
  ];
  const { client, clientWith, url } = await start(t, { cache, workers });
  t.same(await client.listWorkers(), workers);
  t.match(await client.info(), {
    version: '1.2.3',
    webPort: Number(new URL(url).port),
    liveWorkerCount: 2,
    lostWorkerCount: 1,
    capacityBytes: 200,
    usedBytes: 70,
    pageCount: 5,
    mountCount: 0,
    hitBytes: 9,
    missBytes: 1,
    transports: { plain: 1, hotpath: 0, missing: 1 },
  });
  t.same(await client.freeWorker('one:28080'), { fileCount: 1, pageCount: 2, freedBytes: 3 });
  await client.freeWorker('worker-b');
  t.same(await client.formatCache(), { fileCount: 3, pageCount: 6, freedBytes: 9 });
  t.same(freed, ['worker-a', 'worker-b', 'worker-a', 'worker-b', 'worker-c']);
  await t.rejects(client.freeWorker('two'), {
    code: 'InvalidArgument',
    message: /several workers are at "two"; name one of: worker-a \(one:28080\), worker-b/,
  });
  await t.rejects(client.freeWorker('three'), { code: 'InvalidArgument', message: /no worker is called/ });
  await t.rejects(clientWith({}).formatCache(), { code: 'Unauthenticated' });
  for (const query of ['', '?all=false', '?path=/a&worker=one']) {
    const response = await fetch(`${url}/api/v1/cache${query}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${token}` },
    });
    t.equal(response.status, 400, query);
  }
  t.equal(freed.length, 5);
});

await t.test('metrics are served with and without a slash behind them', async (t) => {
  const { client, metrics, url } = await start(t);
  metrics.add('alluxio_read_pages_total', { outcome: 'hit' }, 3);
  for (const path of ['/metrics', '/metrics/']) {
    const response = await fetch(url + path);
    t.equal(response.status, 200);
    t.match(response.headers.get('content-type'), 'text/plain');
    t.match(await response.text(), /^alluxio_read_pages_total\{outcome="hit"\} 3$/m);
  }
  t.match(await client.metricsText(), /alluxio_read_pages_total/);
});

await t.test('an error of ours is not shown but logged under its id', async (t) => {
  const broken = cacheWith({ free: () => Promise.reject(new Error('private detail')) });
  const { client, lines } = await start(t, { cache: broken });
  const thrown = await client.freeCache('/data').catch((reason: unknown) => reason);
  t.match(thrown, { code: 'Internal', message: /its log has the cause \(request [\da-f-]{36}\)/ });
  t.notMatch(String(thrown), 'private detail');
  t.match(lines.join(''), 'private detail');
  const busy = cacheWith({
    free: () => Promise.reject(new AlluxioError('Overloaded', 'busy', { retryAfterMs: 1500 })),
  });
  const { url } = await start(t, { cache: busy });
  const response = await fetch(`${url}/api/v1/cache?path=/a`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${token}` },
  });
  t.equal(response.status, 503);
  t.equal(response.headers.get('retry-after'), '2');
});

await t.test('ready follows the state store, health does not', async (t) => {
  const { url, store } = await start(t);
  t.equal((await fetch(`${url}/ready`)).status, 200);
  await store.close();
  t.equal((await fetch(`${url}/ready`)).status, 503);
  t.equal((await fetch(`${url}/health`)).status, 200);
});

await t.test('a taken port and a foreign address are named with their option', async (t) => {
  const { coordinator } = await start(t);
  await t.rejects(start(t, { port: coordinator.port }), {
    code: 'PortTaken',
    message: new RegExp(
      `port ${coordinator.port} on 127\\.0\\.0\\.1 .*set alluxio\\.coordinator\\.web\\.port`,
    ),
  });
});

await t.test('closing lets the answer in flight out and frees the port', async (t) => {
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const cache = cacheWith({
    free: async () => {
      entered.resolve();
      await go.promise;
      return { fileCount: 0, pageCount: 0, freedBytes: 0 };
    },
  });
  const { coordinator, client } = await start(t, { cache });
  const answer = client.freeCache('/a');
  await entered.promise;
  const closed = coordinator.close();
  go.resolve();
  t.same(await answer, { fileCount: 0, pageCount: 0, freedBytes: 0 });
  await closed;
  await t.rejects(client.health(), {
    code: 'Unreachable',
    message: new RegExp(
      `no coordinator answers at 127\\.0\\.0\\.1:${coordinator.port} .*alluxio standalone.*web\\.port`,
    ),
  });
});

await t.test('a client that goes away ends the call that it waited for', async (t) => {
  const entered = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<unknown>();
  const cache = cacheWith({
    free: (_, { signal }) =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          ended.resolve(signal.reason);
          reject(signal.reason as Error);
        });
        entered.resolve();
      }),
  });
  const { client, lines } = await start(t, { cache });
  const controller = new AbortController();
  const answer = client.freeCache('/a', { signal: controller.signal });
  await entered.promise;
  controller.abort(new Error('enough'));
  await t.rejects(answer, { message: 'enough' });
  t.match(await ended.promise, { message: 'the client went away' });
  t.notMatch(lines.join(''), 'request-failed');
});

await t.test('what answers but is no coordinator is said to be none', async (t) => {
  const other = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'));
  });
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.teardown(() => other.close());
  // An address of a server that listens on a port is an object.
  const { port } = other.address() as AddressInfo;
  const client = new CoordinatorClient({ host: '127.0.0.1', port });
  t.teardown(() => client.close());
  await t.rejects(client.listMounts(), {
    code: 'Unreachable',
    message: /answers 200 with something else than a coordinator/,
  });
});
