/**
 * Drops the files whose time in the cache is over by the TTL rules: looks at what is known of files now and then, and when a rule came. Until then they are read
 * like any other.
 *
 * The time counts from when the first page of a version came, by the wall clock, as it lies in the database over restarts. Where that is not known (the record was
 * lost in between, or is of an older version of this program) it counts from when the sweep sees it, and so does one that lies in the future, after the clock was set back.
 */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import { keyBelowMount } from '@alluxio-ts/common/ufs-path';
import type { FileRecordStore } from '../file-records/file-record-store.ts';
import type { LoadedFile } from '../file-records/record-database.ts';
import type { FileCache, Freed } from './file-cache.ts';
import { fileNameOf, type MountTable, type ServedMount } from './mount-table.ts';
import type { TtlArea, TtlRules } from './ttl-rules.ts';

export interface TtlSweeperOptions {
  readonly rules: TtlRules;
  readonly cache: FileCache;
  readonly records: FileRecordStore;
  readonly mounts: MountTable;
  readonly pageSizeBytes: number;
  readonly checkIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onExpired: (freed: Freed) => void;
}

export interface Swept extends Freed {
  /** False when it was closed on the way, or the database of file records did not answer. */
  readonly isComplete: boolean;
}

/** After a sweep that was cut short. */
const retryPauseMs = 10_000;

/** After so many pages that were dropped readers have a turn. */
const turnPages = 1000;

export class TtlSweeper {
  readonly #options: TtlSweeperOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #alarm = new AbortController();

  constructor(options: TtlSweeperOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Has a sweep begin now, or after the one that runs. */
  wake(): void {
    this.#alarm.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Looks once at every file for which there is a rule. */
  async sweep(): Promise<Swept> {
    const { rules, clock, logger } = this.#options;
    const startMs = clock.monotonic();
    const total = { fileCount: 0, pageCount: 0, freedBytes: 0 };
    let isComplete = true;
    for (const area of rules.areas()) isComplete = (await this.#sweepArea(area, total)) && isComplete;
    const swept = { ...total, isComplete };
    const durationMs = Math.round(clock.monotonic() - startMs);
    logger.info({ ruleCount: rules.count, ...swept, durationMs }, 'ttl-swept');
    return swept;
  }

  async #run(): Promise<void> {
    const { rules, clock, checkIntervalMs } = this.#options;
    let pauseMs = checkIntervalMs;
    while (!this.#stop.signal.aborted) {
      const signal = AbortSignal.any([this.#stop.signal, this.#alarm.signal]);
      await clock.sleep(pauseMs, { signal }).catch(() => undefined);
      // What wakes from here on is for the next one.
      if (this.#alarm.signal.aborted) this.#alarm = new AbortController();
      if (this.#stop.signal.aborted || rules.count === 0) continue;
      const { isComplete } = await this.sweep();
      pauseMs = isComplete ? checkIntervalMs : Math.min(checkIntervalMs, retryPauseMs);
    }
  }

  /** A thousand records at a time, each from the thread of the database, so that readers have turns between. Gives whether it came to the end. */
  async #sweepArea({ path, timeMinMs }: TtlArea, total: Total): Promise<boolean> {
    const { clock, mounts, pageSizeBytes, records } = this.#options;
    const mount = mounts.get(path.slice(0, path.indexOf('/', 1)));
    // The rule waits for its mount.
    if (!mount) return true;
    const { ufsPath: ufsPathPrefix } = fileNameOf(mount, path.slice(mount.path.length + 1));
    for (let after: string | undefined; ; ) {
      const nowMs = clock.now();
      const range = { ufsPathPrefix, after, loadedUntilMs: nowMs - timeMinMs, nowMs, pageSizeBytes };
      const found = await records.loadedFiles(range);
      if (!found || !(await this.#weighAll(found.files, mount, nowMs, total))) return false;
      if (found.last === undefined) return true;
      after = found.last;
    }
  }

  /** False when it was closed on the way. */
  async #weighAll(
    files: readonly LoadedFile[],
    mount: ServedMount,
    nowMs: number,
    total: Total,
  ): Promise<boolean> {
    let turnAt = total.pageCount + turnPages;
    for (const file of files) {
      if (this.#stop.signal.aborted) return false;
      await this.#weigh(file, mount, nowMs, total);
      if (total.pageCount < turnAt) continue;
      turnAt = total.pageCount + turnPages;
      await nextTurn();
    }
    return true;
  }

  async #weigh(loaded: LoadedFile, mount: ServedMount, nowMs: number, total: Total): Promise<void> {
    const { cache, onExpired, records, rules } = this.#options;
    const { fileKey, loadedAtMs, sizeBytes, ufsPath, version } = loaded;
    const file = fileNameOf(mount, keyBelowMount(mount.uri, ufsPath) ?? '');
    const timeMs = rules.timeMsOf(`${mount.path}/${file.key}`);
    if (timeMs === undefined) return;
    const known = { fileKey, status: { sizeBytes } };
    if (loadedAtMs === undefined) {
      if (cache.hasPages(known)) records.loaded({ ufsPath, version, loadedAtMs: nowMs });
      return;
    }
    if (nowMs - loadedAtMs < timeMs) return;
    const freed = await cache.expire(file, known);
    onExpired(freed);
    total.fileCount += freed.fileCount;
    total.pageCount += freed.pageCount;
    total.freedBytes += freed.freedBytes;
  }
}

type Total = { -readonly [name in keyof Freed]: number };
