/**
 * What fill threads cost and bring: `node bench/fill-threads.bench.ts [directory] [threads,threads…]`. A standalone process reads through an S3 mount
 * that nginx (on PATH, as curl is) serves from files; for each number of threads: one cold GiB in sequence, 2,000 cold objects of 100 KiB 32 at a time, and the
 * latency of warm objects of 100 KiB alone and while two more cold GiB are read, from a storage slow enough to leave the processor some idle time. CPU is that of the standalone process. Needs 8 GiB below the directory.
 */

import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { systemClock } from '@alluxio-ts/common/clock';
import { GIB, KIB } from '@alluxio-ts/common/units';

const smallCount = 2000;
const warmCount = 100;
const smallBytes = 100 * KIB;
const alluxio = fileURLToPath(new URL('../packages/cli/bin/alluxio.js', import.meta.url));
const agent = new http.Agent({ keepAlive: true });

const [, , parent = '/var/tmp', threads = '0,1,2'] = process.argv;
const dir = mkdtempSync(join(parent, 'fill-threads-bench-'));
const children: ChildProcess[] = [];
try {
  makeFiles();
  const origin = await startNginx();
  for (const count of threads.split(',')) console.log(`threads ${count}`, await measure(count, origin));
} finally {
  for (const child of children) child.kill('SIGTERM');
  agent.destroy();
  rmSync(dir, { recursive: true, force: true });
}

function makeFiles(): void {
  const bucket = join(dir, 'files', 'bucket');
  mkdirSync(bucket, { recursive: true });
  for (const name of ['big0', 'big1', 'big2']) {
    execFileSync('dd', ['if=/dev/urandom', `of=${join(bucket, name)}`, 'bs=4M', 'count=256', 'status=none']);
  }
  const bytes = Buffer.alloc(smallBytes, 'x');
  for (let number = 0; number < smallCount; number++) writeFileSync(join(bucket, `small${number}`), bytes);
  for (let number = 0; number < warmCount; number++) writeFileSync(join(bucket, `warm${number}`), bytes);
}

async function startNginx(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  server.close();
  const conf = `daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log; events {}
user root; http { access_log off; sendfile on; keepalive_requests 1000000; server { listen 127.0.0.1:${port}; root ${dir}/files;
location ~ /big[12]$ { limit_rate 30m; } } }`;
  writeFileSync(join(dir, 'nginx.conf'), conf);
  children.push(spawn('nginx', ['-p', dir, '-c', join(dir, 'nginx.conf')], { stdio: 'inherit' }));
  return `http://127.0.0.1:${port}`;
}

async function measure(threadCount: string, origin: string): Promise<Record<string, string>> {
  const workDir = join(dir, `work-${threadCount}`);
  const ports = ['rest', 'http.server', 'web'].map((name) => `-Dalluxio.worker.${name}.port=0`);
  const child = spawn(
    process.execPath,
    [
      alluxio,
      ...ports,
      '-Dalluxio.coordinator.web.port=0',
      `-Dalluxio.worker.fill.threads=${threadCount}`,
      'standalone',
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ALLUXIO_WORK_DIR: workDir, ALLUXIO_LOG_LEVEL: 'warn' },
    },
  );
  children.push(child);
  const { coordinator, s3 } = await bannerOf(child);
  execFileSync(
    process.execPath,
    [
      alluxio,
      'mount',
      'add',
      '--path=/s3',
      '--ufs-uri=s3://bucket',
      '--no-check',
      `--option=alluxio.underfs.s3.endpoint=${origin}`,
      '--option=alluxio.underfs.s3.region=us-east-1',
      '--option=s3a.accessKeyId=any',
      '--option=s3a.secretKey=any',
    ],
    { env: { ...process.env, ALLUXIO_WORK_DIR: workDir, ALLUXIO_COORDINATOR_WEB_PORT: coordinator } },
  );
  const { pid } = child;
  if (pid === undefined) throw new Error('alluxio did not start');
  for (let number = 0; number < warmCount; number++) await get(`${s3}/s3/warm${number}`);
  const big = await spent(pid, () => curl(`${s3}/s3/big0`));
  const small = await spent(pid, () =>
    inParallel(smallCount, 32, (number) => get(`${s3}/s3/small${number}`)),
  );
  const alone = await warmLatencies(s3, () => systemClock.sleep(3000));
  let meanwhile: readonly number[] = [];
  const both = await spent(pid, async () => {
    meanwhile = await warmLatencies(s3, () => Promise.all([curl(`${s3}/s3/big1`), curl(`${s3}/s3/big2`)]));
  });
  const memory = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? '0';
  child.kill('SIGTERM');
  await once(child, 'exit');
  rmSync(workDir, { recursive: true, force: true });
  const perGib = (cpu: number, bytes: number): string => ((cpu * GIB) / bytes).toFixed(2);
  return {
    'cold GiB': `${big.wall.toFixed(2)} s, ${perGib(big.cpu, GIB)} CPU-s/GiB (main ${big.main.toFixed(2)})`,
    'small cold': `${small.wall.toFixed(2)} s, ${small.cpu.toFixed(2)} CPU-s (main ${small.main.toFixed(2)})`,
    'warm alone': quantiles(alone),
    'warm meanwhile': quantiles(meanwhile),
    'two cold GiB meanwhile': `${both.wall.toFixed(2)} s`,
    'resident MB': String(Math.round(Number(memory) / 1024)),
  };
}

