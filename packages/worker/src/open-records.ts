/** The file records of a worker as a whole: the store, its thread, and what keeps it small. */

import { join } from 'node:path';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { FileRecordStore, fileRecordsMax } from './file-records/file-record-store.ts';
import { ThreadRecordPort } from './file-records/record-port.ts';
import { RecordSweeper } from './file-records/record-sweeper.ts';
import { hasAnyPage, type PageStore } from './page-store/page-store.ts';
import { threadFileOf } from './thread-file.ts';

export interface OpenRecords {
  readonly records: FileRecordStore;
  close(): Promise<void>;
}

/** Fails with PageStoreUnavailable when the database can neither be opened nor begun anew. */
export async function openRecords(
  options: { readonly metastoreDir: string; readonly pageSizeBytes: number },
  parts: { readonly pageStore: PageStore; readonly clock: Clock; readonly logger: Logger },
): Promise<OpenRecords> {
  const { clock, logger, pageStore } = parts;
  const path = join(options.metastoreDir, 'files.db');
  const port = new ThreadRecordPort({
    threadFile: threadFileOf('record-thread'),
    database: { path, recordsMax: fileRecordsMax },
    logger,
  });
  const records = new FileRecordStore({ port, clock, logger });
  try {
    await records.start();
  } catch (thrown) {
    await port.close();
    const what = `${path} cannot be opened (${String(thrown)}); it may be removed, and what it knew is asked for again`;
    throw new AlluxioError('PageStoreUnavailable', what, { cause: thrown });
  }
  const sweeper = new RecordSweeper({
    records,
    hasPages: ({ fileKey, pageCount }) => hasAnyPage(pageStore, fileKey, pageCount),
    pageSizeBytes: options.pageSizeBytes,
    clock,
  });
  return {
    records,
    close: async () => {
      await sweeper.close();
      await records.close();
    },
  };
}
