/** What the commands of `alluxio fs` do, but for the listing. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReadFileOptions } from '@alluxio-ts/common/client/worker-client';
import { systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import { formatSize } from '@alluxio-ts/common/units';
import { absolutePath } from '@alluxio-ts/common/value-reference';
import { checkCached, type CheckOptions } from './cached-report.ts';
import { type WorkerConnection, withWorker } from './connections.ts';
import { ExitStatus, type ProgramOptions } from './context.ts';
import { describeFile, formatStat, printable } from './file-format.ts';
import { LineBatch } from './line-batch.ts';
import { copyToLocal } from './local-copy.ts';
import type { OnlineWorkers } from './online-workers.ts';
import { onPath, unlessMissing } from './path-failures.ts';

/** The page size of a worker that has not told its own: Alluxio's. */
const pageSizeUnknownBytes = 4 * 1024 * 1024;

export async function showStat(
  context: ProgramOptions,
  path: string | undefined,
  format: string | undefined,
): Promise<void> {
  if (path === undefined)
    throw new AlluxioError('InvalidArgument', 'give the path, as in "alluxio fs stat /s3/a"');
  await withWorker(context, ({ worker, view }) =>
    onPath(path, async () => {
      const file = await worker.stat(path);
      const pageSizeBytes = view.stats?.pageSizeBytes ?? pageSizeUnknownBytes;
      context.stdout.write(
        format === undefined
          ? describeFile(file, pageSizeBytes)
          : `${formatStat(format, file, pageSizeBytes)}\n`,
      );
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

export async function location(context: ProgramOptions, path: string): Promise<void> {
  await withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const owner = await worker.ownerOf(await statFile(worker, path));
      context.stdout.write(`${owner.Host}:${owner.HttpServerPort}\n`);
    }),
  );
}

export async function checkCachedShares(
  context: ProgramOptions,
  path: string,
  options: CheckOptions,
): Promise<void> {
  await withWorker(context, ({ worker }) =>
    onPath(path, async () => {
      const lines = new LineBatch(context);
      for (const line of await checkCached(worker, path, options)) await lines.add(line);
      await lines.flush();
    }),
  );
}

export interface TestFlags {
  readonly d?: true;
  readonly e?: true;
  readonly f?: true;
  readonly s?: true;
  readonly z?: true;
}

export async function test(context: ProgramOptions, path: string, flags: TestFlags): Promise<void> {
  if (Object.keys(flags).length === 0) {
    throw new AlluxioError('InvalidArgument', 'say what to test: one or more of -d -e -f -s -z');
  }
  const file = await withWorker(context, ({ worker }) =>
    onPath(path, () => unlessMissing(() => worker.stat(path))),
  );
  if (!file || !holds(file, flags)) throw new ExitStatus(1);
}

function holds(file: FileInfo, flags: TestFlags): boolean {
  const isFile = file.mType === 'file';
  if (flags.d && isFile) return false;
  if (flags.f && !isFile) return false;
  if (flags.s && isFile && file.mLength === 0) return false;
  return !flags.z || (isFile && file.mLength === 0);
}

export interface CopyFlags {
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
      onCopied: (file, local) => lines.add(`Copied ${printable(file.mPath)} to ${printable(local)}`),
    });
    if (source.mType === 'directory') {
      await lines.add(`Copied ${copied.fileCount} files, ${formatSize(copied.bytes)}`);
    }
    await lines.flush();
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
