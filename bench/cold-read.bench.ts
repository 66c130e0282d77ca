/**
 * Reads of what is not cached, beside reads of the storage itself: through a link of a given latency and bandwidth to a real S3 server, with the same client, in turns.
 * `npm run bench:cold -- --help`.
 */

import { once } from 'node:events';
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { S3Signer } from '@alluxio-ts/ufs-adapters/s3/requests';
import { s3UfsOptions } from '@alluxio-ts/ufs-adapters/s3/options';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { type S3Server, startS3Server } from '../test/support/s3-server.ts';
import { localHost } from '../test/support/test-network.ts';
import { median } from './results.ts';
import { type StandaloneProcess, startStandaloneProcess } from './standalone-process.ts';
import { type LinkShape, ThreadedLink } from './threaded-link.ts';

const help = `npm run bench:cold [-- options]

  --rounds 5        rounds, each way once in each
  --only small      one of sequential, deep, small; prints
  --write           puts the results into bench/RESULTS-cold.md
`;

const bucket = 'cold';
const sequentialBytes = 256 * MIB;
const stepBytes = 4 * MIB;
const deepBytes = 64 * MIB;
const deepOffset = Math.floor(50.9 * MIB);
const smallBytes = 100 * KIB;
const smallPerRound = 40;
/** After as many a process runs the code that it will run for long. */
const warmCount = 3000;
const warmConnectionCount = 8;
const noLimit = Number.POSITIVE_INFINITY;

const wayNames = {
  direct: 'direct',
  unknown: 'cold, nothing known of the file',
  known: 'cold, the file known',
} as const;

/** Where bytes come from. `get` gives the milliseconds until an object, or a part of it, was there. */
interface Source {
  get(key: string, range?: { readonly from: number; readonly to: number }): Promise<number>;
}

interface Bench {
  readonly link: ThreadedLink;
  readonly direct: Source;
  readonly cached: Source;
  readonly alluxio: StandaloneProcess;
  readonly rounds: number;
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    only: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const partNames = ['sequential', 'deep', 'small'] as const;

if (values.help) process.stdout.write(help);
else if (values.only !== undefined && !partNames.some((name) => name === values.only)) {
  process.stderr.write(`--only ${values.only}: say one of ${partNames.join(', ')}\n`);
  process.exitCode = 2;
} else await main(Number(values.rounds), values);

async function main(rounds: number, { only, write }: typeof values): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'alluxio-cold-bench-'));
  const server = await startS3Server(localHost, { capacityBytes: 4 * (sequentialBytes + deepBytes) });
  const link = await ThreadedLink.start(new URL(server.endpoint));
  const options = { ...server.mountOptions, 'alluxio.underfs.s3.endpoint': link.endpoint };
  try {
    await fill(server, rounds);
    const alluxio = await startStandaloneProcess({
      workDir: join(dir, 'work'),
      definitions: ['alluxio.worker.page.store.sizes=2GB'],
      mount: { path: '/cold', ufsUri: `s3://${bucket}/`, options },
    });
    try {
      const bench = {
        link,
        alluxio,
        rounds,
        direct: directSource(options),
        cached: cachedSource(alluxio.s3),
      };
      const text = await report(bench, only);
      process.stdout.write(text);
      if (write && only === undefined) writeFileSync(new URL('RESULTS-cold.md', import.meta.url), text);
    } finally {
      await alluxio.stop();
    }
  } finally {
    await link.stop();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function fill(server: S3Server, rounds: number): Promise<void> {
  await server.createBucket(bucket);
  const registry = createUfsRegistry({
    clock: systemClock,
    random: systemRandom,
    localAllowedRoots: [],
    environment: {},
  });
  const ufs = registry.open(parseMountUri(`s3://${bucket}`), server.mountOptions);
  try {
    await ufs.write('sequential', systemRandom.bytes(sequentialBytes));
    await ufs.write('deep', systemRandom.bytes(deepBytes));
    for (let index = 0; index < 2 * smallPerRound * rounds; index++) {
      await ufs.write(`small/${index}`, systemRandom.bytes(smallBytes));
    }
    for (let index = 0; index < warmCount; index++) {
      await ufs.write(`warm/${index}`, systemRandom.bytes(smallBytes));
    }
  } finally {
    await ufs.close();
  }
}

/** Straight from the storage, with signed requests. */
function directSource(options: Readonly<Record<string, string>>): Source {
  const uri = parseMountUri(`s3://${bucket}`);
  const target = s3UfsOptions({ uri, options, environment: {}, check: true });
  if (target.credentials.kind !== 'keys') throw new Error('the server of a test has keys');
  const { accessKeyId, secretAccessKey } = target.credentials;
  const keys = { accessKeyId, secretAccessKey };
  const signer = new S3Signer({ target, credentials: async () => keys, now: () => systemClock.now() });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    get: async (key, range) => {
      const signed = await signer.sign({ method: 'GET', key, headers: rangeHeaders(range) });
      return timedGet(target.origin + signed.path, signed.headers, agent);
    },
  };
}

