/** How files are shown: the line of `fs ls` and the fields of `fs stat`, both in the form of Alluxio. Times are UTC. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { fileIdOf, pageCountOf } from '@alluxio-ts/common/page';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatSize } from '@alluxio-ts/common/units';
import { printable } from './printable.ts';
import type { Structured } from './structured-text.ts';
import { fitted, widthOf } from './table.ts';

export const timestampNames = ['createdTime', 'lastAccessTime', 'lastModifiedTime'] as const;
export type TimestampName = (typeof timestampNames)[number];

export interface LineOptions {
  readonly isHumanReadable: boolean;
  readonly timestamp: TimestampName;
}

/**
 * `-rwx------     6912251 02-25-2024 21:22:15:742 FILE /data/a.csv`, `drwx------          0                 01-01-1970 00:00:00:000  DIR /data/x`.
 * That the columns of the two do not meet is Alluxio's way. Owner and group are there where the storage has them.
 */
export function formatLine(file: FileInfo, options: LineOptions): string {
  const isDirectory = file.mType === 'directory';
  const size = options.isHumanReadable ? formatSize(file.mLength) : String(file.mLength);
  const owners = file.mOwner === '' ? '' : ` ${file.mOwner.padEnd(14)} ${file.mGroup.padEnd(14)}`;
  return [
    formatMode(file),
    owners,
    size.padStart(isDirectory ? 11 : 12),
    isDirectory ? ' '.repeat(16) : '',
    formatTime(timeOf(file, options.timestamp)).padStart(24),
    (isDirectory ? 'DIR' : 'FILE').padStart(5),
    ` ${printable(file.mPath)}`,
  ].join('');
}

/** The same for a person at a terminal: one column under the other, the path cut so that the line does not wrap. */
export function formatRow(file: FileInfo, options: LineOptions, columns: number): string {
  const size = options.isHumanReadable ? formatSize(file.mLength) : String(file.mLength);
  const owners = file.mOwner === '' ? '' : ` ${file.mOwner.padEnd(14)} ${file.mGroup.padEnd(14)}`;
  const kind = file.mType === 'directory' ? ' DIR' : 'FILE';
  const time = formatTime(timeOf(file, options.timestamp));
  const start = `${formatMode(file)}${owners} ${size.padStart(12)} ${time} ${kind} `;
  return start + fitted(printable(file.mPath), Math.max(1, columns - widthOf(start)));
}

/** The fields of a file as `--json` gives them; a directory has no size and no time, and what is cached is there where it was asked for. */
export function fileData(file: FileInfo): { readonly [name: string]: Structured } {
  const isFile = file.mType === 'file';
  return {
    path: file.mPath,
    name: file.mName,
    kind: file.mType,
    ufsPath: file.mUfsPath,
    sizeBytes: isFile ? file.mLength : null,
    modified: isFile ? new Date(Math.round(file.mLastModificationTimeMs)).toISOString() : null,
    mode: formatMode(file),
    owner: file.mOwner,
    group: file.mGroup,
    ...(file.mInAlluxioBytes === undefined ? {} : cachedData(file)),
  };
}

export function cachedData({ mInAlluxioBytes, mInAlluxioPercentage }: FileInfo): {
  readonly cachedBytes: number;
  readonly cachedPercent: number;
} {
  return { cachedBytes: mInAlluxioBytes ?? 0, cachedPercent: mInAlluxioPercentage };
}

function timeOf(file: FileInfo, name: TimestampName): number {
  switch (name) {
    case 'createdTime':
      return file.mCreationTimeMs;
    case 'lastAccessTime':
      return file.mLastAccessTimeMs;
    case 'lastModifiedTime':
      return file.mLastModificationTimeMs;
    default:
      return name satisfies never;
  }
}

/** `MM-DD-YYYY HH:MM:SS:mmm`. */
export function formatTime(ms: number): string {
  const [date = '', time = ''] = new Date(Math.round(ms)).toISOString().split('T');
  const [year, month, day] = date.split('-');
  return `${month}-${day}-${year} ${time.slice(0, 8)}:${time.slice(9, 12)}`;
}

/** `drwxr-x---`. */
export function formatMode({ mType, mMode }: FileInfo): string {
  const bits = Array.from({ length: 9 }, (_, index) =>
    (mMode >> (8 - index)) & 1 ? 'rwx'.charAt(index % 3) : '-',
  );
  return `${mType === 'directory' ? 'd' : '-'}${bits.join('')}`;
}

const notApplicable = 'NA';

/** What each letter behind a percent sign stands for. */
const fields: Readonly<Record<string, (file: FileInfo, pageSizeBytes: number) => string>> = {
  N: (file) => file.mName,
  z: (file) => (file.mType === 'directory' ? notApplicable : String(file.mLength)),
  u: (file) => file.mOwner,
  g: (file) => file.mGroup,
  i: (file) => fileIdOf(file.mUfsPath),
  y: (file) =>
    new Date(Math.round(file.mLastModificationTimeMs)).toISOString().slice(0, 19).replace('T', ' '),
  Y: (file) => String(Math.round(file.mLastModificationTimeMs)),
  b: (file, pageSizeBytes) =>
    file.mType === 'directory' ? notApplicable : String(pageCountOf(file.mLength, pageSizeBytes)),
};

/** `%N %z` filled in. Fails with InvalidArgument for a letter that stands for nothing. */
export function formatStat(format: string, file: FileInfo, pageSizeBytes: number): string {
  return format.replaceAll(/%(.?)/gs, (_, letter: string) => {
    if (letter === '%') return '%';
    const field = fields[letter];
    if (field) return printable(field(file, pageSizeBytes));
    const known = Object.keys(fields).map((each) => `%${each}`);
    throw new AlluxioError(
      'InvalidArgument',
      `the format has "%${letter}"; it may have ${known.join(' ')}, and %% for a percent sign`,
    );
  });
}

/** What `fs stat --json` gives. */
export function describedData(file: FileInfo, pageSizeBytes: number): Structured {
  if (file.mType === 'directory') return fileData(file);
  return {
    ...fileData(file),
    fileId: fileIdOf(file.mUfsPath),
    pageCount: pageCountOf(file.mLength, pageSizeBytes),
    pageSizeBytes,
  };
}

/** What `fs stat` prints without a format. */
export function describeFile(file: FileInfo, pageSizeBytes: number): string {
  const path = printable(file.mPath);
  if (file.mType === 'directory') {
    return `${path} is a directory.\nufsPath: ${printable(file.mUfsPath)}\nmode: ${formatMode(file)}\n`;
  }
  return `${path} is a file.
ufsPath: ${printable(file.mUfsPath)}
fileId: ${fileIdOf(file.mUfsPath)}
size: ${file.mLength} (${formatSize(file.mLength)})
modified: ${formatTime(file.mLastModificationTimeMs)}
mode: ${formatMode(file)}
pages: ${pageCountOf(file.mLength, pageSizeBytes)} of ${formatSize(pageSizeBytes)}
cached: ${file.mInAlluxioPercentage}%
`;
}
