/**
 * The data plane side by side: this worker's S3 port against nginx serving the same files, both warm. Rounds are interleaved (A B A B), the servers
 * share core 0 and the load generator has core 1, so the machine needs two. `npm run bench -- --help`.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GIB } from '@alluxio-ts/common/units';
import { isHotpathBuilt } from '@alluxio-ts/transport/hotpath-native';
import { LoadGenerator } from './load-generator.ts';
import { machineBusySeconds, treeCpuSeconds } from './process-cpu.ts';
import {
  type Measurement,
  halfRate,
  median,
  rateTable,
  requestRateOf,
  targetTable,
  workloadTable,
} from './results.ts';
import { type RelayParts, startRelayingNginx, startRelayingWorker } from './relaying-servers.ts';
import {
  type BenchServer,
  rcloneArguments,
  startCaches,
  startNginx,
  startWorker,
  varnishArguments,
} from './servers.ts';
import { startEtcdServer } from '../test/support/etcd-server.ts';
import { installS3Clients } from '../test/support/python-packages.ts';
import { type Workload, objectSets, relayed, workloads } from './workloads.ts';

const help = `npm run bench [-- options]

  --quick               short rounds and fewer peers, in under three minutes; prints, writes nothing
  --only w1,w3          these workloads only; prints, writes nothing
  --transport plain     this worker with this transport only (plain, hotpath); prints, writes nothing
  --dir <directory>     where the objects and the cache go (1.2 GiB, removed at the end); the system's temporary directory
`;

const repositoryDir = join(import.meta.dirname, '..');
const resultsFile = join(import.meta.dirname, 'RESULTS.md');

interface Plan {
  readonly workloads: readonly Workload[];
  readonly transports: readonly string[];
  readonly rounds: number;
  readonly ms: number;
  readonly warmMs: number;
  /** Varnish, rclone and nginx as a cache too. */
  readonly hasCaches: boolean;
  readonly writesResults: boolean;
  readonly parentDir: string;
}

function planOf(args: readonly string[]): Plan | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      transport: { type: 'string' },
      dir: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const names = values.only?.split(',') ?? workloads.map(({ name }) => name);
  const chosen = workloads.filter(({ name }) => names.includes(name));
  if (chosen.length !== names.length)
    throw new Error(`--only takes ${workloads.map(({ name }) => name).join(',')}`);
  return {
    workloads: chosen,
    transports: values.transport?.split(',') ?? ['plain', ...(isHotpathBuilt() ? ['hotpath'] : [])],
    ...(values.quick ? { rounds: 3, ms: 1000, warmMs: 500 } : { rounds: 3, ms: 2000, warmMs: 4000 }),
    hasCaches: !values.quick && values.transport === undefined,
    writesResults: !values.quick && values.only === undefined && values.transport === undefined,
    parentDir: values.dir,
  };
}

