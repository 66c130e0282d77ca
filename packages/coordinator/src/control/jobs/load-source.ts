/** The files of a job, in an order that stays: those below its paths as the storages list them, or those that its index names. */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Job, JobCursor } from '@alluxio-ts/common/protocol/jobs';
import { compilePattern } from '@alluxio-ts/common/protocol/rules';
import { MIB } from '@alluxio-ts/common/units';
import { ufsPathOf } from '@alluxio-ts/common/ufs-path';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { MountedPath, MountedPaths } from './mounted-paths.ts';

export interface LoadItem {
  readonly ufsPath: string;
  /** As listed; undefined for a file of an index, which nobody has looked at. */
  readonly sizeBytes: number | undefined;
  readonly version: string | undefined;
  /** Behind it. */
  readonly cursor: JobCursor;
  /** On the monotonic clock: it was not listed before this. */
  readonly listedAtMs: number;
}

export interface LoadSourceOptions {
  readonly mounted: MountedPaths;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

const indexPieceBytes = MIB;
const indexLineMaxBytes = 64 * 1024;

/** From the cursor on, as many at a time as the storage gives. Fails with what a storage fails with, with MountNotFound, and with FileNotFound for a path below which nothing is. */
export async function* loadPagesOf(
  job: Job,
  cursor: JobCursor,
  options: LoadSourceOptions,
): AsyncGenerator<readonly LoadItem[]> {
  const { fileFilterRegex } = job.options;
  const leftOut = fileFilterRegex === undefined ? undefined : compilePattern(fileFilterRegex);
  const pages =
    job.index === undefined
      ? listedPages(job.paths, cursor, options)
      : indexPages(job.index, cursor, options);
  for await (const page of pages) {
    const wanted = leftOut ? page.filter(({ ufsPath }) => !leftOut.test(ufsPath)) : page;
    if (wanted.length > 0) yield wanted;
  }
}

async function* listedPages(
  paths: readonly string[],
  cursor: JobCursor,
  { clock, mounted, signal }: LoadSourceOptions,
): AsyncGenerator<readonly LoadItem[]> {
  for (let source = cursor.source; source < paths.length; source++) {
    const path = paths[source] ?? '';
    const place = await mounted.find(path, { signal });
    const after = source === cursor.source ? cursor.after : undefined;
    let isEmpty = after === undefined;
    // Nothing of a page was asked for before the page was.
    let listedAtMs = clock.monotonic();
    for await (const files of filesBelow(place, after, signal)) {
      isEmpty &&= files.length === 0;
      // A marker of a directory has no bytes and no readers.
      const kept = files.filter(({ key }) => !key.endsWith('/'));
      yield kept.map(({ key, sizeBytes, version }) => ({
        ufsPath: ufsPathOf(place.uri, key),
        sizeBytes,
        version,
        listedAtMs,
        cursor: { pass: cursor.pass, source, after: key },
      }));
      listedAtMs = clock.monotonic();
    }
    if (isEmpty && place.key !== '') {
      throw new AlluxioError(
        'FileNotFound',
        `there is no file and no directory ${path} in the under storage`,
      );
    }
  }
}

/** The file of that name, and what lies below the directory of that name. */
async function* filesBelow(
  { key, ufs }: MountedPath,
  after: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<readonly FileStatus[]> {
  const isFileWanted = key !== '' && !key.endsWith('/') && after === undefined;
  const file = isFileWanted ? await ufs.stat(key, { signal }) : undefined;
  if (file) yield [file];
  const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
  const listing = ufs.list({ prefix, signal, ...(after === undefined ? {} : { startAfter: after }) });
  for await (const page of listing) {
    yield page.flatMap((entry) => (entry.kind === 'file' ? [entry.file] : []));
  }
}

/** One path on each line, of the under storage or of the namespace; empty lines count for nothing. */
async function* indexPages(
  index: string,
  cursor: JobCursor,
  { clock, mounted, signal }: LoadSourceOptions,
): AsyncGenerator<readonly LoadItem[]> {
  const place = await mounted.find(index, { signal });
  const file = await place.ufs.stat(place.key, { signal });
  if (!file) throw new AlluxioError('FileNotFound', `there is no index file ${index}`);
  let offset = Number(cursor.after ?? 0);
  for await (const line of linesOf(place, file, offset, signal)) {
    offset += line.sizeBytes;
    const text = line.text.trim();
    if (text === '') continue;
    const named = await mounted.find(text, { signal });
    const item: LoadItem = {
      ufsPath: ufsPathOf(named.uri, named.key),
      sizeBytes: undefined,
      version: undefined,
      listedAtMs: clock.monotonic(),
      cursor: { pass: cursor.pass, source: 0, after: String(offset) },
    };
    yield [item];
  }
}

async function* linesOf(
  { key, ufs }: MountedPath,
  file: FileStatus,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<{ readonly text: string; readonly sizeBytes: number }> {
  let rest = Buffer.alloc(0);
  for (let offset = from; offset < file.sizeBytes; offset += indexPieceBytes) {
    const lengthBytes = Math.min(indexPieceBytes, file.sizeBytes - offset);
    const { version } = file;
    const { body } = await ufs.read(key, {
      offset,
      lengthBytes,
      signal,
      ...(version === undefined ? {} : { version }),
    });
    const chunks: Buffer[] = [rest];
    // Valid until the next one is asked for.
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
    const bytes = Buffer.concat(chunks);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      yield { text: bytes.toString('utf8', start, end), sizeBytes: end + 1 - start };
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > indexLineMaxBytes) {
      throw new AlluxioError(
        'InvalidArgument',
        `the index ${key} has a line of more than ${indexLineMaxBytes} bytes`,
      );
    }
  }
  if (rest.length > 0) yield { text: rest.toString('utf8'), sizeBytes: rest.length };
}
