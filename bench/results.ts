/** What the rounds gave, as tables: medians with the least and the most, ratios within a round. */

import { GIB } from '@alluxio-ts/common/units';
import type { LoadResult } from './load-generator.ts';
import type { Workload } from './workloads.ts';

/** One run of one workload against one server. */
export interface Measurement {
  readonly workload: Workload['name'];
  readonly server: string;
  readonly round: number;
  readonly serverCpuSeconds: number;
  readonly load: LoadResult;
  /** Cores' worth of time that neither the server nor the load generator took. */
  readonly othersCores: number;
}

const columns = [
  'server',
  'CPU-s/GiB',
  'CPU µs/request',
  'CPU efficiency × nginx',
  'requests/s',
  'GiB/s',
  'p50 µs',
  'p99 µs',
  "load generator's core",
] as const;

/** What keeps the files itself, or passes them on: the better configuration of nginx is what the ratios are to. */
const baselinePattern = /^nginx($|, | proxy_pass)/;

/** What the CPU time of the peer over that of the native transport is to be, by workload. */
const targets: Readonly<Record<string, readonly (readonly [Workload['name'], number])[]>> = {
  nginx: [
    ['w1', 1.2],
    ['w2', 1.2],
    ['w3', 1.3],
    ['w4', 1],
  ],
  'nginx slice cache': [
    ['w1', 1.6],
    ['w2', 1.8],
    ['w3', 1.5],
    ['w4', 1.3],
  ],
  Varnish: [
    ['w1', 3],
    ['w2', 2.5],
    ['w3', 2.2],
    ['w4', 2],
  ],
  'rclone serve http': [
    ['w1', 10],
    ['w2', 15],
    ['w3', 6],
    ['w4', 5],
  ],
};

/** The targets beside what was measured; undefined when the native transport was not. */
export function targetTable(own: string, all: readonly Measurement[]): string | undefined {
  if (!all.some(({ server }) => server === own)) return undefined;
  const rows = Object.entries(targets).map(([peer, cells]) => [
    peer,
    ...cells.map(([workload, target]) => {
      const measured = all.filter((one) => one.workload === workload);
      const base = peer === 'nginx' ? bestBaseline(serversOf(measured), measured) : peer;
      const ratios = ratiosTo(measured, base, own);
      if (ratios.length === 0) return `not measured (≥ ${target})`;
      return `${spread(ratios, 2)}, ${median(ratios) >= target ? 'met' : 'missed'} (≥ ${target})`;
    }),
  ]);
  const head = ['versus', '4 KiB', '128 KiB', '1 MiB', '64 MiB'];
  return tableOf([head, head.map(() => '---'), ...rows]);
}

/** Latencies when requests come at a fixed rate. */
export function rateTable(all: readonly Measurement[]): string {
  const columns = ['server', 'requests/s', 'p50 µs', 'p99 µs', 'CPU µs/request'];
  const rows = serversOf(all).map((server) => {
    const own = all.filter((one) => one.server === server);
    return [
      server,
      spread(
        own.map(({ load }) => load.requests / load.wallSeconds),
        0,
      ),
      spread(
        own.map(({ load }) => load.p50Us),
        0,
      ),
      spread(
        own.map(({ load }) => load.p99Us),
        0,
      ),
      spread(own.map(cpuUsPerRequest), 1),
    ];
  });
  return tableOf([columns, columns.map(() => '---'), ...rows]);
}

/** Half of what the better nginx answered a second. */
export function halfRate(workload: Workload, all: readonly Measurement[]): number {
  const measured = all.filter((one) => one.workload === workload.name);
  const base = bestBaseline(serversOf(measured), measured);
  return requestRateOf(base, measured) / 2;
}

/** Requests a second, the median. */
export function requestRateOf(server: string | undefined, measured: readonly Measurement[]): number {
  const own = measured.filter((one) => one.server === server);
  return median(own.map(({ load }) => load.requests / load.wallSeconds));
}

function serversOf(measured: readonly Measurement[]): readonly string[] {
  return [...new Set(measured.map((one) => one.server))];
}

/** The peer's CPU time over that of `own`, round by round. */
function ratiosTo(
  measured: readonly Measurement[],
  peer: string | undefined,
  own: string,
): readonly number[] {
  return measured
    .filter(({ server }) => server === own)
    .flatMap((one) => {
      const base = measured.find((other) => other.server === peer && other.round === one.round);
      return base ? [cpuPerGib(base) / cpuPerGib(one)] : [];
    });
}

function tableOf(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function workloadTable(workload: Workload, all: readonly Measurement[]): string {
  const measured = all.filter((one) => one.workload === workload.name);
  const servers = serversOf(measured);
  const baseline = bestBaseline(servers, measured);
  const rows = servers.map((server) => {
    const own = measured.filter((one) => one.server === server);
    const ratios = ratiosTo(measured, baseline, server);
    return [
      server,
      spread(own.map(cpuPerGib), 3),
      spread(own.map(cpuUsPerRequest), 1),
      server === baseline ? '1' : spread(ratios, 2),
      spread(
        own.map(({ load }) => load.requests / load.wallSeconds),
        0,
      ),
      spread(
        own.map(({ load }) => load.bytes / GIB / load.wallSeconds),
        2,
      ),
      spread(
        own.map(({ load }) => load.p50Us),
        0,
      ),
      spread(
        own.map(({ load }) => load.p99Us),
        0,
      ),
      `${Math.round(100 * median(own.map(({ load }) => load.cpuSeconds / load.wallSeconds)))} %`,
    ];
  });
  return tableOf([columns, columns.map(() => '---'), ...rows]);
}

function bestBaseline(servers: readonly string[], measured: readonly Measurement[]): string | undefined {
  const cost = (server: string): number =>
    median(measured.filter((one) => one.server === server).map(cpuPerGib));
  return servers
    .filter((server) => baselinePattern.test(server))
    .toSorted((one, other) => cost(one) - cost(other))[0];
}

function cpuPerGib(one: Measurement): number {
  return one.serverCpuSeconds / (one.load.bytes / GIB);
}

function cpuUsPerRequest(one: Measurement): number {
  return (one.serverCpuSeconds * 1e6) / one.load.requests;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}

function spread(values: readonly number[], digits: number): string {
  const text = (value: number): string => value.toFixed(digits);
  if (values.length === 0) return '';
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`;
}
