/**
 * Whether a directory is worth asking. After a failure it is left alone for a while, so that a broken disk costs one
 * failed operation a pause and not one a read; then it is tried again.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { type AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';

export interface DirHealthOptions {
  readonly dir: string;
  readonly coolDownMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class DirHealth {
  readonly #options: DirHealthOptions;
  #readsAgainMs = 0;
  #writesAgainMs = 0;
  failedWriteCount = 0;
  failedReadCount = 0;

  constructor(options: DirHealthOptions) {
    this.#options = options;
  }

  get canRead(): boolean {
    return this.#options.clock.monotonic() >= this.#readsAgainMs;
  }

  get canWrite(): boolean {
    return this.#options.clock.monotonic() >= this.#writesAgainMs;
  }

  /** A read found no answer in time: neither reads nor writes for a while. */
  readTimedOut(): void {
    const { clock, coolDownMs, dir, logger } = this.#options;
    this.failedReadCount++;
    if (this.canRead) logger.warn({ dir, coolDownMs }, 'cache-dir-silent');
    this.#readsAgainMs = clock.monotonic() + coolDownMs;
    this.#writesAgainMs = this.#readsAgainMs;
  }

  /** The disk refused a read; the page is lost, others may be sound. */
  readFailed(error: AlluxioError): void {
    this.failedReadCount++;
    this.#options.logger.warn({ dir: this.#options.dir, error }, 'cached-page-unreadable');
  }

  writeFailed(thrown: unknown): void {
    const { clock, coolDownMs, dir, logger } = this.#options;
    this.failedWriteCount++;
    if (this.canWrite) {
      const fields = { dir, coolDownMs, errno: errnoOf(thrown), error: thrown };
      logger.warn(fields, 'cache-dir-not-writable');
    }
    this.#writesAgainMs = clock.monotonic() + coolDownMs;
  }
}
