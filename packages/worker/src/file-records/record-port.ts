/** How the database of file records is reached: each call by itself, in the order in which they were made. */

import type { Logger } from '@alluxio-ts/common/logger';
import { MIB } from '@alluxio-ts/common/units';
import { Piscina } from 'piscina';
import type { RecordCall, RecordCallName, RecordCalls } from './record-calls.ts';
import type { RecordDatabaseOptions } from './record-database.ts';

export interface RecordPort {
  /** Fails as the database does, or when its thread ended meanwhile. */
  call<Name extends RecordCallName>(
    name: Name,
    argument: Parameters<RecordCalls[Name]>[0],
  ): Promise<ReturnType<RecordCalls[Name]>>;
  close(): Promise<void>;
}

/** It holds rows on their way, not the table. */
export const recordThreadHeapMaxBytes = 128 * MIB;
/** Readers and the writer wait in it; whoever finds it full goes on without the record. */
const callsMax = 10_000;

/** The database in a thread, so that nobody waits for its disk but who asked. A thread that dies is replaced by one that opens the database again. */
export class ThreadRecordPort implements RecordPort {
  readonly #pool: Piscina<RecordCall, unknown>;

  constructor(options: {
    readonly threadFile: string;
    readonly database: RecordDatabaseOptions;
    readonly logger: Logger;
  }) {
    this.#pool = new Piscina<RecordCall, unknown>({
      filename: options.threadFile,
      name: 'call',
      workerData: options.database,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: callsMax,
      maxQueue: callsMax,
      resourceLimits: { maxOldGenerationSizeMb: recordThreadHeapMaxBytes / MIB },
      atomics: 'disabled',
      recordTiming: false,
    });
    this.#pool.on('error', (thrown: unknown) => {
      options.logger.error({ error: thrown }, 'file-records-thread-ended');
    });
  }

  async call<Name extends RecordCallName>(
    name: Name,
    argument: Parameters<RecordCalls[Name]>[0],
  ): Promise<ReturnType<RecordCalls[Name]>> {
    // The thread answers a call with what the database's method of that name gives.
    return (await this.#pool.run({ name, argument })) as ReturnType<RecordCalls[Name]>;
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}
