import { AlluxioError } from '@alluxio-ts/common/errors';
import type { LogLevel } from '@alluxio-ts/common/log-level';
import t from 'tap';
import { startCoordinatorForTest, workerAt } from './support/coordinator-for-test.ts';

await t.test('the level of the coordinator is changed while it runs, and the change is logged', async (t) => {
  const { client, clientWith, lines } = await startCoordinatorForTest(t);
  const debugLines = () => lines.filter((line) => line.includes('"level":"debug"')).length;
  t.same(await clientWith({}).logLevels({}), { level: 'debug' });
  t.ok(debugLines() > 0);
  t.same(await client.setLogLevel('warn', {}), { level: 'warn' });
  t.match(lines.join(''), /log-level-changed/);
  const before = lines.length;
  await client.listMounts();
  t.same(await client.logLevels({}), { level: 'warn' });
  t.equal(lines.length, before, 'what is less serious is no longer logged');
  await client.setLogLevel('debug', {});
  await client.listMounts();
  t.match(lines.slice(before).join(''), /log-level-changed/);
  t.match(lines.slice(before).join(''), /"route":"\/api\/v1\/mounts"/);
  await t.rejects(client.setLogLevel('loud' as LogLevel, {}), {
    code: 'InvalidArgument',
    message: /level: /,
  });
  await t.rejects(clientWith({}).setLogLevel('error', {}), { code: 'Unauthenticated' });
  t.same(await client.logLevels({}), { level: 'debug' });
  await t.rejects(client.logLevels({ all: 'true' }), { code: 'NotImplemented' });
});

await t.test('workers are asked by name, or all that are online', async (t) => {
  const levels = new Map<string, LogLevel>([
    ['worker-a', 'info'],
    ['worker-b', 'info'],
  ]);
  const levelOf = async (id: string): Promise<LogLevel> => {
    const level = levels.get(id);
    if (level) return level;
    throw new AlluxioError('Unreachable', `${id}: no worker answers`);
  };
  const workers = [
    workerAt('worker-a', 'one', {}),
    workerAt('worker-b', 'two', {}),
    workerAt('worker-c', 'three'),
  ];
  const { client } = await startCoordinatorForTest(t, {
    workers,
    workerLogs: {
      logLevel: levelOf,
      setLogLevel: async (id, level) => {
        await levelOf(id);
        levels.set(id, level);
        return level;
      },
    },
  });
  t.same(await client.setLogLevel('debug', { worker: 'two' }), {
    workers: [{ id: 'worker-b', level: 'debug' }],
  });
  t.same(await client.logLevels({ all: 'true' }), {
    workers: [
      { id: 'worker-a', level: 'info' },
      { id: 'worker-b', level: 'debug' },
    ],
  });
  await t.rejects(client.logLevels({ worker: 'worker-c' }), { code: 'Unreachable', message: /^worker-c: / });
  await t.rejects(client.logLevels({ worker: 'x' }), {
    code: 'InvalidArgument',
    message: /no worker is called/,
  });
  levels.delete('worker-a');
  await t.rejects(client.setLogLevel('error', { all: 'true' }), { code: 'Unreachable' });
  t.equal(levels.get('worker-b'), 'error', 'one that fails keeps no other from it');
});
