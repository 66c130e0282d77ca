/** What a mount of a local directory may say: where it lies. It has no options of its own. */

import { resolve, sep } from 'node:path';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import type { MountOption } from '../mount-options.ts';

export const localMountOptions: readonly MountOption[] = [];

export interface LocalUfsOptions {
  /** Absolute. */
  readonly rootDirectory: string;
  /** Directories below which local mounts may lie; the root's real path is held against their real paths too. */
  readonly allowedRoots: readonly string[];
}

/** Throws AccessDenied when the directory lies in none of the allowed roots. */
export function localUfsOptions(uri: MountUri, allowedRoots: readonly string[]): LocalUfsOptions {
  const rootDirectory = resolve(`/${uri.prefix}`);
  const allowed = allowedRoots.map((root) => resolve(root));
  if (!allowed.some((root) => isWithin(rootDirectory, root))) throw outsideAllowedRoots(rootDirectory);
  return { rootDirectory, allowedRoots: allowed };
}

/** Whether `path` is `directory` or lies below it; both absolute and free of `.` and `..`. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

export function outsideAllowedRoots(rootDirectory: string): AlluxioError {
  return new AlluxioError(
    'AccessDenied',
    `the directory ${rootDirectory} may not be mounted: add it, or a directory above it, to alluxio.ufs.local.allowed.roots`,
  );
}
