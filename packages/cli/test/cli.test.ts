import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { loadOrCreateToken } from '@alluxio-ts/common/admin-token';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics } from '@alluxio-ts/common/metrics';
import { processFacts } from '@alluxio-ts/common/process-facts';
import { MemoryKvStore } from '@alluxio-ts/common/state/memory-kv-store';
import { startCoordinator } from '@alluxio-ts/coordinator/coordinator';
import { Command } from 'commander';
import t, { type Test } from 'tap';
import { extractDefinitions, parseNameValue } from '../src/definitions.ts';
import { addStandaloneCommand, type StandaloneArguments } from '../src/standalone-arguments.ts';
import { programTree } from './support/example-lines.ts';
import { runCommand } from './support/run-command.ts';

const run = (argv: readonly string[], environment: Record<string, string> = {}) =>
  runCommand(argv, { environment });

async function startWithToken(t: Test) {
  const workDir = t.testdir({ data: {} });
  const tokenFile = join(workDir, 'admin.token');
  const token = await loadOrCreateToken(tokenFile, systemRandom);
  const store = new MemoryKvStore({ clock: systemClock, random: systemRandom });
  const coordinator = await startCoordinator({
    store,
    clusterName: 'c',
    host: '127.0.0.1',
    port: 0,
    // What is under storage here is not the command's business.
    probe: {
      check: async () => undefined,
      isSecretOption: (_, name) => name.endsWith('Key'),
    },
    box: undefined,
    admin: { kind: 'token', token, tokenFile },
    cache: undefined,
    workers: { forget: async () => undefined, list: async () => [] },
    inspection: {
      facts: () => processFacts({ version: '1.2.3', notices: [], clock: systemClock }),
      stateStore: async () => ({ kind: 'embedded', latencyMs: 1, members: [], alarms: [] }),
      workers: async () => [],
    },
    metrics: new Metrics(),
    version: '1.2.3',
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  t.teardown(async () => {
    await coordinator.close();
    await store.close();
  });
  const environment = {
    ALLUXIO_WORK_DIR: workDir,
    ALLUXIO_COORDINATOR_HOSTNAME: '127.0.0.1',
    ALLUXIO_COORDINATOR_WEB_PORT: String(coordinator.port),
  };
  return { environment, workDir };
}

await t.test('mounts are added, listed in the form of Alluxio, and removed', async (t) => {
  const { environment } = await startWithToken(t);
  const add = 'mount add --path /s3/ --ufs-uri s3://bucket/ --option alluxio.underfs.s3.region=us-east-1';
  t.same(await run([...add.split(' '), '--option', 's3a.secretKey=hu=sh'], environment), {
    code: 0,
    stdout: 'Mounted ufsPath=s3://bucket/ to alluxioPath=/s3 with 2 options\n',
    stderr: '',
  });
  await run('mount add --path /nas --ufs-uri /mnt/nas --no-check'.split(' '), environment);
  t.same(await run(['mount', 'list'], environment), {
    code: 0,
    stdout: [
      'Listing all mount points',
      '/mnt/nas on /nas/ properties={}',
      's3://bucket/ on /s3/ properties={alluxio.underfs.s3.region=us-east-1, s3a.secretKey=xxx}',
      '',
    ].join('\n'),
    stderr: '',
  });
  t.match(await run(['mount', 'remove', '--path', '/s3'], environment), {
    code: 0,
    stdout: 'Unmounted alluxioPath=/s3 from ufsPath=s3://bucket/\n',
  });
  t.same(await run(['mount', 'remove', '--path', '/s3'], environment), {
    code: 1,
    stdout: '',
    stderr: 'alluxio: nothing is mounted at /s3; mounted: /nas\n',
  });
  const withoutToken = await run(
    ['mount', 'remove', '--path', '/nas', '-Dalluxio.security.admin.token.file=/none/token'],
    environment,
  );
  t.match(withoutToken, {
    code: 1,
    stderr: /^alluxio: a changing call came without the admin token; .*admin\.token/,
  });
});

await t.test('rules are added, listed and removed', async (t) => {
  const { environment } = await startWithToken(t);
  const pattern = 's3://bucket/tmp/.*';
  t.same(await run(['rule', 'add', '--pattern', pattern, '--data', 'skipCache'], environment), {
    code: 0,
    stdout: `Added rule ${pattern} data=skipCache\n`,
    stderr: '',
  });
  await run(['rule', 'add', '--pattern', 'b', '--data', 'immutable', '--metadata', 'maxAge=1h'], environment);
  t.equal(
    (await run(['rule', 'list'], environment)).stdout,
    `Listing all cache rules\nb data=immutable metadata=maxAge=1h\n${pattern} data=skipCache\n`,
  );
  t.same(JSON.parse((await run(['rule', 'list', '--json'], environment)).stdout), {
    rules: [
      { pattern: 'b', data: 'immutable', metadata: 'maxAge=1h' },
      { pattern, data: 'skipCache' },
    ],
  });
  t.same(await run(['rule', 'add', '--pattern', 'c', '--data', 'never'], environment), {
    code: 1,
    stdout: '',
    stderr:
      'alluxio: the rule is not understood: data: "never" is not immutable, skipCache or maxAge=<duration>\n',
  });
  t.match(await run(['rule', 'remove', '--pattern', 'b'], environment), {
    stdout: 'Removed rule b data=immutable metadata=maxAge=1h\n',
  });
  t.match(await run(['rule', 'remove', '--pattern', 'b'], environment), {
    code: 1,
    stderr: /no rule of the pattern "b"; "alluxio rule list" shows them/,
  });
});

await t.test('TTL rules are added, listed, changed and removed', async (t) => {
  const { environment } = await startWithToken(t);
  await run(['mount', 'add', '--path', '/s3', '--ufs-uri', 's3://bucket'], environment);
  t.same(await run(['ttl', 'add', '--path', '/s3/data/', '--time', '1h'], environment), {
    code: 0,
    stdout: 'Added alluxioPath=/s3/data/ and time=1h\n',
    stderr: '',
  });
  const warning =
    'Warning: You are setting TTL policy to 5s. This TTL is too small. Expired files are looked for every 1h (alluxio.ttl.eviction.check.interval).\n';
  t.same(await run(['ttl', 'add', '--path', '/s3/short', '--time', '5s'], environment), {
    code: 0,
    stdout: `${warning}Added alluxioPath=/s3/short/ and time=5s\n`,
    stderr: '',
  });
  const often = '-Dalluxio.ttl.eviction.check.interval=5s';
  t.same(await run(['ttl', 'update', '--path', '/s3/short', '--time', '5s', often], environment), {
    code: 0,
    stdout: 'Updated alluxioPath=/s3/short/ and time=5s\n',
    stderr: '',
  });
  t.equal(
    (await run(['ttl', 'list'], environment)).stdout,
    'Listing all TTL rules\n/s3/data/ time=1h\n/s3/short/ time=5s\n',
  );
  t.same(JSON.parse((await run(['ttl', 'list', '--json'], environment)).stdout), {
    rules: [
      { path: '/s3/data/', time: '1h' },
      { path: '/s3/short/', time: '5s' },
    ],
  });
  const asJson = await run(['ttl', 'add', '--json', '--path', '/s3/short', '--time', '5s'], environment);
  t.same(JSON.parse(asJson.stdout), { path: '/s3/short/', time: '5s' });
  t.same(JSON.parse(asJson.stderr), { notice: warning.trimEnd() });
  t.same(await run(['ttl', 'add', '--path', '/s3/', '--time', '900ms'], environment), {
    code: 1,
    stdout: '',
    stderr: 'alluxio: the TTL rule is not understood: time: "900ms" is below 1s\n',
  });
  t.same(await run(['ttl', 'add', '--path', 's3://bucket/a', '--time', '1h'], environment), {
    code: 1,
    stdout: '',
    stderr:
      'alluxio: the TTL rule is not understood: path: is not a directory of the namespace such as /s3/data/\n',
  });
  t.match(await run(['ttl', 'add', '--path', '/none/a', '--time', '1h'], environment), {
    code: 1,
    stderr: /no mount holds \/none\/a\/; "alluxio mount list"/,
  });
  t.match(await run(['ttl', 'update', '--path', '/s3/none', '--time', '2h'], environment), {
    code: 1,
    stderr: /there is no TTL rule for \/s3\/none\/; "alluxio ttl list" shows them/,
  });
  t.match(await run(['ttl', 'remove', '--path', '/s3/short'], environment), {
    stdout: 'Removed alluxioPath=/s3/short/ and time=5s\n',
  });
  t.match(await run(['ttl', 'remove', '--path', '/s3/short'], environment), { code: 1 });
});

await t.test('the value of a mount option may stand in a file or a variable', async (t) => {
  const { environment, workDir } = await startWithToken(t);
  await writeFile(join(workDir, 'key'), 'from-file\n');
  const add = ['mount', 'add', '--path', '/s3', '--ufs-uri', 's3://bucket/'];
  await run(
    [...add, '--option', `a=@${join(workDir, 'key')}`, '--option', 'b=env:MINE', '--option', 'c=x@y'],
    {
      ...environment,
      MINE: 'from-variable',
    },
  );
  t.same(JSON.parse((await run(['mount', 'list', '--json'], environment)).stdout), {
    mounts: [
      { path: '/s3', ufsUri: 's3://bucket/', options: { a: 'from-file', b: 'from-variable', c: 'x@y' } },
    ],
  });
  t.match(await run([...add, '--option', 'a=env:NOT_SET']), {
    code: 1,
    stderr: 'alluxio: --option a is taken from the environment variable NOT_SET, which is not set\n',
  });
  t.match(await run([...add, '--option', 'a=@none']), {
    code: 1,
    stderr: /--option a: \/none\/none cannot be read/,
  });
});

await t.test('a site file with unknown names is used, and they are told with conf get alone', async (t) => {
  const { environment, workDir } = await startWithToken(t);
  await writeFile(join(workDir, 'alluxio-site.properties'), 'alluxio.master.mount.table.root.ufs=hush\n');
  t.match(await run(['mount', 'list'], environment), { code: 0, stderr: '' });
  const { code, stderr } = await run(['conf', 'get', 'alluxio.log.level'], environment);
  t.equal(code, 0);
  t.match(
    stderr,
    /^alluxio: .*site\.properties line 1: there is no option alluxio\.master\.mount\.table\.root\.ufs, so it is ignored\n$/,
  );
});

await t.test('conf get shows values and where they come from', async (t) => {
  const name = 'alluxio.worker.page.store.page.size';
  t.same(await run(['conf', 'get', name]), { code: 0, stdout: '4MB\n', stderr: '' });
  const expected = { code: 0, stdout: 'SYSTEM_PROPERTY\n' };
  t.match(await run([`-D${name}=1MB`, 'conf', 'get', name, '--source']), expected);
  t.match(await run(['conf', 'get', '-D', `${name}=1MB`, name, '--source']), expected);
  t.match(await run(['conf', 'get', `${name}x`]), {
    code: 1,
    stderr: `alluxio: the table of options: there is no option ${name}x; did you mean ${name}?\n`,
  });
  const all = await run(['conf', 'get', '--source'], {
    ALLUXIO_LOG_LEVEL: 'warn',
    ALLUXIO_SERVICE_HOST: '10.0.0.1',
  });
  t.match(all.stdout, /^alluxio\.log\.level=warn \(ENVIRONMENT \(ALLUXIO_LOG_LEVEL\)\)$/m);
  t.match(all.stderr, /ALLUXIO_SERVICE_HOST names no option and is ignored/);
});

await t.test('a wrong command line is one line on stderr and exit code 1', async (t) => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['mount list --all', /unknown option '--all'; "alluxio --help"/],
    ['mount add --path /a', /required option '--ufs-uri <uri>' not specified/],
    [
      'mount add --path /a --ufs-uri s3://b --option hush',
      /^(?!.*hush).*--option is not of the form name=value/,
    ],
    ['munt list', /unknown command 'munt'/],
    ['conf get -D', /-D needs a definition/],
    ['conf get -Dalluxio.nothing.known.here=hush', /^(?!.*hush).*there is no option/],
    [
      'mount list -Dalluxio.coordinator.hostname=127.0.0.1 -Dalluxio.coordinator.web.port=1',
      /no coordinator answers/,
    ],
  ];
  for (const [line, pattern] of rows) {
    const { code, stdout, stderr } = await run(line.split(' '));
    t.equal(code, 1, line);
    t.equal(stdout, '');
    t.match(stderr, pattern);
    t.match(stderr, /^alluxio: [^\n]+\n$/);
  }
  const help = await run(['mount', 'add', '--help']);
  t.match(help, { code: 0, stderr: '', stdout: /Examples:\n {2}alluxio mount add/ });
});

