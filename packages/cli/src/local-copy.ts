/** `fs cp`: files of the namespace, read through the cache, into a local directory. A file appears under its name only when it is whole. */

import { mkdir, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { FileInfo } from '@alluxio-ts/common/protocol/worker-api';
import type { OnlineWorkers } from './online-workers.ts';
import { onPath } from './path-failures.ts';

export interface CopyOptions {
  readonly isRecursive: boolean;
  /** Whether a copy gets the time at which its file was changed. */
  readonly preservesTimes: boolean;
  /** How many files are copied at once. */
  readonly threads: number;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Called after each file. */
  onCopied(file: FileInfo, target: string): Promise<void>;
}

export interface Copied {
  readonly fileCount: number;
  readonly bytes: number;
}

/** `target` is a directory to copy into, or the name of the copy, as with `cp`. Stops at the first failure, and takes away what is not whole. */
export async function copyToLocal(
  worker: OnlineWorkers,
  source: FileInfo,
  target: string,
  options: CopyOptions,
): Promise<Copied> {
  const place = (await isDirectory(target)) ? join(target, localName(source.mName, source)) : target;
  if (source.mType === 'file') {
    await copyFile(worker, source, place, options);
    return { fileCount: 1, bytes: source.mLength };
  }
  if (!options.isRecursive) {
    throw new AlluxioError('InvalidArgument', `${source.mPath} is a directory; copy it with -R`);
  }
  await makeDirectory(place);
  return copyBelow(worker, source, place, options);
}

/** So many at a time take the next file of one listing. */
async function copyBelow(
  worker: OnlineWorkers,
  source: FileInfo,
  place: string,
  options: CopyOptions,
): Promise<Copied> {
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const files = worker.list(source.mPath, { isRecursive: true, signal });
  let fileCount = 0;
  let bytes = 0;
  const copyNext = async (): Promise<void> => {
    for (;;) {
      // Calls of `next` queue up in the generator, so each gives another file.
      const { done, value: file } = await files.next();
      if (done) return;
      const parts = file.mPath.slice(source.mPath.length + 1).split('/');
      const local = join(place, ...parts.map((part) => localName(part, file)));
      if (file.mType === 'directory') {
        await makeDirectory(local);
        continue;
      }
      await makeDirectory(dirname(local));
      await copyFile(worker, file, local, { ...options, signal });
      fileCount++;
      bytes += file.mLength;
    }
  };
  const running = Array.from({ length: options.threads }, () =>
    copyNext().catch((thrown: unknown) => {
      failed.abort(thrown);
      throw thrown;
    }),
  );
  await Promise.allSettled(running);
  if (failed.signal.aborted) throw failed.signal.reason;
  return { fileCount, bytes };
}

async function copyFile(
  worker: OnlineWorkers,
  file: FileInfo,
  target: string,
  options: CopyOptions,
): Promise<void> {
  if (await isDirectory(target)) {
    throw new AlluxioError(
      'AlreadyExists',
      `${target} is a directory; it is not replaced by the file ${file.mPath}`,
    );
  }
  const part = join(dirname(target), `.${options.random.uuid()}.part`);
  try {
    await onPath(file.mPath, () => fetchTo(worker, file, part, options.signal));
    if (options.preservesTimes) {
      const time = file.mLastModificationTimeMs / 1000;
      await utimes(part, time, time);
    }
    await rename(part, target);
  } catch (thrown) {
    await rm(part, { force: true });
    throw localFailure(thrown, target);
  }
  await options.onCopied(file, target);
}

async function fetchTo(
  worker: OnlineWorkers,
  file: FileInfo,
  part: string,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(part, 'wx');
  try {
    for await (const chunk of worker.read(file, { signal })) await handle.writeFile(chunk);
  } finally {
    await handle.close();
  }
}

/** A name in an object store may be anything; on a disk these would lead elsewhere or cannot be. */
function localName(name: string, file: FileInfo): string {
  if (name !== '' && name !== '.' && name !== '..' && !name.includes('\0')) return name;
  throw new AlluxioError(
    'InvalidArgument',
    `${file.mPath} has a part "${name}" that cannot be the name of a local file; copy it by itself, to a name of your choice`,
  );
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (thrown) {
    throw localFailure(thrown, path);
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

function localFailure(thrown: unknown, path: string): unknown {
  const errno = errnoOf(thrown);
  if (thrown instanceof AlluxioError || errno === undefined) return thrown;
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: 'its directory does not exist; make it first',
    ENOSPC: 'the disk is full',
    EACCES: 'it may not be written to',
    ENOTDIR: 'a part of its path is a file',
    EEXIST: 'a file of this name is in the way',
  };
  return new AlluxioError('InvalidArgument', `${path} cannot be written: ${reasons[errno] ?? errno}`, {
    cause: thrown,
  });
}
