/** Turns a failure of the file system into one of ours. */

import { AlluxioError, type ErrorCode, errnoOf } from '@alluxio-ts/common/errors';

/** The name leads to no file: a miss, not a failure. */
const absentErrnos: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);

const codes: Readonly<Record<string, ErrorCode>> = {
  EACCES: 'UfsAccessDenied',
  EPERM: 'UfsAccessDenied',
  EROFS: 'UfsAccessDenied',
  EISDIR: 'UfsUnsupported',
  ENOTDIR: 'UfsUnsupported',
  ENAMETOOLONG: 'UfsUnsupported',
  EEXIST: 'UfsUnsupported',
  ENOTEMPTY: 'UfsUnsupported',
  /** A network file system: the file was replaced or removed on the server. */
  ESTALE: 'VersionChanged',
  ETIMEDOUT: 'UfsTimeout',
};

const advice: Partial<Record<ErrorCode, string>> = {
  UfsAccessDenied: 'give the user that alluxio runs as the right to it',
  UfsUnsupported: 'a file and a directory cannot have the same name',
};

export function isAbsent(thrown: unknown): boolean {
  return absentErrnos.has(errnoOf(thrown) ?? '');
}

/** `action` completes "cannot …": `read /data/a`. Errors that are ours already, or come from no system call, pass as they are. */
export function localError(thrown: unknown, action: string): unknown {
  const errno = errnoOf(thrown);
  if (thrown instanceof AlluxioError || !errno?.startsWith('E') || errno.startsWith('ERR_')) return thrown;
  const code = codes[errno] ?? 'UfsUnavailable';
  const hint = advice[code];
  return new AlluxioError(code, `cannot ${action}: ${errno}${hint === undefined ? '' : `; ${hint}`}`, {
    cause: thrown,
    context: { errno },
  });
}
