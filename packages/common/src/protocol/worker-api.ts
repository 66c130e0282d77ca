/** What a worker's REST API (`/v1/…`) says, for its client; `docs/http-api.md` has the calls. */

import { z } from 'zod';

/** On a page of `/v1/files`: where the next one begins, percent-encoded; absent on the last. */
export const nextStartAfterHeader = 'x-alluxio-next-start-after';

/** A file or directory. Of Alluxio's fields those that are used here; others may be there. */
export const fileObjectSchema = z.object({
  mType: z.enum(['file', 'directory']),
  mName: z.string(),
  /** In Alluxio's namespace. */
  mPath: z.string(),
  mUfsPath: z.string(),
  mLastModificationTimeMs: z.number(),
  mCreationTimeMs: z.number(),
  mLastAccessTimeMs: z.number(),
  mLength: z.int(),
  mOwner: z.string(),
  mGroup: z.string(),
  mMode: z.int(),
  mInAlluxioPercentage: z.number(),
  mInAlluxioBytes: z.int().optional(),
});

export type FileInfo = z.infer<typeof fileObjectSchema>;

export const fileObjectsSchema = z.array(fileObjectSchema);

/** One version of a file. */
export const fileOfVersionSchema = z.object({
  ufsPath: z.string(),
  version: z.string().optional(),
  sizeBytes: z.int(),
});

export type FileOfVersion = Readonly<z.infer<typeof fileOfVersionSchema>>;

export const cachedBytesBodySchema = z.object({ files: z.array(fileOfVersionSchema) });

/** In the order of the files. */
export const cachedBytesSchema = z.object({ bytes: z.array(z.int()) });

/** Calls between members of a cluster, on the REST port of a worker, with the peer mark. */
export const controlTargets = {
  /** POST `?path=`: drops what is cached below a path. */
  free: '/internal/peer/control/free',
  /** POST: drops everything. */
  freeAll: '/internal/peer/control/free-all',
  /** POST of files: how much of them this worker has. */
  cachedBytes: '/internal/peer/control/cached-bytes',
  /** POST of a batch of files: loads them (`load-batch.ts`). Ends with the connection. */
  load: '/internal/peer/control/load',
  /** GET; POST `?level=` changes it. */
  logLevel: '/internal/peer/control/log-level',
  /** GET */
  stats: '/internal/peer/control/stats',
  /** GET; POST measures the disks as well, and so writes to them. */
  diagnosis: '/internal/peer/control/diagnosis',
} as const;