async function bannerOf(child: ChildProcess): Promise<{ readonly s3: string; readonly coordinator: string }> {
  const found: Record<string, string> = {};
  if (!child.stdout) throw new Error('no standard output');
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /^(S3 API|Coordinator)\s+(http:\S+)/.exec(line);
    if (match?.[1] && match[2]) found[match[1]] = match[2];
    if (line.startsWith('Ctrl-C')) break;
  }
  child.stdout.resume();
  return { s3: found['S3 API'] ?? '', coordinator: new URL(found['Coordinator'] ?? '').port };
}

/** In a process of its own: this one measures latencies. */
function curl(url: string): Promise<unknown> {
  return promisify(execFile)('curl', ['--silent', '--fail', '--output', '/dev/null', url]);
}

function get(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent }, (response) => {
        let count = 0;
        if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`));
        response.on('data', (chunk: Buffer) => {
          count += chunk.length;
        });
        response.on('end', () => resolve(count));
        response.on('error', reject);
      })
      .on('error', reject);
  });
}

async function inParallel(
  count: number,
  width: number,
  call: (number: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

async function warmLatencies(s3: string, until: () => Promise<unknown>): Promise<readonly number[]> {
  const latencies: number[] = [];
  let isOver = false;
  const over = until().finally(() => {
    isOver = true;
  });
  await inParallel(Number.POSITIVE_INFINITY, 2, async (number) => {
    if (isOver) throw new Error('over');
    const startMs = systemClock.monotonic();
    await get(`${s3}/s3/warm${number % warmCount}`);
    latencies.push(systemClock.monotonic() - startMs);
    await systemClock.sleep(5);
  }).catch((thrown: unknown) => {
    if (!isOver) throw thrown;
  });
  await over;
  return latencies;
}

function quantiles(latencies: readonly number[]): string {
  const sorted = latencies.toSorted((one, other) => one - other);
  const at = (fraction: number): string => (sorted[Math.floor(fraction * sorted.length)] ?? 0).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1 - 1e-9)} ms of ${sorted.length}`;
}

interface Spent {
  readonly wall: number;
  readonly cpu: number;
  readonly main: number;
}

/** Seconds of the clock, of the process and of its main thread. */
async function spent(pid: number, run: () => Promise<unknown>): Promise<Spent> {
  const before = cpuSeconds(`/proc/${pid}/stat`);
  const mainBefore = cpuSeconds(`/proc/${pid}/task/${pid}/stat`);
  const startMs = systemClock.monotonic();
  await run();
  return {
    wall: (systemClock.monotonic() - startMs) / 1000,
    cpu: cpuSeconds(`/proc/${pid}/stat`) - before,
    main: cpuSeconds(`/proc/${pid}/task/${pid}/stat`) - mainBefore,
  };
}

function cpuSeconds(path: string): number {
  const fields = readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