async function main(): Promise<void> {
  const plan = planOf(process.argv.slice(2));
  if (!plan) {
    process.stdout.write(help);
    return;
  }
  const tools = toolsOf(plan);
  const loadBefore = loadavg();
  const load = LoadGenerator.build(import.meta.dirname);
  const dir = mkdtempSync(join(plan.parentDir, 'alluxio-bench-'));
  const servers: BenchServer[] = [];
  // A signal ends the measuring; what was started is stopped like after any failure.
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopped.abort(new Error(`ended by ${signal}`)));
  }
  try {
    const direct = plan.workloads.filter(({ isRelayed }) => !isRelayed);
    const measured: Measurement[] = [];
    const atHalf: HalfRate[] = [];
    if (direct.length > 0) {
      const contentDir = join(dir, 'content');
      mkdirSync(contentDir);
      for (const objects of objectSets) load.makeObjects(contentDir, objects);
      const measuredServers = await startServers(dir, plan, contentDir, servers);
      measured.push(
        ...(await measureAll({ ...plan, workloads: direct }, measuredServers, load, stopped.signal)),
      );
      for (const workload of direct.filter(({ name }) => name === 'w1' || name === 'w2')) {
        atHalf.push(
          await measureAtHalf(
            { workload, measured, rounds: plan.rounds, ms: plan.ms },
            measuredServers,
            load,
          ),
        );
      }
      for (const server of servers.splice(0).toReversed()) await server.stop();
    }
    if (direct.length < plan.workloads.length)
      measured.push(...(await measureRelayed(plan, dir, load, servers, stopped.signal)));
    report(plan, measured, atHalf, { ...tools, loadBefore });
  } finally {
    for (const server of servers.toReversed()) await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Tools {
  readonly varnish: string;
  readonly nginx: string;
  readonly cargo: string;
}

/** Says what is missing; installs nothing. */
function toolsOf({ hasCaches }: Plan): Tools {
  if (process.platform !== 'linux' || availableParallelism() < 2) {
    throw new Error('the benchmark needs Linux and two cores: one for the servers, one for the load');
  }
  versionOf('taskset', ['--version'], 'apt-get install util-linux');
  const varnish = hasCaches ? versionOf('varnishd', ['-V'], 'apt-get install varnish').split('\n', 1) : [];
  return {
    varnish: varnish.join(''),
    nginx: versionOf('nginx', ['-v'], 'apt-get install nginx-light'),
    cargo: versionOf('cargo', ['--version'], 'see rustup.rs'),
  };
}

function versionOf(command: string, args: readonly string[], howToInstall: string): string {
  try {
    // nginx says its version on stderr.
    return execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1', command, ...args], { encoding: 'utf8' }).trim();
  } catch {
    throw new Error(
      `the benchmark needs ${command} in PATH (${howToInstall}); it installs nothing by itself`,
    );
  }
}

/** Gives those that are measured; there may be more of them in `servers`, all of which are to be stopped. */
async function startServers(
  dir: string,
  { hasCaches, transports }: Plan,
  contentDir: string,
  servers: BenchServer[],
): Promise<readonly BenchServer[]> {
  for (const [name, isNopushOn] of [
    ['nginx', true],
    ['nginx, tcp_nopush off', false],
  ] as const) {
    servers.push(await startNginx({ name, dir: join(dir, `nginx-${isNopushOn}`), contentDir, isNopushOn }));
  }
  for (const transport of transports) {
    servers.push(
      await startWorker({
        name: `alluxio-ts, ${transport}`,
        dir: join(dir, transport),
        contentDir,
        repositoryDir,
        definitions: [`alluxio.worker.transport=${transport}`],
      }),
    );
  }
  const direct = [...servers];
  if (!hasCaches) return direct;
  const rclone = join(await installS3Clients(), 'bin', 'rclone');
  return [...direct, ...(await startCaches({ dir, contentDir, rclone }, servers))];
}

/** What is started is added to `servers`; etcd ends here. */
async function measureRelayed(
  plan: Plan,
  dir: string,
  load: LoadGenerator,
  servers: BenchServer[],
  signal: AbortSignal,
): Promise<readonly Measurement[]> {
  const etcd = await startEtcdServer();
  try {
    const contentDir = join(dir, 'relayed');
    mkdirSync(contentDir);
    const etcdEndpoint = etcd.endpoints[0] ?? '';
    const parts: RelayParts = { dir, contentDir, repositoryDir, etcdEndpoint, objects: relayed, load };
    const relaying = [...(await startRelayingNginx(parts, servers))];
    for (const transport of plan.transports)
      relaying.push(await startRelayingWorker(transport, parts, servers));
    const ofRelayed = plan.workloads.filter(({ isRelayed }) => isRelayed);
    const measured = await measureAll({ ...plan, workloads: ofRelayed }, relaying, load, signal);
    for (const server of servers.splice(0).toReversed()) await server.stop();
    return measured;
  } finally {
    await etcd.stop();
  }
}

async function measureAll(
  plan: Plan,
  servers: readonly BenchServer[],
  load: LoadGenerator,
  signal: AbortSignal,
): Promise<readonly Measurement[]> {
  const needed = new Set(plan.workloads.map(({ objects }) => objects));
  for (const server of servers) {
    for (const objects of needed) await load.sweep(server, objects);
  }
  const measured: Measurement[] = [];
  for (const workload of plan.workloads) {
    for (const server of servers) await load.measure(server, workload, { ms: plan.warmMs, seed: 0 });
    for (let round = 1; round <= plan.rounds; round++) {
      for (const server of servers) {
        signal.throwIfAborted();
        measured.push(await measure(server, { workload, round, ms: plan.ms }, load));
      }
      process.stderr.write(`${workload.name} round ${round} of ${plan.rounds}\n`);
    }
  }
  return measured;
}

async function measure(
  server: BenchServer,
  run: {
    readonly workload: Workload;
    readonly round: number;
    readonly ms: number;
    readonly ratePerSecond?: number;
  },
  load: LoadGenerator,
): Promise<Measurement> {
  const { ms, ratePerSecond = 0, round, workload } = run;
  const busyBefore = machineBusySeconds();
  const cpuBefore = treeCpuSeconds(server.pid);
  const result = await load.measure(server, workload, { ms, seed: round, ratePerSecond });
  const serverCpuSeconds = treeCpuSeconds(server.pid) - cpuBefore;
  const othersSeconds = machineBusySeconds() - busyBefore - serverCpuSeconds - result.cpuSeconds;
  return {
    workload: workload.name,
    server: server.name,
    round,
    serverCpuSeconds,
    load: result,
    othersCores: Math.max(0, othersSeconds / result.wallSeconds),
  };
}

interface HalfRate {
  readonly workload: Workload;
  readonly measured: readonly Measurement[];
}

/** Every server that can is asked at half the rate of the better nginx. */
async function measureAtHalf(
  run: {
    readonly workload: Workload;
    readonly measured: readonly Measurement[];
    readonly rounds: number;
    readonly ms: number;
  },
  servers: readonly BenchServer[],
  load: LoadGenerator,
): Promise<HalfRate> {
  const { ms, rounds, workload } = run;
  const ratePerSecond = halfRate(workload, run.measured);
  const of = run.measured.filter((one) => one.workload === workload.name);
  const able = servers.filter(({ name }) => requestRateOf(name, of) > ratePerSecond);
  const measured: Measurement[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const server of able)
      measured.push(await measure(server, { workload, round, ms, ratePerSecond }, load));
  }
  return { workload, measured };
}

