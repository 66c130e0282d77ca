/** Keeps the mount table equal to the mounts in the state store. */

import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import { mountsGuardKeyOf, mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import type { KvEntry } from '@alluxio-ts/common/state/kv-store';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';
import { KvMirror, type KvMirrorOptions } from './kv-mirror.ts';

export interface MountWatcherOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly mounts: MountTable;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Reads a value of the state store, secrets opened. Throws for what is not a mount. */
  readonly decode: (entry: KvEntry) => Mount;
  /** Throws InvalidOptions and the like for a mount that cannot be opened: it is logged and left out. */
  readonly openUfs: (uri: MountUri, options: Readonly<Record<string, string>>) => Ufs;
  /** Called before a mount is served, with its options, secrets opened. */
  readonly onServed: (mount: ServedMount, options: Readonly<Record<string, string>>) => void;
  /** Called after a mount went or was replaced: what was known of its files no longer holds. */
  readonly onGone: (mount: ServedMount) => void;
}

export class MountWatcher {
  readonly #options: MountWatcherOptions;
  readonly #prefix: string;
  readonly #mirror: KvMirror;

  constructor(options: MountWatcherOptions) {
    this.#options = options;
    const { clusterName } = options;
    this.#prefix = mountsPrefixOf(clusterName);
    this.#mirror = new KvMirror(
      { ...options.mirror, prefix: this.#prefix, guardKey: mountsGuardKeyOf(clusterName) },
      { onPut: (entry) => this.#serve(entry), onRemove: (key) => this.#remove(key) },
    );
  }

  /** Resolves when the mounts that the store has now, or last had, are served. Fails with StateStoreUnavailable without either. */
  start(): Promise<void> {
    return this.#mirror.start();
  }

  async close(): Promise<void> {
    await this.#mirror.close();
    const mounts = this.#options.mounts.list();
    for (const mount of mounts) this.#options.mounts.delete(mount.path);
    await Promise.all(mounts.map((mount) => mount.ufs.close()));
  }

  /** One that cannot be served leaves what was served under its path as it is. */
  #serve(entry: KvEntry): void {
    const { mounts, logger } = this.#options;
    try {
      const mount = this.#options.decode(entry);
      const uri = parseMountUri(mount.ufsUri);
      const ufs = this.#options.openUfs(uri, mount.options);
      const served = { path: mount.path, uri, ufs, sinceMs: this.#options.clock.now() };
      this.#options.onServed(served, mount.options);
      this.#gone(mounts.set(served));
      logger.info({ path: mount.path, ufsUri: mount.ufsUri }, 'mount-served');
    } catch (thrown) {
      logger.error({ key: entry.key, error: thrown }, 'mount-not-served');
    }
  }

  #remove(key: string): void {
    const removed = this.#options.mounts.delete(`/${key.slice(this.#prefix.length)}`);
    if (removed) this.#options.logger.info({ path: removed.path }, 'mount-gone');
    this.#gone(removed);
  }

  #gone(mount: ServedMount | undefined): void {
    if (!mount) return;
    this.#options.onGone(mount);
    mount.ufs.close().catch((thrown: unknown) => {
      this.#options.logger.warn({ path: mount.path, error: thrown }, 'mount-close-failed');
    });
  }
}
