/** Sizes and durations as people write them in a properties file: `4MB`, `1GB`, `60s`, `1h`. Sizes are binary. */

import { AlluxioError } from './errors.ts';

export const KIB = 1024;
export const MIB = 1024 * KIB;
export const GIB = 1024 * MIB;
export const TIB = 1024 * GIB;

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: KIB,
  kb: KIB,
  ki: KIB,
  kib: KIB,
  m: MIB,
  mb: MIB,
  mi: MIB,
  mib: MIB,
  g: GIB,
  gb: GIB,
  gi: GIB,
  gib: GIB,
  t: TIB,
  tb: TIB,
  ti: TIB,
  tib: TIB,
};

const durationUnits: Readonly<Record<string, number>> = {
  '': 1,
  ms: 1,
  millisecond: 1,
  s: 1000,
  sec: 1000,
  second: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hr: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
};

/** Bytes; throws InvalidOptions with the text that was not understood. */
export function parseSize(text: string): number {
  return Math.floor(parseWithUnit(text, sizeUnits, 'a size such as 4MB or 100Gi'));
}

/** Milliseconds; throws InvalidOptions with the text that was not understood. */
export function parseDuration(text: string): number {
  return Math.round(parseWithUnit(text, durationUnits, 'a duration such as 500ms, 60s or 1h'));
}

function parseWithUnit(text: string, units: Readonly<Record<string, number>>, wanted: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const factor = units[(match?.[2] ?? '?').toLowerCase()];
  if (!match?.[1] || factor === undefined) {
    throw new AlluxioError('InvalidOptions', `"${text}" is not ${wanted}`);
  }
  return Number(match[1]) * factor;
}

/** As in `1 file` and `2 files`; the noun in the singular. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `0B`, `75.72KB`, `4.00MB`: the form in which Alluxio prints a size (binary units, two decimals). */
export function formatSize(bytes: number): string {
  const names = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < names.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value}B` : `${value.toFixed(2)}${names[unit]}`;
}

export function formatDuration(ms: number): string {
  for (const [unit, factor] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return `${ms}ms`;
}
