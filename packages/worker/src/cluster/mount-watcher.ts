/**
 * Keeps the mount table equal to the mounts in the state store: lists once, then watches from the list's revision. When the store does not
 * answer, the table stays as it is and the watch begins anew after a pause: reads never wait for the control plane.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import { mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import type { KvEntry, KvStore } from '@alluxio-ts/common/state/kv-store';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';

export interface MountWatcherOptions {
  readonly store: KvStore;
  readonly clusterName: string;
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

const retryPauseMs = 1000;

export class MountWatcher {
  readonly #options: MountWatcherOptions;
  readonly #prefix: string;
  readonly #stop = new AbortController();
  /** The value that each served mount was opened from, so that an unchanged one keeps its connections. */
  readonly #values = new Map<string, string>();
  #running: Promise<void> = Promise.resolve();

  constructor(options: MountWatcherOptions) {
    this.#options = options;
    this.#prefix = mountsPrefixOf(options.clusterName);
  }

  /** Resolves when the mounts that the store has now are served. */
  async start(): Promise<void> {
    const revision = await this.#list();
    this.#running = this.#watch(revision + 1);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the mount watcher is closed'));
    await this.#running;
    const mounts = this.#options.mounts.list();
    for (const mount of mounts) this.#options.mounts.delete(mount.path);
    await Promise.all(mounts.map((mount) => mount.ufs.close()));
  }

  async #list(): Promise<number> {
    const { signal } = this.#stop;
    const list = await this.#options.store.list(this.#prefix, { signal });
    const listed = new Set(list.entries.map((entry) => entry.key));
    for (const key of this.#values.keys()) {
      if (!listed.has(key)) this.#remove(key);
    }
    for (const entry of list.entries) this.#set(entry);
    return list.revision;
  }

  async #watch(fromRevision: number): Promise<void> {
    const { store, clock, logger } = this.#options;
    const { signal } = this.#stop;
    let revision: number | undefined = fromRevision;
    while (!signal.aborted) {
      try {
        revision ??= (await this.#list()) + 1;
        const watch = store.watch(this.#prefix, { fromRevision: revision, signal });
        for await (const events of watch.events) {
          for (const event of events) {
            if (event.kind === 'put') this.#set(event.entry);
            else this.#remove(event.key);
            revision = (event.kind === 'put' ? event.entry.modRevision : event.modRevision) + 1;
          }
        }
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasErrorCode(thrown, 'StateConflict')) revision = undefined;
        logger.warn({ error: thrown }, 'mount-watch-interrupted');
        await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
      }
    }
  }

  #set(entry: KvEntry): void {
    const { mounts, logger } = this.#options;
    if (this.#values.get(entry.key) === entry.value) return;
    try {
      const mount = this.#options.decode(entry);
      const uri = parseMountUri(mount.ufsUri);
      const ufs = this.#options.openUfs(uri, mount.options);
      this.#values.set(entry.key, entry.value);
      const served = { path: mount.path, uri, ufs, sinceMs: this.#options.clock.now() };
      this.#options.onServed(served, mount.options);
      this.#gone(mounts.set(served));
      logger.info({ path: mount.path, ufsUri: mount.ufsUri }, 'mount-served');
    } catch (thrown) {
      logger.error({ key: entry.key, error: thrown }, 'mount-not-served');
    }
  }

  #remove(key: string): void {
    this.#values.delete(key);
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
