/** What runs in the thread of the file records: the database, which no other thread has open, and one call to it after the other. */

import { workerData } from 'node:worker_threads';
import { callDatabase, type RecordCall } from './file-records/record-calls.ts';
import { RecordDatabase, type RecordDatabaseOptions } from './file-records/record-database.ts';

// Only ThreadRecordPort starts this file, and this is what it gives.
const database = new RecordDatabase(workerData as RecordDatabaseOptions);

export function call(asked: RecordCall): unknown {
  return callDatabase(database, asked);
}
