/** Failures of a command on a path, made into one line that names the path and says what to do next. */

import { AlluxioError, type ErrorCode, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';

const hints: Partial<Record<ErrorCode, (path: string) => string>> = {
  FileNotFound: (path) => `"alluxio fs ls ${parentOf(path)}" shows what is there`,
  UfsAccessDenied: () => 'check the options of the mount ("alluxio mount list")',
  UfsBucketNotFound: () => 'check the URI of the mount ("alluxio mount list")',
  UfsThrottled: () => 'repeat the command later',
  UfsTimeout: () => 'repeat the command, or look at the under storage',
  UfsUnavailable: () => 'repeat the command, or look at the under storage',
  VersionChanged: () => 'repeat the command',
  Overloaded: () => 'repeat the command later',
};

export async function onPath<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (thrown) {
    if (!(thrown instanceof AlluxioError)) throw thrown;
    const error = toAlluxioError(thrown);
    const named = error.message.includes(path) ? error.message : `${path}: ${error.message}`;
    const hint = hints[error.code]?.(path);
    throw new AlluxioError(error.code, hint === undefined ? named : `${named}; ${hint}`, {
      cause: thrown,
      context: error.context,
    });
  }
}

/** Undefined where there is no such file or directory. */
export async function unlessMissing<T>(run: () => Promise<T>): Promise<T | undefined> {
  try {
    return await run();
  } catch (thrown) {
    if (hasErrorCode(thrown, 'FileNotFound')) return undefined;
    throw thrown;
  }
}

function parentOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  const slash = trimmed.lastIndexOf('/');
  // Above a bucket or a mount there is nothing to list.
  return slash <= 0 || trimmed[slash - 1] === '/' ? trimmed : trimmed.slice(0, slash);
}
