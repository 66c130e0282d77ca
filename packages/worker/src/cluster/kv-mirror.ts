/**
 * Follows one set of entries in the state store (mounts, rules): lists once, then watches from the list's revision. When the store does not answer, the set stays
 * as it is and the watch begins anew after a pause: reads never wait for the control plane, and with a snapshot a start does not either.
 *
 * An entry goes by a delete event. One that is only missing from a later list stays for `departureHoldMs`. When the store began anew nobody has removed what it no
 * longer shows: that stays, over a restart too while the store is empty, and is put back (`set-restorer.ts`). It ends when somebody who
 * knew as much put the set back without it, or, once others have begun to fill the new store, with this process.
 */

import type { Clock, Random } from '@alluxio-ts/common/clock';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { decodeGuard, type Guard } from '@alluxio-ts/common/protocol/guard';
import type { KvEntry, KvList, KvStore } from '@alluxio-ts/common/state/kv-store';
import { z } from 'zod';
import { SetRestorer } from './set-restorer.ts';
import { SnapshotFile } from './snapshot-file.ts';

export interface KvMirrorOptions {
  readonly store: KvStore;
  readonly prefix: string;
  /** Of the guard that every addition to the set puts. */
  readonly guardKey: string;
  /** Where the set is found when the store is away at the start; without it the start fails then, and an emptied store stays so. */
  readonly snapshotFile?: string;
  /** Without a snapshot the start does not fail then either, but begins with an empty set: for what reads do well without. */
  readonly mayBeginEmpty?: boolean;
  readonly departureHoldMs: number;
  /** How many workers are alive, as far as this one knows. */
  readonly memberCount: () => number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Told of the set as it changes; neither may throw. */
export interface KvMirrorListener {
  /** An entry came, or has another value. */
  onPut(entry: KvEntry): void;
  onRemove(key: string): void;
}

const snapshotSchema = z.object({
  schema: z.literal(1),
  prefix: z.string(),
  revision: z.int(),
  /** Of the guard of the store that showed this; none when nothing was ever added. */
  guardId: z.string().optional(),
  entries: z.array(
    z.object({ key: z.string(), value: z.string(), createRevision: z.int(), modRevision: z.int() }),
  ),
});

type Snapshot = z.infer<typeof snapshotSchema>;

const retryPauseMs = 1000;

export class KvMirror {
  readonly #options: KvMirrorOptions;
  readonly #listener: KvMirrorListener;
  readonly #snapshot: SnapshotFile<Snapshot> | undefined;
  readonly #stop = new AbortController();
  readonly #entries = new Map<string, KvEntry>();
  /** On the monotonic clock: since when an entry is missing from the lists. */
  readonly #missingSinceMs = new Map<string, number>();
  /** Keys of entries that a store which began anew does not know. */
  readonly #forgotten = new Set<string>();
  /** What is known of the set: up to which revision, of the store with which guard. */
  #revision = 0;
  #guardId: string | undefined;
  /** While the store is empty and this worker knows what was in it. */
  #restorer: SetRestorer | undefined;
  #running: Promise<void> = Promise.resolve();

  constructor(options: KvMirrorOptions, listener: KvMirrorListener) {
    const { snapshotFile, prefix, logger } = options;
    this.#options = options;
    this.#listener = listener;
    if (snapshotFile === undefined) return;
    const isOwn = (content: Snapshot): boolean => content.prefix === prefix;
    this.#snapshot = new SnapshotFile({ file: snapshotFile, schema: snapshotSchema, isOwn, logger });
  }

  /** Resolves when the set that the store has now, or last had, was told of. Fails with StateStoreUnavailable without either. */
  async start(): Promise<void> {
    const { prefix, logger, mayBeginEmpty = false } = this.#options;
    const last = await this.#snapshot?.read();
    let fromRevision: number | undefined;
    try {
      // Of a store that was not emptied meanwhile the list alone counts.
      if (last?.guardId !== undefined && !(await this.#readGuard())) this.#recall(last);
      fromRevision = await this.#list();
    } catch (thrown) {
      if (!hasErrorCode(thrown, 'StateStoreUnavailable') || !(last || mayBeginEmpty)) throw thrown;
      logger.warn({ prefix, error: thrown, entries: last?.entries.length ?? 0 }, 'snapshot-served');
      if (last) this.#recall(last);
    }
    this.#running = this.#watch(fromRevision);
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the mirror is closed'));
    await this.#running;
    await this.#restorer?.close();
    await this.#snapshot?.settled();
  }

  #recall({ revision, guardId, entries }: Snapshot): void {
    this.#revision = revision;
    this.#guardId = guardId;
    for (const entry of entries) this.#set(entry);
  }

  async #readGuard(): Promise<Guard | undefined> {
    const entry = await this.#options.store.get(this.#options.guardKey, { signal: this.#stop.signal });
    return entry && decodeGuard(entry.value);
  }

