/** The file with all failures of a job, on the disk of the coordinator that ran it: path, code and message on each line, parted by tabs. */

import { appendFile, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@alluxio-ts/common/logger';
import type { JobFailure } from '@alluxio-ts/common/protocol/jobs';

export class FailedFiles {
  readonly #dir: string;
  readonly #logger: Logger;
  readonly path: string;
  #written: Promise<void> = Promise.resolve();
  #hasFailed = false;

  constructor(options: { readonly dir: string; readonly jobId: string; readonly logger: Logger }) {
    this.#dir = options.dir;
    this.#logger = options.logger;
    this.path = join(options.dir, `${options.jobId}.failed.tsv`);
  }

  /** A disk that does not take it is told once; the job keeps the last failures in any case. */
  append(failures: readonly JobFailure[]): void {
    const lines = failures.map(({ path, code, message }) => `${plain(path)}\t${code}\t${plain(message)}\n`);
    this.#written = this.#written.then(async () => {
      try {
        await mkdir(this.#dir, { recursive: true });
        await appendFile(this.path, lines.join(''));
      } catch (thrown) {
        if (!this.#hasFailed)
          this.#logger.warn({ path: this.path, error: thrown }, 'failed-files-not-written');
        this.#hasFailed = true;
      }
    });
  }

  /** Resolves when all of it is written. */
  settled(): Promise<void> {
    return this.#written;
  }
}

/** As long as the jobs themselves are kept. */
const keptMs = 7 * 24 * 3_600_000;

/** Removes the files of jobs that are forgotten. What cannot be removed stays. */
export async function removeOldFailedFiles(dir: string, nowMs: number): Promise<void> {
  const names = await readdir(dir).catch(() => []);
  for (const name of names.filter((each) => each.endsWith('.failed.tsv'))) {
    const path = join(dir, name);
    const file = await stat(path).catch(() => undefined);
    if (file && nowMs - file.mtimeMs > keptMs) await rm(path, { force: true }).catch(() => undefined);
  }
}

function plain(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
