/**
 * A file of lines that never holds more than its bound (or one line that is longer): what would not fit begins a new one, and the old one stays beside it as `.1`. Whoever
 * writes never waits and never fails: the disk's errors are told once an outage, and its lines are lost. The file is opened for each line, so that it may be moved away.
 */

import { appendFile, mkdir, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from './errors.ts';
import type { Logger } from './logger.ts';

export interface BoundedLogFileOptions {
  readonly path: string;
  readonly sizeMaxBytes: number;
  readonly logger: Logger;
}

/** Lines that wait for a slow disk; further ones are lost. */
const waitingLinesMax = 1000;
/** For the group too, so that a shipper of logs may read it. */
const fileMode = 0o640;

export class BoundedLogFile {
  readonly #options: BoundedLogFileOptions;
  readonly #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #lostCount = 0;

  constructor(options: BoundedLogFileOptions) {
    this.#options = options;
  }

  /** `line` is without its end. */
  write(line: string): void {
    if (this.#waiting.length >= waitingLinesMax) {
      this.#lose(new Error(`${waitingLinesMax} lines wait for the disk`));
      return;
    }
    this.#waiting.push(`${line}\n`);
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when all that was written so far is in the file, or lost. */
  async close(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      try {
        await this.#append(line);
        this.#tellOfRecovery();
      } catch (thrown) {
        this.#lose(thrown);
      }
    }
    this.#writing = undefined;
  }

  async #append(line: string): Promise<void> {
    const { path, sizeMaxBytes } = this.#options;
    const sizeBytes = await sizeOf(path);
    if (sizeBytes === undefined) await mkdir(dirname(path), { recursive: true });
    else if (sizeBytes > 0 && sizeBytes + Buffer.byteLength(line) > sizeMaxBytes) {
      await rename(path, `${path}.1`);
    }
    await appendFile(path, line, { mode: fileMode });
  }

  #lose(thrown: unknown): void {
    const { path, logger } = this.#options;
    if (this.#lostCount++ === 0) logger.error({ path, error: thrown }, 'log-file-not-written');
  }

  #tellOfRecovery(): void {
    if (this.#lostCount === 0) return;
    const { path, logger } = this.#options;
    logger.warn({ path, lostCount: this.#lostCount }, 'log-file-written-again');
    this.#lostCount = 0;
  }
}

/** Undefined when there is no such file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return undefined;
    throw thrown;
  }
}
