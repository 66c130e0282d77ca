/** Paths as users write them, found below the mounts of the state store, with their storages opened for one job. */

import { isDeepStrictEqual } from 'node:util';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { decodeMount, type Mount, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import type { KvCallOptions, KvStore } from '@alluxio-ts/common/state/kv-store';
import { keyBelowMount, type MountUri, parseMountUri, ufsPathOf } from '@alluxio-ts/common/ufs-path';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';

export interface MountedPathsOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  /** Opens the secrets of a mount as the store has it. */
  readonly unseal: (mount: Mount) => Mount;
  readonly openUfs: (uri: MountUri, options: Readonly<Record<string, string>>) => Ufs;
}

export interface MountedPath {
  readonly uri: MountUri;
  /** Below the mount, as it stands; a slash at its end says that a directory is meant. */
  readonly key: string;
  readonly ufs: Ufs;
}

interface KnownMount {
  readonly mount: Mount;
  readonly uri: MountUri;
  ufs: Ufs | undefined;
}

export class MountedPaths {
  readonly #options: MountedPathsOptions;
  #mounts: readonly KnownMount[] = [];

  constructor(options: MountedPathsOptions) {
    this.#options = options;
  }

  /** A full UFS path, or a path of the namespace. Fails with MountNotFound. The storage stays open until `close`. */
  async find(path: string, call: KvCallOptions): Promise<MountedPath> {
    const { mount, key } = await this.#find(path, call);
    mount.ufs ??= this.#options.openUfs(mount.uri, this.#options.unseal(mount.mount).options);
    return { key, uri: mount.uri, ufs: mount.ufs };
  }

  /** The full UFS path, in one spelling for all that the path may be written as. */
  async canonical(path: string, call: KvCallOptions): Promise<string> {
    const { key, mount } = await this.#find(path, call);
    return key === '' ? mount.uri.text : ufsPathOf(mount.uri, key.replace(/\/+$/, ''));
  }

  async close(): Promise<void> {
    const mounts = this.#mounts;
    this.#mounts = [];
    for (const { ufs } of mounts) await ufs?.close();
  }

  /** What was mounted since is found by looking again. */
  async #find(
    path: string,
    call: KvCallOptions,
  ): Promise<{ readonly mount: KnownMount; readonly key: string }> {
    const known = findIn(this.#mounts, path);
    if (known) return known;
    const { store, clusterName } = this.#options;
    const { entries } = await store.list(mountsPrefixOf(clusterName), call);
    const fresh = entries.map((entry): KnownMount => {
      const mount = decodeMount(entry.key, entry.value);
      const same = this.#mounts.find((each) => isDeepStrictEqual(each.mount, mount));
      return same ?? { mount, uri: parseMountUri(mount.ufsUri), ufs: undefined };
    });
    this.#mounts = [...fresh, ...this.#mounts.filter((each) => each.ufs && !fresh.includes(each))];
    const found = findIn(fresh, path);
    if (found) return found;
    throw new AlluxioError(
      'MountNotFound',
      `no mount holds ${path}; "alluxio mount list" shows what is mounted`,
    );
  }
}

function findIn(
  mounts: readonly KnownMount[],
  path: string,
): { readonly mount: KnownMount; readonly key: string } | undefined {
  for (const mount of mounts) {
    const key = keyOf(mount.mount.path, mount.uri, path);
    if (key !== undefined) return { mount, key };
  }
  return undefined;
}

function keyOf(mountPath: string, uri: MountUri, path: string): string | undefined {
  if (path === mountPath || path === `${mountPath}/`) return '';
  if (path.startsWith(`${mountPath}/`)) return path.slice(mountPath.length + 1);
  const key = keyBelowMount(uri, path);
  return key === undefined && keyBelowMount(uri, path.replace(/\/+$/, '')) === '' ? '' : key;
}
