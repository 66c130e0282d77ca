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

/** The better of the nginx configurations is what the ratios are to. */
export const baselinePrefix = 'nginx';

export function workloadTable(workload: Workload, all: readonly Measurement[]): string {
  const measured = all.filter((one) => one.workload === workload.name);
  const servers = [...new Set(measured.map((one) => one.server))];
  const baseline = bestBaseline(servers, measured);
  const rows = servers.map((server) => {
    const own = measured.filter((one) => one.server === server);
    const ratios = own.flatMap((one) => {
      const base = measured.find((other) => other.server === baseline && other.round === one.round);
      return base ? [cpuPerGib(base) / cpuPerGib(one)] : [];
    });
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
  return [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function bestBaseline(servers: readonly string[], measured: readonly Measurement[]): string | undefined {
  const cost = (server: string): number =>
    median(measured.filter((one) => one.server === server).map(cpuPerGib));
  return servers
    .filter((server) => server.startsWith(baselinePrefix))
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
