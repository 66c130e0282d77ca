/** The files that fault tests of a cluster read, and one read of one of them, checked to the last byte. */

import { systemClock } from '@alluxio-ts/common/clock';

const bigEvery = 10;
const bigSizeBytes = 3 * 1024 * 1024;
const smallSizeBytes = 1500;
const readTimeoutMs = 150_000;

/** The one file that is larger than all buffers on the way. */
export const hugeName = 'huge';
const hugeSizeBytes = 48 * 1024 * 1024;
export const hugeContent = (): Buffer =>
  Buffer.alloc(hugeSizeBytes, 'neither chunk nor page is a multiple of this line\n');

export const isBig = (index: number): boolean => index % bigEvery === 0;

/** Every line says of which version it is, so that an answer of two versions shows. */
export function contentOf(index: number, version: number): Buffer {
  const sizeBytes = isBig(index) ? bigSizeBytes : smallSizeBytes * (1 + (index % 40));
  return Buffer.alloc(sizeBytes, `file ${index} version ${version}\n`);
}

export interface ReadFigures {
  /** What was wrong; undefined when every byte was right. */
  readonly failure: string | undefined;
  readonly cache: string | undefined;
  readonly tookMs: number;
}

/** Reads it whole. `midway` is waited for when the first bytes are here. */
export async function readChecked(
  url: string,
  isRight: (bytes: Buffer) => boolean,
  midway: () => Promise<unknown> = async () => undefined,
): Promise<ReadFigures> {
  const begunMs = systemClock.monotonic();
  const done = (failure: string | undefined, cache?: string | null): ReadFigures => ({
    failure: failure === undefined ? undefined : `${url}: ${failure}`,
    cache: cache ?? undefined,
    tookMs: systemClock.monotonic() - begunMs,
  });
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(readTimeoutMs) });
    const chunks: Uint8Array[] = [];
    for await (const chunk of response.body ?? []) {
      if (chunks.length === 0) await midway();
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (response.status !== 200) return done(`${response.status} ${bytes.toString()}`);
    return done(isRight(bytes) ? undefined : 'wrong bytes', response.headers.get('x-alluxio-cache'));
  } catch (thrown) {
    const cause = thrown instanceof Error && thrown.cause instanceof Error ? thrown.cause.message : '';
    return done(`${String(thrown)} ${cause}`);
  }
}

/** Files `f-0`, `f-1`, … and which version of each the storage may have. */
export class TestFiles {
  readonly indexes: readonly number[];
  /** The newest version whose writing has begun, and the newest that is written. */
  readonly #begun: number[];
  readonly #written: number[];
  /** Answers that an overwrite ended: a reset is the promise for them, and they are asked for again. */
  endedByOverwriteCount = 0;

  constructor(count: number) {
    this.indexes = Array.from({ length: count }, (_, index) => index);
    this.#begun = this.indexes.map(() => 0);
    this.#written = this.indexes.map(() => 0);
  }

  /** Gives a file its next version, which `write` has to write all at once. */
  async overwrite(index: number, write: (bytes: Buffer) => Promise<unknown>): Promise<void> {
    const version = (this.#begun[index] ?? 0) + 1;
    this.#begun[index] = version;
    await write(contentOf(index, version));
    this.#written[index] = version;
  }

  async read(index: number, url: string): Promise<ReadFigures> {
    const written = this.#written[index] ?? 0;
    const figures = await readChecked(url, (bytes) => this.#isRight(index, bytes));
    const isOverwritten = (this.#begun[index] ?? 0) > written;
    if (!isOverwritten || !/terminated/.test(figures.failure ?? '')) return figures;
    this.endedByOverwriteCount++;
    return this.read(index, url);
  }

  /** Whether it is read as it was last written. */
  async isNewest(index: number, url: string): Promise<boolean> {
    const version = this.#written[index] ?? 0;
    return (await readChecked(url, (bytes) => bytes.equals(contentOf(index, version)))).failure === undefined;
  }

  #isRight(index: number, bytes: Buffer): boolean {
    const version = Number(/version (\d+)\n/.exec(bytes.toString('latin1', 0, 60))?.[1]);
    return version <= (this.#begun[index] ?? 0) && bytes.equals(contentOf(index, version));
  }
}