await t.test('every command has a help with an example', async (t) => {
  const namesOf = (command: Command, names: readonly string[]): readonly (readonly string[])[] => [
    names,
    ...command.commands.flatMap((child) => namesOf(child, [...names, child.name()])),
  ];
  const all = namesOf(programTree(), []);
  t.ok(all.length > 20);
  for (const names of all) {
    const { code, stdout, stderr } = await run([...names, '--help']);
    t.same({ code, stderr }, { code: 0, stderr: '' });
    t.match(
      stdout,
      new RegExp(`\\nExamples:\\n(?: {2}.*\\n)* {2}alluxio ${names.join(' ')}`),
      names.join(' '),
    );
    t.matchSnapshot(stdout, ['alluxio', ...names, '--help'].join(' '));
  }
});

await t.test('definitions are taken from anywhere before a --', async (t) => {
  t.same(extractDefinitions(['-Da=1', 'x', '-D', 'b=2', '--', '-Dc=3']), {
    definitions: ['a=1', 'b=2'],
    rest: ['x', '--', '-Dc=3'],
  });
});

await t.test('each option of standalone belongs to the mount before it', async (t) => {
  const parse = async (...argv: readonly string[]): Promise<StandaloneArguments | undefined> => {
    let parsed: StandaloneArguments | undefined;
    const program = new Command().exitOverride();
    addStandaloneCommand(program, parseNameValue, async (standalone) => {
      parsed = standalone;
    });
    await program.parseAsync(['standalone', ...argv], { from: 'user' });
    return parsed;
  };
  t.same(await parse(), { mounts: [] });
  t.same(
    await parse('--mount', '/a=s3://a/', '--option', 'x=1=2', '--option', 'y=', '--mount', '/b=/dir=1'),
    {
      mounts: [
        { path: '/a', ufsUri: 's3://a/', options: { x: '1=2', y: '' } },
        { path: '/b', ufsUri: '/dir=1', options: {} },
      ],
    },
  );
  const refusal = { code: 'InvalidArgument', message: /^(?!.*hush)/ };
  await t.rejects(parse('--option', 'secret=hush'), refusal);
  await t.rejects(parse('--mount', 'hush'), refusal);
});

await t.test('the script runs a command and gives its exit code', async (t) => {
  const { environment } = await startWithToken(t);
  const script = fileURLToPath(new URL('../bin/alluxio.js', import.meta.url));
  const start = async (...argv: readonly string[]) => {
    const child = spawn(process.execPath, [script, ...argv], {
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      child.exitCode === null ? once(child, 'exit') : undefined,
    ]);
    return { code: child.exitCode, stdout, stderr };
  };
  t.same(await start('mount', 'list'), { code: 0, stdout: 'Listing all mount points\n', stderr: '' });
  t.match(await start('mount', 'remove', '--path', '/a'), {
    code: 1,
    stdout: '',
    stderr: /^alluxio: nothing is mounted/,
  });
});