function cachedSource(s3: string): Source {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return { get: (key, range) => timedGet(`${s3}/cold/${key}`, rangeHeaders(range), agent) };
}

function rangeHeaders(range?: { readonly from: number; readonly to: number }): Record<string, string> {
  return range ? { range: `bytes=${range.from}-${range.to - 1}` } : {};
}

async function timedGet(url: string, headers: Record<string, string>, agent: Agent): Promise<number> {
  const beginMs = performance.now();
  const asked = request(url, { headers, agent }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
  if (response.statusCode !== 200 && response.statusCode !== 206) {
    throw new Error(`${url}: status ${response.statusCode}`);
  }
  return performance.now() - beginMs;
}

async function report(bench: Bench, only: string | undefined): Promise<string> {
  const parts: readonly (readonly [name: (typeof partNames)[number], run: () => Promise<string>])[] = [
    [
      'sequential',
      () =>
        sequential(bench, 'all connections together 100 MB/s, 5 ms each way', {
          latencyMs: 5,
          bytesPerSecond: 100e6,
          connectionBytesPerSecond: noLimit,
        }),
    ],
    [
      'sequential',
      () =>
        sequential(bench, 'each connection 20 MB/s, 5 ms each way', {
          latencyMs: 5,
          bytesPerSecond: noLimit,
          connectionBytesPerSecond: 20e6,
        }),
    ],
    ['deep', () => deep(bench)],
    ['small', () => small(bench)],
  ];
  const sections: string[] = [];
  for (const [name, run] of parts) if (only === undefined || only === name) sections.push(await run());
  const [load = 0] = loadavg();
  return `# Cold reads

\`npm run bench:cold\`: a real S3 server (SeaweedFS) behind a link of the named shape, a fresh \`alluxio standalone\` with its defaults, and one client for both. ${bench.rounds} rounds; medians
(least–most). Ratios are taken within a round. All of it shared two cores with other work: load average ${load.toFixed(1)} at the end, ${new Date().toISOString().slice(0, 10)}. On a busy machine the link gives less than its shape says, and single times say little:
read the ratios, and the least of the times.

${sections.join('\n')}`;
}

/** One after the other within a round, the cache emptied before its turns. */
async function sequential(bench: Bench, name: string, shape: LinkShape): Promise<string> {
  const { alluxio, cached, direct, link, rounds } = bench;
  await link.set(shape);
  const whole = { direct: [] as number[], cached: [] as number[] };
  const steps = { direct: [] as number[], cached: [] as number[] };
  const ufsBytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    whole.direct.push(await direct.get('sequential'));
    await alluxio.client.formatCache();
    const before = await link.receivedBytes();
    whole.cached.push(await cached.get('sequential'));
    ufsBytes.push((await link.receivedBytes()) - before);
    steps.direct.push(await inSteps(direct));
    await alluxio.client.formatCache();
    steps.cached.push(await inSteps(cached));
    process.stderr.write(`${name}: round ${round + 1} of ${rounds}\n`);
  }
  return `## 256 MiB in order: ${name}

| request | direct s | cold s | cold ÷ direct |
|---|---|---|---|
| one GET | ${seconds(whole.direct)} | ${seconds(whole.cached)} | ${ratios(whole)} |
| GETs of 4 MiB, one after the other | ${seconds(steps.direct)} | ${seconds(steps.cached)} | ${ratios(steps)} |

The storage gave ${Math.max(...ufsBytes) / MIB < 257 ? 'each byte once' : `${Math.round(Math.max(...ufsBytes) / MIB)} MiB`}.
`;
}

async function inSteps(source: Source): Promise<number> {
  const beginMs = performance.now();
  for (let from = 0; from < sequentialBytes; from += stepBytes) {
    await source.get('sequential', { from, to: from + stepBytes });
  }
  return performance.now() - beginMs;
}

