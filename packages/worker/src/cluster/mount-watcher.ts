/**
 * Keeps the mount table equal to the mounts in the state store: lists once, then watches from the list's revision. When the store does not
 * answer, the table stays as it is and the watch begins anew after a pause: reads never wait for the control plane, and with a snapshot a start does not either.
 *
 * A mount goes by a delete event. One that is only missing from a later list stays for `departureHoldMs`. One that is missing while the store's revision is
 * lower than it was stays for as long as this process: a store that began anew has forgotten it, nobody has removed it, and its revision grows again.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import { mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import type { KvEntry, KvList, KvStore } from '@alluxio-ts/common/state/kv-store';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import type { Ufs } from '@alluxio-ts/ufs-adapters/ufs';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';
import type { KvListSnapshot } from './kv-list-snapshot.ts';

export interface MountWatcherOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly mounts: MountTable;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where the mounts are found when the store is away at the start. Without it the start fails then. */
  readonly snapshot?: KvListSnapshot;
  readonly departureHoldMs: number;
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
  /** What each served mount was opened from, so that an unchanged one keeps its connections. */
  readonly #entries = new Map<string, KvEntry>();
  /** On the monotonic clock: since when a mount is missing from the lists. */
  readonly #missingSinceMs = new Map<string, number>();
  /** Keys of mounts that a store that began anew does not know. */
  readonly #forgotten = new Set<string>();
  #revision = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(options: MountWatcherOptions) {
    this.#options = options;
    this.#prefix = mountsPrefixOf(options.clusterName);
  }

  /** Resolves when the mounts that the store has now, or last had, are served. Fails with StateStoreUnavailable without either. */
  async start(): Promise<void> {
    let fromRevision: number | undefined;
    try {
      fromRevision = await this.#list();
    } catch (thrown) {
      const last = await this.#options.snapshot?.read();
      if (!hasErrorCode(thrown, 'StateStoreUnavailable') || !last) throw thrown;
      this.#options.logger.warn(
        { error: thrown, mountCount: last.entries.length },
        'mounts-of-before-served',
      );
      this.#revision = last.revision;
      for (const entry of last.entries) this.#set(entry);
    }
    this.#running = this.#watch(fromRevision);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the mount watcher is closed'));
    await this.#running;
    await this.#options.snapshot?.settled();
    const mounts = this.#options.mounts.list();
    for (const mount of mounts) this.#options.mounts.delete(mount.path);
    await Promise.all(mounts.map((mount) => mount.ufs.close()));
  }

  /** The revision from which to watch. */
  async #list(): Promise<number> {
    const list = await this.#options.store.list(this.#prefix, { signal: this.#stop.signal });
    for (const entry of list.entries) this.#set(entry);
    this.#weighMissing(list);
    this.#save(Math.max(list.revision, this.#revision));
    return list.revision + 1;
  }

  #weighMissing(list: KvList): void {
    const { clock, logger, departureHoldMs } = this.#options;
    const listed = new Set(list.entries.map((entry) => entry.key));
    const isForgetful = list.revision < this.#revision;
    for (const key of this.#entries.keys()) {
      if (listed.has(key)) {
        this.#missingSinceMs.delete(key);
        continue;
      }
      const sinceMs = this.#missingSinceMs.get(key) ?? clock.monotonic();
      this.#missingSinceMs.set(key, sinceMs);
      if (isForgetful) this.#forgotten.add(key);
      const isForgotten = this.#forgotten.has(key);
      if (isForgotten || clock.monotonic() - sinceMs < departureHoldMs) {
        logger.error({ key, isForgetful: isForgotten }, 'mount-missing-but-kept');
      } else {
        this.#remove(key);
      }
    }
  }

  async #watch(fromRevision: number | undefined): Promise<void> {
    const { store, clock, logger } = this.#options;
    const { signal } = this.#stop;
    let revision = fromRevision;
    while (!signal.aborted) {
      try {
        revision ??= await this.#list();
        const isHolding = this.#missingSinceMs.size > 0;
        const until = isHolding ? AbortSignal.any([signal, this.#holdOver()]) : signal;
        const watch = store.watch(this.#prefix, { fromRevision: revision, signal: until });
        for await (const events of watch.events) {
          for (const event of events) {
            if (event.kind === 'put') this.#set(event.entry);
            else this.#remove(event.key);
            revision = (event.kind === 'put' ? event.entry.modRevision : event.modRevision) + 1;
          }
          this.#save(Math.max(revision - 1, this.#revision));
        }
        // The hold is over: look again what is missing.
        if (isHolding) revision = undefined;
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasErrorCode(thrown, 'StateConflict')) revision = undefined;
        logger.warn({ error: thrown }, 'mount-watch-interrupted');
        await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
      }
    }
  }

  /** A signal that aborts when what is missing has been held long enough. */
  #holdOver(): AbortSignal {
    const over = new AbortController();
    const { clock, departureHoldMs } = this.#options;
    clock.sleep(departureHoldMs, { signal: this.#stop.signal }).then(
      () => over.abort(),
      () => undefined,
    );
    return over.signal;
  }

  #save(revision: number): void {
    this.#revision = revision;
    this.#options.snapshot?.write({ revision, entries: [...this.#entries.values()] });
  }

  #set(entry: KvEntry): void {
    const { mounts, logger } = this.#options;
    this.#missingSinceMs.delete(entry.key);
    this.#forgotten.delete(entry.key);
    const isSame = this.#entries.get(entry.key)?.value === entry.value;
    if (isSame) return;
    try {
      const mount = this.#options.decode(entry);
      const uri = parseMountUri(mount.ufsUri);
      const ufs = this.#options.openUfs(uri, mount.options);
      this.#entries.set(entry.key, entry);
      const served = { path: mount.path, uri, ufs, sinceMs: this.#options.clock.now() };
      this.#options.onServed(served, mount.options);
      this.#gone(mounts.set(served));
      logger.info({ path: mount.path, ufsUri: mount.ufsUri }, 'mount-served');
    } catch (thrown) {
      logger.error({ key: entry.key, error: thrown }, 'mount-not-served');
    }
  }

  #remove(key: string): void {
    this.#entries.delete(key);
    this.#missingSinceMs.delete(key);
    this.#forgotten.delete(key);
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
