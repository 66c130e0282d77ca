/**
 * How a page store writes into its files: in a native thread of its own, where this installation has it, else in the pool of threads that Node has for file operations.
 * Decision 0013 has what that changes.
 */

import {
  type NativeFileWriter,
  type NativePages,
  findNativePages,
} from '@alluxio-ts/transport/hotpath-native';
import { errorOfErrno, writeAt } from './file-io.ts';

/**
 * One call writes no more. The kernel takes memory for a whole call at once where it can, and gives nobody else the processor meanwhile: on a kernel without preemption
 * that is milliseconds for 4 MiB, and ten times as long on a machine whose hypervisor has taken large free blocks away.
 */
const callMaxBytes = 512 * 1024;

export interface FileWriter {
  /**
   * Writes all of the pieces, one behind the other. They must not change, and the descriptor must stay open, until it is settled. What fails, with an error that has an errno, has
   * written some of them.
   */
  write(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void>;
  /** What was asked for is still done. No write may follow. */
  close(): void;
}

export function createFileWriter(): FileWriter {
  const native = findNativePages();
  return native ? new ThreadFileWriter(native) : new PoolFileWriter();
}

/** By Node's own pool: calls at a time as many as are asked for. */
export class PoolFileWriter implements FileWriter {
  write(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void> {
    return writeAt(fd, pieces, position, callMaxBytes);
  }

  close(): void {}
}

const longMs = 2 ** 30;

interface AskedWrite {
  /** The thread has only their addresses. */
  readonly pieces: readonly Uint8Array[];
  readonly written: PromiseWithResolvers<void>;
}

/** One after the other, in one thread. Only a write that is under way keeps the process alive. */
export class ThreadFileWriter implements FileWriter {
  readonly #native: NativeFileWriter;
  readonly #asked = new Map<number, AskedWrite>();
  #idNext = 0;
  /** There while a write is under way. */
  #keepAlive: NodeJS.Timeout | undefined;

  constructor(native: NativePages) {
    this.#native = new native.FileWriter(callMaxBytes, ({ errno, id }) => this.#ended(id, errno));
  }

  async write(fd: number, pieces: readonly Uint8Array[], position: number): Promise<void> {
    const id = this.#idNext;
    this.#idNext = (id + 1) >>> 0;
    const written = Promise.withResolvers<void>();
    this.#native.write(id, fd, pieces, position);
    this.#asked.set(id, { pieces, written });
    this.#keepAlive ??= setInterval(() => undefined, longMs);
    return written.promise;
  }

  close(): void {
    this.#native.close();
  }

  #ended(id: number, errno: number): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (this.#asked.size === 0) {
      clearInterval(this.#keepAlive);
      this.#keepAlive = undefined;
    }
    if (errno === 0) asked?.written.resolve();
    else asked?.written.reject(errorOfErrno(errno, 'write'));
  }
}
