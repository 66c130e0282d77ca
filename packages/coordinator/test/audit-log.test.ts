import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { BoundedLogFile } from '@alluxio-ts/common/bounded-log-file';
import { createLogger } from '@alluxio-ts/common/logger';
import { coordinatorOperations } from '@alluxio-ts/common/protocol/coordinator-operations';
import type { Operation } from '@alluxio-ts/common/protocol/operation';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { cacheWith, startCoordinatorForTest, token } from './support/coordinator-for-test.ts';

const authorization = `Bearer ${token}`;

const recordSchema = z.looseObject({
  time: z.iso.datetime(),
  requestId: z.uuid(),
  remoteAddress: z.literal('127.0.0.1'),
  caller: z.enum(['admin', 'peer', 'anyone', 'refused']),
  operation: z.string(),
  about: z.record(z.string(), z.unknown()),
  status: z.int(),
  durationMs: z.int(),
});

function recordsOf(text: string): z.infer<typeof recordSchema>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => recordSchema.parse(JSON.parse(line)));
}

/** The audit lines of the process's log. */
function auditLines(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => line.includes('"event":"audit"'));
}

async function eventually(check: () => boolean): Promise<void> {
  const deadline = AbortSignal.timeout(10_000);
  while (!check()) {
    deadline.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function start(t: Test, given: Parameters<typeof startCoordinatorForTest>[1] = {}) {
  // A second call of testdir would empty the first one's.
  const auditFile = given.auditFile ?? join(t.testdir(), 'logs', 'audit.log');
  return { auditFile, ...(await startCoordinatorForTest(t, { ...given, auditFile })) };
}

await t.test('a changing call is a record, in the log and in the file, without a secret', async (t) => {
  const free = async () => ({ fileCount: 1, pageCount: 2, freedBytes: 3 });
  const { client, clientWith, lines, auditFile, coordinator } = await start(t, {
    cache: cacheWith({ free }),
  });
  const mount = {
    path: '/data',
    ufsUri: t.testdir(),
    options: { secretKey: 'hush', region: 'hush-region', 's3a.accessKeyId': 'hush-id' },
    check: true,
  };
  await client.addMount(mount);
  await t.rejects(client.addMount(mount));
  await t.rejects(client.addMount({ ...mount, path: '/x', ufsUri: 's3://user:hush@bucket/?token=hush' }));
  await t.rejects(clientWith({ token: 'hush-and-not-the-token' }).removeMount('/data'));
  await t.rejects(client.putRule({ pattern: '(', data: 'immutable' }));
  await client.freeCache('/data');
  await client.listMounts();
  await coordinator.close();
  const text = readFileSync(auditFile, 'utf8');
  const records = recordsOf(text);
  t.match(records, [
    { operation: 'addMount', caller: 'admin', about: { path: '/data', ufsUri: mount.ufsUri }, status: 201 },
    { operation: 'addMount', caller: 'admin', status: 409, code: 'AlreadyExists' },
    {
      operation: 'addMount',
      about: { path: '/x', ufsUri: 's3://bucket/?token=xxx' },
      status: 400,
    },
    {
      operation: 'removeMount',
      caller: 'refused',
      about: { path: '/data' },
      status: 401,
      code: 'Unauthenticated',
    },
    { operation: 'putRule', caller: 'admin', about: { pattern: '(' }, status: 400, code: 'InvalidArgument' },
    { operation: 'freeCache', caller: 'admin', about: { path: '/data' }, status: 200 },
  ]);
  t.equal(records.length, 6, 'reading calls are none');
  t.notOk('code' in (records[0] ?? {}), 'what succeeded has no code');
  const logged = auditLines(lines);
  t.equal(logged.length, 6);
  for (const [index, line] of logged.entries()) {
    t.match(JSON.parse(line), { level: 'info', requestId: records[index]?.requestId });
  }
  for (const secret of ['hush', token]) {
    t.notMatch(text, secret);
    t.notMatch(lines.join(''), secret);
  }
});

/** They are about the whole cluster. */
const aboutAll = ['measureDisks'];

await t.test('every changing operation is recorded, refused or not, with what it is about', async (t) => {
  const { url, auditFile, coordinator } = await start(t);
  const changing = Object.entries<Operation>(coordinatorOperations).filter(([, { changes }]) => changes);
  for (const [id, { method, path, about = [] }] of changing) {
    t.ok(about.length > 0 || aboutAll.includes(id), `${method} ${path} says what it is about`);
    const query = new URLSearchParams(about.map((name) => [name, `the ${name}`])).toString();
    await fetch(`${url}${path}?${query}`, { method });
    await fetch(`${url}${path}?${query}`, { method, headers: { authorization } });
  }
  await coordinator.close();
  const expected = changing.flatMap(([operation, { about = [] }]) => {
    const subject = Object.fromEntries(about.map((name) => [name, `the ${name}`]));
    return [
      { operation, about: subject, caller: 'refused', status: 401 },
      {
        operation,
        about: subject,
        caller: 'admin',
        ...(about.length === 0 ? { status: 200 } : { code: String }),
      },
    ];
  });
  t.match(recordsOf(readFileSync(auditFile, 'utf8')), expected);
});

await t.test('the call of a client that went away is recorded', async (t) => {
  const entered = Promise.withResolvers<void>();
  const cache = cacheWith({
    free: (_, { signal }) =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
        entered.resolve();
      }),
  });
  const { url, lines } = await start(t, { cache });
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write(`DELETE /api/v1/cache?path=/a HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n\r\n`);
  await entered.promise;
  socket.destroy();
  await eventually(() => auditLines(lines).length > 0);
  t.match(JSON.parse(auditLines(lines)[0] ?? ''), { operation: 'freeCache', code: 'Unreachable' });
});

