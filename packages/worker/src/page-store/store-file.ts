/**
 * `store.json`: what makes a directory this store, and which segment ids are spent. A directory without a sound one
 * gets a new store id, so that segments of an earlier life are strangers to it.
 */

import { Buffer } from 'node:buffer';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '@alluxio-ts/common/clock';
import { errnoOf } from '@alluxio-ts/common/errors';
import { formatVersion } from './record-format.ts';
import { storeIdBytes } from './segment-format.ts';

/** Ids are taken in such steps, so that the file is rarely written; a restart skips what was left of a step. */
const segmentIdStep = 1024;

export class StoreFile {
  readonly storeId: Buffer;
  readonly #path: string;
  readonly #pageSizeBytes: number;
  /** Ids below this one may have been used. */
  #segmentIdsBelow: number;
  #writing: Promise<void> = Promise.resolve();
  #isWritten: boolean;

  private constructor(path: string, pageSizeBytes: number, storeId: Buffer, segmentIdsBelow?: number) {
    this.#path = path;
    this.#isWritten = segmentIdsBelow !== undefined;
    this.#pageSizeBytes = pageSizeBytes;
    this.storeId = storeId;
    this.#segmentIdsBelow = segmentIdsBelow ?? 1;
  }

  /** Fails with the system's error when the directory cannot be read or written. */
  static async open(dir: string, pageSizeBytes: number, random: Random): Promise<StoreFile> {
    const path = join(dir, 'store.json');
    const known = parse(await readText(path));
    const storeId = known?.storeId ?? Buffer.from(random.bytes(storeIdBytes));
    return new StoreFile(path, pageSizeBytes, storeId, known?.segmentIdsBelow);
  }

  /** The first id that no earlier run can have used. */
  get segmentIdNext(): number {
    return this.#segmentIdsBelow;
  }

  /** Fails when the directory's file is not this one any more. */
  async confirm(): Promise<void> {
    const text = await readText(this.#path);
    // Nothing was written yet, so there is nothing to lose.
    if (text === '' && !this.#isWritten) return;
    if (!parse(text)?.storeId.equals(this.storeId)) throw new Error('the directory is not the same any more');
  }

  /** Resolves when the file on disk says that `id` is spent; a segment file is made only after that. */
  spendSegmentId(id: number): Promise<void> {
    const before = this.#writing;
    this.#writing = this.#spend(id, before);
    return this.#writing;
  }

  async #spend(id: number, before: Promise<void>): Promise<void> {
    // The failure of another is its own; this one tries again.
    await before.catch(() => undefined);
    if (id < this.#segmentIdsBelow) return;
    await this.#write(id + segmentIdStep);
    this.#segmentIdsBelow = id + segmentIdStep;
  }

  async #write(segmentIdsBelow: number): Promise<void> {
    const content = {
      format: formatVersion,
      storeId: this.storeId.toString('hex'),
      pageSizeBytes: this.#pageSizeBytes,
      segmentIdsBelow,
    };
    const temporary = `${this.#path}.new`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${JSON.stringify(content)}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, this.#path);
    this.#isWritten = true;
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return '';
    throw thrown;
  }
}

function parse(text: string): { readonly storeId: Buffer; readonly segmentIdsBelow: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { storeId, segmentIdsBelow } = value as Record<string, unknown>;
  if (typeof storeId !== 'string' || !/^[0-9a-f]{32}$/.test(storeId)) return undefined;
  if (typeof segmentIdsBelow !== 'number' || !Number.isSafeInteger(segmentIdsBelow)) return undefined;
  return segmentIdsBelow < 1 ? undefined : { storeId: Buffer.from(storeId, 'hex'), segmentIdsBelow };
}
