/** Finds the real path of a key and keeps it below the root: symbolic links are followed only when they stay inside. */

import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { isAbsent, localError } from './errors.ts';
import { isWithin, type LocalUfsOptions, outsideAllowedRoots } from './options.ts';

/** Begins the name of a file that is being written; such names are neither listed nor opened. */
export const temporaryPrefix = '.alluxio-write-';

/** Whether a key can name a file at all: a raw key such as `a//b` or `../x` is a name that no directory has. */
export function isFileKey(key: string): boolean {
  return isDirectoryKey(key) && !(key.split('/').at(-1) ?? '').startsWith(temporaryPrefix);
}

function isDirectoryKey(key: string): boolean {
  if (key.includes('\0') || !key.isWellFormed()) return false;
  return key.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

export class LocalPaths {
  readonly #options: LocalUfsOptions;
  #realRoot: string | undefined;

  constructor(options: LocalUfsOptions) {
    this.#options = options;
  }

  get rootDirectory(): string {
    return this.#options.rootDirectory;
  }

  /** Fails with UfsBucketNotFound when the directory of the mount is missing, with AccessDenied when it really lies elsewhere. */
  async realRoot(): Promise<string> {
    this.#realRoot ??= await this.#resolveRoot();
    return this.#realRoot;
  }

  async #resolveRoot(): Promise<string> {
    const real = await this.#findRoot();
    for (const allowed of this.#options.allowedRoots) {
      const realAllowed = await realpath(allowed).catch(() => undefined);
      if (realAllowed !== undefined && isWithin(real, realAllowed)) return real;
    }
    // A directory that goes meanwhile takes what allows it along: it is missing, not forbidden.
    const realNow = await this.#findRoot();
    throw outsideAllowedRoots(`${this.rootDirectory} (really ${realNow})`);
  }

  async #findRoot(): Promise<string> {
    const { rootDirectory } = this.#options;
    try {
      return await realpath(rootDirectory);
    } catch (thrown) {
      if (!isAbsent(thrown)) throw localError(thrown, `open the directory ${rootDirectory}`);
      throw new AlluxioError(
        'UfsBucketNotFound',
        `the directory ${rootDirectory} does not exist on this machine; create it, or mount the volume that holds it`,
        { cause: thrown },
      );
    }
  }

  /** The real path of a key ('' is the root), or undefined when there is none. Fails with AccessDenied when it lies outside. */
  async find(key: string): Promise<string | undefined> {
    const root = await this.realRoot();
    if (key === '') return root;
    if (!isDirectoryKey(key)) return undefined;
    try {
      return this.#checkInside(key, await realpath(join(root, key)), root);
    } catch (thrown) {
      if (!isAbsent(thrown)) throw localError(thrown, `open ${this.pathOf(key)}`);
      // A miss is told only by a root that is there: an unmounted volume must not look like missing files. The root may
      // also be a link that was turned to another directory since.
      const rootNow = await this.#resolveRoot();
      if (rootNow === root) return undefined;
      this.#realRoot = rootNow;
      return this.find(key);
    }
  }

  /** The real path at which a key is to be written; what is missing of its directories is not yet made. */
  async place(key: string): Promise<string> {
    if (!isFileKey(key)) {
      throw new AlluxioError(
        'InvalidArgument',
        `"${key}" cannot be the name of a file in ${this.rootDirectory}`,
      );
    }
    const missing = key.split('/');
    let parent = missing.slice(0, -1).join('/');
    for (;;) {
      const real = await this.find(parent);
      if (real !== undefined) return join(real, key.slice(parent === '' ? 0 : parent.length + 1));
      parent = dirname(parent);
      if (parent === '.') parent = '';
    }
  }

  /** For messages. */
  pathOf(key: string): string {
    return join(this.rootDirectory, key);
  }

  #checkInside(key: string, real: string, root: string): string {
    if (isWithin(real, root)) return real;
    throw new AlluxioError(
      'AccessDenied',
      `${this.pathOf(key)} is a symbolic link that leads out of the mount's directory; copy the file into it, or mount where it lies`,
    );
  }
}
