/**
 * What of a listing is under way. Files are handed out far ahead of each other and come back in any order, but a job goes on after a crash from one place in its
 * listing: so the files are taken in chunks, and a chunk counts once it and all before it are done. Bounded by how much the caller adds.
 */

import {
  type JobCounts,
  type JobCursor,
  type JobFailure,
  noCounts,
  sumOfCounts,
} from '@alluxio-ts/common/protocol/jobs';

export interface Chunk {
  readonly counts: JobCounts;
  readonly failures: JobFailure[];
  /** On the monotonic clock: when the oldest part of its listing was asked for, at the earliest. */
  readonly listedAtMs: number;
}

interface OpenChunk extends Chunk {
  cursor: JobCursor;
  fileCount: number;
  sizeBytes: number;
  leftCount: number;
  isClosed: boolean;
}

export interface LoadWindowOptions {
  /** From where the listing goes on, and what was counted until there. */
  readonly cursor: JobCursor;
  readonly counts: Readonly<JobCounts>;
  readonly chunkFilesMax: number;
  readonly chunkBytesMax: number;
  /** False for a pass over files that were counted before. */
  readonly countsFiles: boolean;
  /** Told of the failures of a chunk when it counts. */
  readonly onFailures: (failures: readonly JobFailure[]) => void;
}

export interface WindowedFile {
  /** Behind it. */
  readonly cursor: JobCursor;
  readonly sizeBytes: number;
  readonly listedAtMs: number;
}

export class LoadWindow {
  readonly #options: LoadWindowOptions;
  readonly #chunks: OpenChunk[] = [];
  #cursor: JobCursor;
  #counts: JobCounts;
  #openFiles = 0;
  #finished = Promise.withResolvers<void>();

  constructor(options: LoadWindowOptions) {
    this.#options = options;
    this.#cursor = options.cursor;
    this.#counts = { ...options.counts };
  }

  get cursor(): JobCursor {
    return this.#cursor;
  }

  get counts(): Readonly<JobCounts> {
    return this.#counts;
  }

  /** Files that are neither done nor failed. */
  get openFiles(): number {
    return this.#openFiles;
  }

  /** With what was counted behind the cursor. */
  get shown(): JobCounts {
    return this.#chunks.reduce((sum, { counts }) => sumOfCounts(sum, counts), this.#counts);
  }

  /** Takes in the next file of the listing; says whether its chunk is full, so that nothing more is added to it. */
  add({ cursor, sizeBytes, listedAtMs }: WindowedFile): { readonly chunk: Chunk; readonly isFull: boolean } {
    let chunk = this.#chunks.at(-1);
    if (!chunk || chunk.isClosed) {
      const counts = { ...noCounts };
      const none = { fileCount: 0, sizeBytes: 0, leftCount: 0, isClosed: false };
      chunk = { ...none, cursor, listedAtMs, counts, failures: [] };
      this.#chunks.push(chunk);
    }
    chunk.cursor = cursor;
    chunk.fileCount++;
    chunk.sizeBytes += sizeBytes;
    chunk.leftCount++;
    this.#openFiles++;
    if (this.#options.countsFiles) {
      chunk.counts.scannedFiles++;
      chunk.counts.scannedBytes += sizeBytes;
    }
    const { chunkBytesMax, chunkFilesMax } = this.#options;
    chunk.isClosed = chunk.fileCount >= chunkFilesMax || chunk.sizeBytes >= chunkBytesMax;
    return { chunk, isFull: chunk.isClosed };
  }

  /** So many files of the chunk are done or have failed. */
  finish(chunk: Chunk, fileCount: number): void {
    const open = this.#chunks.find((each) => each === chunk);
    if (!open) return;
    open.leftCount -= fileCount;
    if (this.#options.countsFiles) open.counts.processedFiles += fileCount;
    this.#openFiles -= fileCount;
    this.#commit();
    this.#finished.resolve();
    this.#finished = Promise.withResolvers();
  }

  /** Nothing more comes. */
  endOfListing(): void {
    const last = this.#chunks.at(-1);
    if (last) last.isClosed = true;
    this.#commit();
  }

  /** Resolves when so many files at most are neither done nor failed. Rejects with the signal's reason. */
  async whenOpenAtMost(fileCount: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', abort);
    try {
      signal.throwIfAborted();
      while (this.#openFiles > fileCount) await Promise.race([this.#finished.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  #commit(): void {
    for (let first = this.#chunks[0]; first?.isClosed && first.leftCount === 0; first = this.#chunks[0]) {
      this.#chunks.shift();
      this.#cursor = first.cursor;
      this.#counts = sumOfCounts(this.#counts, first.counts);
      if (first.failures.length > 0) this.#options.onFailures(first.failures);
    }
  }
}
