/** `info report`: what the coordinator knows of its cluster, for people or in the shape of Alluxio's report. */

import type { ClusterInfo, MountView } from '@alluxio-ts/common/protocol/coordinator-api';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { formatSize } from '@alluxio-ts/common/units';
import type { Answer } from './answer.ts';
import { formatTime } from './file-format.ts';
import type { Structured } from './structured-text.ts';

/** `host` is where the command reached the coordinator. */
export function summaryAnswer(info: ClusterInfo, host: string): Answer {
  return { data: summaryData(info, host), text: summaryText(info, host) };
}

export function ufsAnswer(mounts: readonly MountView[]): Answer {
  const schemeOf = ({ ufsUri }: MountView): string => parseMountUri(ufsUri).scheme;
  const lines = mounts.map((mount) => `    ${mount.ufsUri} on ${mount.path}/ (${schemeOf(mount)})`);
  return {
    data: mounts.map((mount) => ({ ...mount, scheme: schemeOf(mount) })),
    text: ['Alluxio under storage system information:', ...lines, ''].join('\n'),
    table: {
      header: ['Path', 'UFS URI', 'Scheme'],
      rows: mounts.map((mount) => [mount.path, mount.ufsUri, schemeOf(mount)]),
    },
  };
}

/** The lines of Prometheus' text that hold a value of ours: `name{labels} value`. */
export function metricsAnswer(text: string): Answer {
  const lines = text.split('\n').filter((line) => line.startsWith('alluxio_'));
  const values = lines.map((line): readonly [string, number] => {
    const space = line.lastIndexOf(' ');
    return [line.slice(0, space), Number(line.slice(space + 1))];
  });
  return {
    data: Object.fromEntries(values),
    text: `${lines.join('\n')}\n`,
    table: { header: ['Metric', 'Value'], rows: values },
  };
}

function summaryText(info: ClusterInfo, host: string): string {
  const freeBytes = Math.max(0, info.capacityBytes - info.usedBytes);
  const rows: readonly (readonly [string, string | number])[] = [
    ['Coordinator Address', `${host}:${info.webPort}`],
    ['Version', info.version],
    ['Started', formatTime(info.startMs)],
    ['Uptime', formatUptime(info.uptimeMs)],
    ['Live Workers', info.liveWorkerCount],
    ['Lost Workers', info.lostWorkerCount],
    ['Transports', transportsText(info)],
    ['Mounts', info.mountCount],
    ['Total Capacity', formatSize(info.capacityBytes)],
    ['Used Capacity', formatSize(info.usedBytes)],
    ['Free Capacity', formatSize(freeBytes)],
    ['Cached Pages', info.pageCount],
    ['Hit Ratio', hitRatioText(info)],
  ];
  return ['Alluxio cluster summary:', ...rows.map(([name, value]) => `    ${name}: ${value}`), ''].join('\n');
}

/** Alluxio's fields, those of a journal and of RPC at rest since there is neither here, then ours. */
function summaryData(info: ClusterInfo, host: string): Structured {
  const freeBytes = Math.max(0, info.capacityBytes - info.usedBytes);
  return {
    version: info.version,
    start: `${new Date(info.startMs).toISOString().slice(0, 19)}Z`,
    rpcPort: 0,
    webPort: info.webPort,
    masterAddress: `${host}:${info.webPort}`,
    masterVersions: [{ state: 'PRIMARY', port: info.webPort, host, version: info.version }],
    safeMode: false,
    totalCapacityOnTiers: {},
    usedCapacityOnTiers: {},
    uptime: formatUptime(info.uptimeMs),
    zookeeperAddress: [],
    useZookeeper: false,
    raftJournalAddress: [],
    useRaftJournal: false,
    liveWorkers: info.liveWorkerCount,
    lostWorkers: info.lostWorkerCount,
    freeCapacity: formatShortSize(freeBytes),
    totalCapacityBytes: info.capacityBytes,
    usedCapacityBytes: info.usedBytes,
    freeCapacityBytes: freeBytes,
    cachedPages: info.pageCount,
    mounts: info.mountCount,
    hitRatio: hitRatioOf(info) ?? null,
    ...(info.transports ? { transports: { ...info.transports } } : {}),
  };
}

/** `0d 00h02m54s`. */
export function formatUptime(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (count: number): string => String(count).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  return `${Math.floor(hours / 24)}d ${two(hours % 24)}h${two(Math.floor(seconds / 60) % 60)}m${two(seconds % 60)}s`;
}

/** `1.5G`. */
export function formatShortSize(bytes: number): string {
  const units = ['', 'K', 'M', 'G', 'T', 'P'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))}${units[unit]}`;
}

function hitRatioOf({ hitBytes, missBytes }: ClusterInfo): number | undefined {
  const bytes = hitBytes + missBytes;
  return bytes === 0 ? undefined : Math.round((10_000 * hitBytes) / bytes) / 10_000;
}

function hitRatioText(info: ClusterInfo): string {
  const ratio = hitRatioOf(info);
  return ratio === undefined ? 'nothing read yet' : `${(100 * ratio).toFixed(2)}% of bytes`;
}

function transportsText({ transports }: ClusterInfo): string {
  if (!transports) return 'not told';
  const { hotpath, missing, plain } = transports;
  const counts = Object.entries({ hotpath, plain }).filter(([, count]) => count > 0);
  const text = counts.map(([kind, count]) => `${kind} ${count}`).join(', ');
  return missing === 0 ? text || 'none' : `${text} (${missing} not as configured: "alluxio info doctor")`;
}