  /** The revision from which to watch. */
  async #list(): Promise<number> {
    const guard = await this.#readGuard();
    const list = await this.#options.store.list(this.#options.prefix, { signal: this.#stop.signal });
    const isAnew = await this.#weighGuard(guard, list);
    for (const entry of list.entries) this.#set(entry);
    this.#weighMissing(list, isAnew);
    // Of a set that is to be put back it stays known up to where the lost store had it.
    this.#save(this.#restorer ? this.#revision : Math.max(list.revision, this.#revision));
    return list.revision + 1;
  }

  /** Whether the store is not the one that was known before, so that what it does not show is forgotten rather than removed. */
  async #weighGuard(guard: Guard | undefined, list: KvList): Promise<boolean> {
    const { logger, prefix } = this.#options;
    if (!guard) {
      if (this.#guardId !== undefined && this.#snapshot) this.#restorer ??= this.#newRestorer();
      return this.#guardId !== undefined || list.revision < this.#revision;
    }
    await this.#restorer?.close();
    this.#restorer = undefined;
    const before = this.#guardId;
    this.#guardId = guard.id;
    if (!before || before === guard.id) return list.revision < this.#revision;
    const isPutBack = guard.restored?.id === before && guard.restored.revision >= this.#revision;
    logger.warn({ prefix, isPutBack }, 'state-store-began-anew');
    this.#revision = 0;
    // Whoever put the set back knew as much as this worker.
    if (isPutBack) this.#forgotten.clear();
    return !isPutBack;
  }

  #newRestorer(): SetRestorer {
    const { departureHoldMs, memberCount, prefix, logger } = this.#options;
    logger.error({ prefix, entries: this.#entries.size }, 'state-store-emptied');
    return new SetRestorer({ ...this.#options, holdMs: departureHoldMs, memberCount: memberCount() });
  }

  #weighMissing(list: KvList, isAnew: boolean): void {
    const { clock, logger, departureHoldMs } = this.#options;
    const listed = new Set(list.entries.map((entry) => entry.key));
    for (const key of this.#entries.keys()) {
      if (listed.has(key)) continue;
      const sinceMs = this.#missingSinceMs.get(key) ?? clock.monotonic();
      this.#missingSinceMs.set(key, sinceMs);
      if (isAnew) this.#forgotten.add(key);
      const isForgotten = this.#forgotten.has(key);
      if (isForgotten || clock.monotonic() - sinceMs < departureHoldMs) {
        logger.error({ key, isForgotten }, 'entry-missing-but-kept');
      } else {
        this.#remove(key);
      }
    }
  }

  async #watch(fromRevision: number | undefined): Promise<void> {
    const { store, clock, logger, prefix } = this.#options;
    const { signal } = this.#stop;
    let revision = fromRevision;
    while (!signal.aborted) {
      try {
        revision ??= await this.#list();
        if (await this.#restore()) {
          revision = undefined;
          continue;
        }
        const isHolding = this.#isHolding();
        const until = isHolding ? AbortSignal.any([signal, this.#holdOver()]) : signal;
        const watch = store.watch(prefix, { fromRevision: revision, signal: until });
        for await (const events of watch.events) {
          for (const event of events) {
            if (event.kind === 'put') this.#set(event.entry);
            else this.#remove(event.key);
            revision = (event.kind === 'put' ? event.entry.modRevision : event.modRevision) + 1;
          }
          if (this.#restorer) continue;
          // The first addition of all made it.
          if (!this.#guardId) this.#guardId = (await this.#readGuard())?.id;
          this.#save(Math.max(revision - 1, this.#revision));
        }
        // The hold is over: look again what is missing. Only a store that was closed ends a watch by itself.
        if (until.aborted) revision = undefined;
        else await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
      } catch (thrown) {
        if (signal.aborted) return;
        if (hasErrorCode(thrown, 'StateConflict') || this.#restorer) revision = undefined;
        logger.warn({ prefix, error: thrown }, 'watch-interrupted');
        await clock.sleep(retryPauseMs, { signal }).catch(() => undefined);
      }
    }
  }

  /** Whether the set is to be listed again when the hold is over. */
  #isHolding(): boolean {
    if (this.#restorer) return true;
    return [...this.#missingSinceMs.keys()].some((key) => !this.#forgotten.has(key));
  }

  async #restore(): Promise<boolean> {
    if (!this.#restorer) return false;
    const known = {
      guardId: this.#guardId ?? '',
      revision: this.#revision,
      entries: [...this.#entries.values()],
    };
    return this.#restorer.attempt(known, { signal: this.#stop.signal });
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
    this.#snapshot?.write({
      schema: 1,
      prefix: this.#options.prefix,
      revision,
      ...(this.#guardId === undefined ? {} : { guardId: this.#guardId }),
      entries: [...this.#entries.values()],
    });
  }

  #set(entry: KvEntry): void {
    this.#missingSinceMs.delete(entry.key);
    this.#forgotten.delete(entry.key);
    const isSame = this.#entries.get(entry.key)?.value === entry.value;
    this.#entries.set(entry.key, entry);
    if (!isSame) this.#listener.onPut(entry);
  }

  #remove(key: string): void {
    this.#missingSinceMs.delete(key);
    this.#forgotten.delete(key);
    if (this.#entries.delete(key)) this.#listener.onRemove(key);
  }
}
