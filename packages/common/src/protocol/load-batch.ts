/** A batch of a load job, as the coordinator hands it to the worker that owns its files, and what the worker says of it. */

import { z } from 'zod';
import { errorCodes } from '../errors.ts';

export const loadModes = [
  /** Bytes and what is known of the file. */
  'load',
  /** What is known of the file alone. */
  'metadata',
  /** As `load`; what is here already is read and checked. */
  'verify',
  /** Nothing is fetched: says what is here. */
  'look',
] as const;

export type LoadMode = (typeof loadModes)[number];

export const loadBatchFilesMax = 10_000;

/** `version` and the fields behind it as a listing gave them; without a version the worker asks the under storage. */
const loadFileSchema = z.object({
  ufsPath: z.string().min(1),
  /** Pages before this one are done. */
  fromPage: z.int().min(0).default(0),
  sizeBytes: z.int().min(0).optional(),
  version: z.string().optional(),
});

export type LoadFile = Readonly<z.infer<typeof loadFileSchema>>;

export const loadBatchSchema = z.object({
  /** Batches of one job share its part of the worker. */
  jobId: z.string().min(1),
  mode: z.enum(loadModes),
  files: z.array(loadFileSchema).max(loadBatchFilesMax),
  /** How long ago the listing was asked that `version` is from, at most. */
  listedAgeMs: z.number().min(0),
  /** No page is begun after it; what is left comes back as unfinished. */
  deadlineMs: z.int().min(1),
  /** Of this worker, for this job; 0 is no limit. */
  bandwidthBytesPerSecond: z.number().min(0).default(0),
});

export type LoadBatch = Readonly<z.infer<typeof loadBatchSchema>>;

export const loadBatchResultSchema = z.object({
  /** Files that are done, without those named below. */
  doneFiles: z.int(),
  /** Bytes of pages that were fetched, and of pages that were here before; without those behind a failure. */
  loadedBytes: z.int(),
  heldBytes: z.int(),
  /** Bytes of whole files that the batch learned the size of by itself: those that came without a version. */
  learnedBytes: z.int(),
  /** Whether jobs had to do less than they could at its end, for the sake of readers. */
  givesWay: z.boolean().default(false),
  /** By their place in the batch. */
  unfinished: z.array(z.object({ index: z.int(), fromPage: z.int() })),
  /** Files of another worker, as far as this one knows. */
  strayed: z.array(z.int()),
  failed: z.array(
    z.object({
      index: z.int(),
      fromPage: z.int(),
      code: z.enum(errorCodes as [(typeof errorCodes)[number]]),
      message: z.string(),
      /** Whether the same may succeed after a pause. */
      mayPass: z.boolean(),
    }),
  ),
});

export type LoadBatchResult = z.infer<typeof loadBatchResultSchema>;
export type LoadFailure = LoadBatchResult['failed'][number];
