/** Removes the records of files that have no pages here any more and that nobody asked for lately, so that the database stays as large as what is cached. */

import type { Clock } from '@alluxio-ts/common/clock';
import type { FileRecordStore } from './file-record-store.ts';
import type { OldFile } from './record-database.ts';

export interface RecordSweeperOptions {
  readonly records: FileRecordStore;
  readonly hasPages: (file: OldFile) => boolean;
  readonly pageSizeBytes: number;
  readonly clock: Clock;
}

/** A thousand records each: ten million take less than three hours. */
const stepPauseMs = 1000;
/** A record without pages still saves a question to the under storage; so long it is kept. */
const keepMs = 3_600_000;

export class RecordSweeper {
  readonly #options: RecordSweeperOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #after = 0;

  constructor(options: RecordSweeperOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** One step; gives how many records it removed. */
  async step(): Promise<number> {
    const { clock, hasPages, pageSizeBytes, records } = this.#options;
    const checkedBeforeMs = clock.now() - keepMs;
    const { files, last } = await records.oldFiles({ after: this.#after, checkedBeforeMs, pageSizeBytes });
    this.#after = last ?? 0;
    const unused = files.filter((file) => !hasPages(file));
    for (const { ufsPath } of unused) records.remove(ufsPath);
    return unused.length;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#options.clock.sleep(stepPauseMs, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.step();
    }
  }
}
