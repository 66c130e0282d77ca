/** The database of file records in the thread of a test, its calls asynchronous as those to a thread are. */

import { callDatabase, type RecordCallName, type RecordCalls } from '../../src/file-records/record-calls.ts';
import { RecordDatabase, type RecordDatabaseOptions } from '../../src/file-records/record-database.ts';
import type { RecordPort } from '../../src/file-records/record-port.ts';

export class LocalRecordPort implements RecordPort {
  readonly #database: RecordDatabase;

  constructor(options: RecordDatabaseOptions) {
    this.#database = new RecordDatabase(options);
  }

  async call<Name extends RecordCallName>(
    name: Name,
    argument: Parameters<RecordCalls[Name]>[0],
  ): Promise<ReturnType<RecordCalls[Name]>> {
    return callDatabase(this.#database, { name, argument });
  }

  async close(): Promise<void> {
    // The store has closed the database before.
  }
}
