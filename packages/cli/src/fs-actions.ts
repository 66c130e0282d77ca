/** What the commands of `alluxio fs` do, but for the listing. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReadFileOptions } from '@alluxio-ts/common/client/worker-client';
import { systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { hostAndPortOf } from '@alluxio-ts/common/protocol/worker-address';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatCount, formatSize } from '@alluxio-ts/common/units';
import { absolutePath } from '@alluxio-ts/common/value-reference';
import { checkCached, type CheckOptions, reportData, reportText } from './cached-report.ts';
import { type WorkerConnection, withWorker } from './connections.ts';
import { ExitStatus, type ProgramOptions } from './context.ts';
import { type JsonFlag, print } from './answer.ts';
import { describedData, describeFile, formatStat } from './file-format.ts';
import { printable } from './printable.ts';
import { LineBatch } from './line-batch.ts';
import { copyToLocal } from './local-copy.ts';
import type { OnlineWorkers } from './online-workers.ts';
import { onPath, unlessMissing } from './path-failures.ts';

/** The page size of a worker that has not told its own: Alluxio's. */
const pageSizeUnknownBytes = 4 * 1024 * 1024;

export interface StatFlags extends JsonFlag {
  readonly format?: string;
}

export async function showStat(
  context: ProgramOptions,
  path: string | undefined,
  flags: StatFlags,
): Promise<void> {
  if (path === undefined)
    throw new AlluxioError('InvalidArgument', 'give the path, as in "alluxio fs stat /s3/a"');
  await withWorker(context, ({ worker, view }) =>
    onPath(path, async () => {
      const file = await worker.stat(path);
      const pageSizeBytes = view.stats?.pageSizeBytes ?? pageSizeUnknownBytes;
      const { format } = flags;
      await print(context, flags, {
        data: describedData(file, pageSizeBytes),
        text:
          format === undefined
            ? describeFile(file, pageSizeBytes)
            : `${formatStat(format, file, pageSizeBytes)}\n`,
      });
    }),
  );
}

export function cat(context: ProgramOptions, path: string): Promise<void> {
  return writeFile(context, path, {});
}

export function headOrTail(
  context: ProgramOptions,
  kind: 'head' | 'tail',
  path: string,
  lengthBytes: number,
): Promise<void> {
  return writeFile(context, path, { part: { kind, lengthBytes } });
}

/** One chunk is under way at a time: the next is asked for when the reader has taken it. */
function writeFile(context: ProgramOptions, path: string, options: ReadFileOptions): Promise<void> {
  return withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const file = await statFile(worker, path);
      for await (const chunk of worker.read(file, options)) await context.writeOut(chunk);
    }),
  );
}

async function statFile(worker: OnlineWorkers, path: string): Promise<FileInfo> {
  const found = await worker.stat(path);
  if (found.mType === 'file') return found;
  throw new AlluxioError(
    'InvalidArgument',
    `${path} is a directory; name a file, "alluxio fs ls ${path}" shows them`,
  );
}

export async function location(context: ProgramOptions, path: string, flags: JsonFlag): Promise<void> {
  await withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const file = await statFile(worker, path);
      const address = hostAndPortOf(await worker.ownerOf(file));
      await print(context, flags, { data: { path: file.mPath, address }, text: `${address}\n` });
    }),
  );
}

export async function checkCachedShares(
  context: ProgramOptions,
  path: string,
  flags: CheckOptions & JsonFlag,
): Promise<void> {
  await withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const report = await checkCached(worker, path, flags);
      await print(context, flags, {
        data: reportData(report),
        text: reportText(report, context.outColumns),
      });
    }),
  );
}

export interface TestFlags extends JsonFlag {
  readonly d?: true;
  readonly e?: true;
  readonly f?: true;
  readonly s?: true;
  readonly z?: true;
}

export async function test(context: ProgramOptions, path: string, flags: TestFlags): Promise<void> {
  const { json, ...asked } = flags;
  if (Object.keys(asked).length === 0) {
    throw new AlluxioError('InvalidArgument', 'say what to test: one or more of -d -e -f -s -z');
  }
  const file = await withWorker(context, ({ worker }) =>
    onPath(path, () => unlessMissing(() => worker.stat(path))),
  );
  const isSo = file !== undefined && holds(file, flags);
  if (json) await print(context, flags, { data: { path, holds: isSo }, text: '' });
  if (!isSo) throw new ExitStatus(1);
}

function holds(file: FileInfo, flags: TestFlags): boolean {
  const isFile = file.mType === 'file';
  if (flags.d && isFile) return false;
  if (flags.f && !isFile) return false;
  if (flags.s && isFile && file.mLength === 0) return false;
  return !flags.z || (isFile && file.mLength === 0);
}

export interface CopyFlags extends JsonFlag {
  readonly recursive?: true;
  readonly preserve?: true;
  readonly thread: number;
}

export async function copy(
  context: ProgramOptions,
  paths: { readonly source: string; readonly target: string },
  flags: CopyFlags,
): Promise<void> {
  const stopped = new AbortController();
  void context.stopSignal().then((name) => {
    stopped.abort(new AlluxioError('Unreachable', `stopped by ${name}; the files that were copied stay`));
  });
  await withWorker(context, async (connection) => {
    const target = await localTarget(context, connection, paths.target);
    const { worker } = connection;
    const source = await onPath(paths.source, () => worker.stat(paths.source));
    const lines = new LineBatch(context);
    const copied = await copyToLocal(worker, source, target, {
      isRecursive: flags.recursive === true,
      preservesTimes: flags.preserve === true,
      threads: flags.thread,
      random: systemRandom,
      signal: stopped.signal,
      onCopied: async (file, local) => {
        if (!flags.json) await lines.add(`Copied ${printable(file.mPath)} to ${printable(local)}`);
      },
    });
    const { fileCount, bytes } = copied;
    await lines.flush();
    await print(context, flags, {
      data: { source: source.mPath, target, fileCount, bytes },
      text:
        source.mType === 'directory'
          ? `Copied ${formatCount(fileCount, 'file')}, ${formatSize(bytes)}\n`
          : '',
    });
  });
}

/** A target below a mount is taken for a mistake: the namespace takes no writes, and a local path would seldom begin so. */
async function localTarget(
  context: ProgramOptions,
  { coordinator }: WorkerConnection,
  target: string,
): Promise<string> {
  if (target.startsWith('file://')) return localPathOf(target);
  const mounts = target.startsWith('/') ? await coordinator.listMounts() : [];
  const mount = mounts.find(({ path }) => target === path || target.startsWith(`${path}/`));
  if (mount || /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(target)) {
    const where = mount ? `lies in the mount ${mount.path}` : 'is not a local path';
    throw new AlluxioError(
      'NotImplemented',
      `${target} ${where}, and writing through the cache is not offered; copy to a local path, or to file://${resolve('/', target)} if that is meant`,
    );
  }
  return absolutePath(target, context.workingDir, context);
}

function localPathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (thrown) {
    throw new AlluxioError('InvalidArgument', `${url} is not a local path; write file:///directory/name`, {
      cause: thrown,
    });
  }
}
