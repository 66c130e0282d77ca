/**
 * What was last known of something that others keep, as one record with checksums in a file, for a start while they are away. The file is the old one or the
 * new one, whenever the process stops; one that cannot be read is as good as none.
 */

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { parseJson } from '@alluxio-ts/common/parse-json';
import { encodeRecord, scanRecords } from '@alluxio-ts/common/state/record-file';
import type { z } from 'zod';

export interface SnapshotFileOptions<Content> {
  readonly file: string;
  readonly schema: z.ZodType<Content>;
  /** False for what another cluster left in the file: that counts as none. */
  readonly isOwn: (content: Content) => boolean;
  readonly logger: Logger;
}

export class SnapshotFile<Content> {
  readonly #options: SnapshotFileOptions<Content>;
  #writing: Promise<void> = Promise.resolve();
  #due: Content | undefined;

  constructor(options: SnapshotFileOptions<Content>) {
    this.#options = options;
  }

  async read(): Promise<Content | undefined> {
    const { file, schema, isOwn, logger } = this.#options;
    try {
      const { payloads, rest } = scanRecords(await readFile(file));
      const parsed = schema.safeParse(parseJson(payloads[0] ?? ''));
      if (rest !== 'nothing' || !parsed.success) throw new Error('the file is damaged');
      return isOwn(parsed.data) ? parsed.data : undefined;
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') logger.warn({ file, error: thrown }, 'snapshot-unreadable');
      return undefined;
    }
  }

  /** One writing at a time; of what comes meanwhile the last is written after it. */
  write(content: Content): void {
    const isWaiting = this.#due !== undefined;
    this.#due = content;
    if (!isWaiting) this.#writing = this.#writing.then(() => this.#writeDue());
  }

  /** Resolves when what was given is written, or has failed to be, which is logged. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeDue(): Promise<void> {
    const { file, logger } = this.#options;
    const content = this.#due;
    this.#due = undefined;
    try {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      const handle = await open(`${file}.tmp`, 'w', 0o600);
      try {
        await handle.writeFile(encodeRecord(JSON.stringify(content)));
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${file}.tmp`, file);
    } catch (thrown) {
      logger.warn({ file, error: thrown }, 'snapshot-not-written');
    }
  }
}
