/**
 * What the state store last showed under a prefix, in a file with a checksum, for a start while the store is away. A file that cannot be read is as good as
 * none.
 */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { parseJson } from '@alluxio-ts/common/parse-json';
import type { KvList } from '@alluxio-ts/common/state/kv-store';
import { encodeRecord, scanRecords } from '@alluxio-ts/common/state/record-file';
import { z } from 'zod';

const fileSchema = z.object({
  schema: z.literal(1),
  prefix: z.string(),
  revision: z.int(),
  entries: z.array(
    z.object({ key: z.string(), value: z.string(), createRevision: z.int(), modRevision: z.int() }),
  ),
});

export interface KvListSnapshotOptions {
  readonly file: string;
  /** A snapshot of another prefix, so of another cluster, counts as none. */
  readonly prefix: string;
  readonly logger: Logger;
}

export class KvListSnapshot {
  readonly #options: KvListSnapshotOptions;
  #writing: Promise<void> = Promise.resolve();
  #due: KvList | undefined;

  constructor(options: KvListSnapshotOptions) {
    this.#options = options;
  }

  async read(): Promise<KvList | undefined> {
    const { file, prefix, logger } = this.#options;
    try {
      const { payloads, rest } = scanRecords(await readFile(file));
      const parsed = fileSchema.safeParse(parseJson(payloads[0] ?? ''));
      if (rest !== 'nothing' || !parsed.success) throw new Error('the file is damaged');
      return parsed.data.prefix === prefix ? parsed.data : undefined;
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') logger.warn({ file, error: thrown }, 'snapshot-unreadable');
      return undefined;
    }
  }

  /** One writing at a time; of what comes meanwhile the last is written after it. */
  write(list: KvList): void {
    const isWaiting = this.#due !== undefined;
    this.#due = list;
    if (!isWaiting) this.#writing = this.#writing.then(() => this.#writeDue());
  }

  /** Resolves when what was given is written, or has failed to be, which is logged. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeDue(): Promise<void> {
    const { file, prefix, logger } = this.#options;
    const list = this.#due;
    this.#due = undefined;
    if (!list) return;
    const text = JSON.stringify({ schema: 1, prefix, revision: list.revision, entries: list.entries });
    try {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      await writeFile(`${file}.tmp`, encodeRecord(text), { mode: 0o600 });
      await rename(`${file}.tmp`, file);
    } catch (thrown) {
      logger.warn({ file, error: thrown }, 'snapshot-not-written');
    }
  }
}