function report(
  plan: Plan,
  measured: readonly Measurement[],
  atHalf: readonly HalfRate[],
  facts: Tools & { readonly loadBefore: readonly number[] },
): void {
  const ratios = targetTable('alluxio-ts, hotpath', measured);
  const tables = [
    ...(ratios === undefined
      ? []
      : [`## Targets: CPU time of the peer over that of the hotpath transport\n\n${ratios}\n`]),
    ...plan.workloads.map((workload) => `## ${workload.title}\n\n${workloadTable(workload, measured)}\n`),
    ...atHalf.map(
      (half) =>
        `## ${half.workload.name.toUpperCase()} at half the rate of the better nginx\n\n${rateTable(half.measured)}\n`,
    ),
  ];
  process.stdout.write(`${tables.join('\n')}\n${machineText(plan, measured, facts)}`);
  if (!plan.writesResults) return;
  const intro = `# Results of the data plane's benchmark

Written by \`npm run bench\`; [README.md](README.md) says how it measures. Each cell is the median of ${plan.rounds} rounds (least–most). The efficiency is nginx's CPU-seconds per GiB
over the server's own, within a round, against the better of the two nginx configurations: more than 1 is better than nginx.
`;
  const config = readFileSync(join(import.meta.dirname, 'nginx.conf.in'), 'utf8');
  const proxyConfig = readFileSync(join(import.meta.dirname, 'nginx-proxy.conf.in'), 'utf8');
  const sliceConfig = readFileSync(join(import.meta.dirname, 'nginx-slice.conf.in'), 'utf8');
  const commands = [
    ['varnishd', ...varnishArguments('@dir@', 0, 1)],
    ['rclone', ...rcloneArguments('@content@', 0)],
  ];
  const peers = [
    `## Varnish and rclone\n\n\`\`\`sh\n${commands.map((words) => words.join(' ')).join('\n')}\n\`\`\`\n`,
    `## nginx.conf of the slice cache\n\n\`\`\`nginx\n${sliceConfig}\`\`\`\n`,
    `## nginx.conf\n\n\`\`\`nginx\n${config}\`\`\`\n`,
    `## nginx.conf of the proxy in W5\n\n\`\`\`nginx\n${proxyConfig}\`\`\`\n`,
  ].join('\n');
  writeFileSync(resultsFile, [intro, ...tables, machineText(plan, measured, facts), peers].join('\n'));
}

function machineText(
  plan: Plan,
  measured: readonly Measurement[],
  facts: Tools & { readonly loadBefore: readonly number[] },
): string {
  const others = measured.map(({ othersCores }) => othersCores);
  const verified = measured.reduce((sum, { load }) => sum + load.verified, 0);
  const congestion = '/proc/sys/net/ipv4/tcp_congestion_control';
  const lines = [
    `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / GIB)} GiB, Linux ${release()}, TCP ${existsSync(congestion) ? readFileSync(congestion, 'utf8').trim() : ''}`,
    `Node ${process.version}, ${facts.nginx}, ${facts.varnish}, ${facts.cargo}`,
    `Load average before ${facts.loadBefore.map((load) => load.toFixed(2)).join(' ')}; other processes took ${median(others).toFixed(2)} cores (median), ${Math.max(...others).toFixed(2)} at most, during a run`,
    `${plan.rounds} rounds of ${plan.ms / 1000} s a server; ${verified} bodies compared byte for byte, all heads checked`,
  ];
  return `## Machine\n\n${lines.map((line) => `- ${line}`).join('\n')}\n`;
}

try {
  await main();
} catch (thrown) {
  process.stderr.write(`bench: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 1;
}