await t.test('the file is bounded: one old file stays beside it', async (t) => {
  const sizeMaxBytes = 1000;
  const { client, auditFile, coordinator } = await start(t, { auditSizeMaxBytes: sizeMaxBytes });
  for (let index = 0; index < 20; index++) await t.rejects(client.removeMount(`/data-${index}`));
  await coordinator.close();
  t.same(readdirSync(join(auditFile, '..')).toSorted(), ['audit.log', 'audit.log.1']);
  for (const file of [auditFile, `${auditFile}.1`]) t.ok(statSync(file).size <= sizeMaxBytes, file);
  t.equal(statSync(auditFile).mode & 0o777, 0o640);
  const kept = recordsOf(readFileSync(`${auditFile}.1`, 'utf8') + readFileSync(auditFile, 'utf8'));
  const last = Array.from(kept, (_, index) => ({ about: { path: `/data-${20 - kept.length + index}` } }));
  t.match(kept, last, 'whole lines, the last ones, in their order');
});

await t.test('a disk that takes nothing is told once, and no call fails', async (t) => {
  const auditFile = join(t.testdir(), 'audit.log');
  mkdirSync(auditFile);
  const { client, lines } = await start(t, { auditFile });
  const rule = { pattern: 'a', data: 'immutable' };
  for (let index = 0; index < 5; index++) t.same(await client.putRule(rule), rule);
  await eventually(() => lines.join('').includes('EISDIR'));
  rmSync(auditFile, { recursive: true });
  await client.putRule(rule);
  await eventually(() => lines.join('').includes('log-file-written-again'));
  t.equal(lines.filter((line) => line.includes('log-file-not-written')).length, 1);
  t.match(lines.join(''), /"lostCount":[1-5],/);
  t.equal(recordsOf(readFileSync(auditFile, 'utf8')).length, 1);
});

await t.test('a full disk holds nobody, and what waits for it is bounded', async (t) => {
  const lines: string[] = [];
  const logger = createLogger({
    process: 'test',
    level: 'info',
    destination: { write: (line) => lines.push(line) },
  });
  const full = new BoundedLogFile({ path: '/dev/full', sizeMaxBytes: 1000, logger });
  for (let index = 0; index < 5000; index++) full.write('line');
  await full.close();
  t.match(lines, [/log-file-not-written/]);
  t.equal(lines.length, 1);
  t.match(lines[0], /wait for the disk/, 'the first to be lost were those beyond the bound');
});