async function deep({ alluxio, cached, direct, link, rounds }: Bench): Promise<string> {
  await link.set({ latencyMs: 1, bytesPerSecond: 50e6, connectionBytesPerSecond: noLimit });
  const range = { from: deepOffset, to: deepOffset + 100 };
  const times = { direct: [] as number[], unknown: [] as number[], known: [] as number[] };
  let ufsBytesMax = 0;
  for (let read = 0; read < rounds * 6; read++) {
    times.direct.push(await direct.get('deep', range));
    await alluxio.client.formatCache();
    const before = await link.receivedBytes();
    times.unknown.push(await cached.get('deep', range));
    ufsBytesMax = Math.max(ufsBytesMax, (await settledBytes(link)) - before);
    await alluxio.client.formatCache();
    // A look at the file first, as clients have that list or ask for sizes.
    await cached.get('deep', { from: 0, to: 1 });
    await settledBytes(link);
    times.known.push(await cached.get('deep', range));
    await settledBytes(link);
  }
  return `## 100 bytes at 50.9 MiB of 64 MiB: all connections together 50 MB/s, 1 ms each way

| way | p50 ms (least–most) |
|---|---|
| direct | ${spread(times.direct, 1)} |
| cold, nothing known of the file | ${spread(times.unknown, 1)} |
| cold, the file known | ${spread(times.known, 1)} |

The storage gave ${(ufsBytesMax / MIB).toFixed(2)} MiB at most, heads included: one page.
`;
}

/** When nothing has come for a fifth of a second. */
async function settledBytes(link: ThreadedLink): Promise<number> {
  let bytes = await link.receivedBytes();
  for (;;) {
    await systemClock.sleep(200);
    const now = await link.receivedBytes();
    if (now === bytes) return now;
    bytes = now;
  }
}

/** A process that has just started, and one that has fetched thousands of objects. */
async function small(bench: Bench): Promise<string> {
  const { alluxio, link, rounds } = bench;
  await link.set({ latencyMs: 10, bytesPerSecond: noLimit, connectionBytesPerSecond: noLimit });
  await alluxio.client.formatCache();
  const count = smallPerRound * rounds;
  const atFirst = await smallTimes(bench, 0, count);
  await warm(alluxio.s3);
  const later = await smallTimes(bench, count, count);
  return `## Objects of 100 KiB: 10 ms each way

| way | p50 ms (least–most) | over direct, p50 ms | after ${warmCount} of them, p50 ms | over direct, p50 ms |
|---|---|---|---|---|
${(['direct', 'unknown', 'known'] as const)
  .map((way) => {
    const cells = [atFirst, later].flatMap((times) => {
      const over = median(times[way]) - median(times.direct);
      return [spread(times[way], 1), way === 'direct' ? '' : over.toFixed(1)];
    });
    return `| ${wayNames[way]} | ${cells.join(' | ')} |`;
  })
  .join('\n')}
`;
}

/** Of the three ways, in turns; a file becomes known by a HEAD some reads before. */
async function smallTimes(
  { alluxio, cached, direct }: Bench,
  from: number,
  count: number,
): Promise<Record<keyof typeof wayNames, number[]>> {
  const times = { direct: [] as number[], unknown: [] as number[], known: [] as number[] };
  const keyOf = (index: number): string => `small/${from + index}`;
  // The others are those that become known.
  const unknownCount = count / 2;
  for (let index = unknownCount; index < count; index++) await head(`${alluxio.s3}/cold/${keyOf(index)}`);
  for (let index = 0; index < unknownCount; index++) {
    times.direct.push(await direct.get(keyOf(index)));
    times.unknown.push(await cached.get(keyOf(index)));
    times.known.push(await cached.get(keyOf(unknownCount + index)));
  }
  return times;
}

async function warm(s3: string): Promise<void> {
  let next = 0;
  const read = async (): Promise<void> => {
    const source = cachedSource(s3);
    for (let index = next++; index < warmCount; index = next++) await source.get(`warm/${index}`);
  };
  await Promise.all(Array.from({ length: warmConnectionCount }, read));
}

async function head(url: string): Promise<void> {
  const asked = request(url, { method: 'HEAD' }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  await once(response, 'end');
}

function seconds(times: readonly number[]): string {
  return spread(
    times.map((ms) => ms / 1000),
    2,
  );
}

function ratios({ cached, direct }: { cached: readonly number[]; direct: readonly number[] }): string {
  return spread(
    cached.map((ms, round) => ms / (direct[round] ?? Number.NaN)),
    2,
  );
}

function spread(values: readonly number[], digits: number): string {
  const text = (value: number): string => value.toFixed(digits);
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}
