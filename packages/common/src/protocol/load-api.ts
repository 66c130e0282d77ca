/** Jobs on the coordinator's port: our calls, and `/api/v1/load` as Alluxio 3.x has it (its REST reference; what is not said there is our choice). */

import { z } from 'zod';
import { elapsedMsOf, loadedBytesOf, skippedBytesOf, totalBytesOf } from '../job-report.ts';
import { errorBodySchema } from './error-body.ts';
import { isEnded, type Job, jobKinds, jobPathsMax, jobSchema, jobStates, loadOptionsSchema } from './jobs.ts';
import type { ErrorShape } from './operation.ts';

const pathSchema = z.string().min(1).max(4096);
const pathsSchema = z.array(pathSchema).min(1).max(jobPathsMax);
const aliasSchema = z.string().min(1).max(256);

/** Paths of under storages or of the namespace, or a file that names one on each line: exactly one of the two. */
export const submitJobBodySchema = z.strictObject({
  kind: z.enum(jobKinds).default('LOAD'),
  paths: pathsSchema.optional(),
  index: pathSchema.optional(),
  alias: aliasSchema.optional(),
  options: loadOptionsSchema.prefault({}),
});

export const submittedJobSchema = z.object({
  job: jobSchema,
  /** False for one that did the same already. */
  isNew: z.boolean(),
});

const countTextSchema = z.string().regex(/^[1-9]\d{0,3}$/);

export const jobsQuerySchema = z.strictObject({
  id: z.string().min(1).optional(),
  kind: z.enum(jobKinds).optional(),
  state: z.enum(jobStates).optional(),
  /** Those about this path alone, the newest of them. */
  path: pathSchema.optional(),
  index: pathSchema.optional(),
  alias: aliasSchema.optional(),
  lastKey: z.string().min(1).optional(),
  count: countTextSchema.optional(),
});

export const jobListSchema = z.object({ jobs: z.array(jobSchema) });

export const stopJobQuerySchema = z.strictObject({ id: z.string().min(1) });

export const jobAnswerSchema = z.object({ job: jobSchema });

/** The body of a submission as Alluxio has it; `sync` waits until the job has ended. */
export const loadBodySchema = z.strictObject({
  paths: pathsSchema.optional(),
  index: pathSchema.optional(),
  alias: aliasSchema.optional(),
  options: loadOptionsSchema.extend({ sync: z.boolean().default(false) }).prefault({}),
});

export const loadSubmittedSchema = z.object({
  id: z.string(),
  alias: z.string(),
  state: z.enum(jobStates),
  status: z.string(),
});

export const loadQuerySchema = z.strictObject({
  id: z.string().min(1).optional(),
  index: pathSchema.optional(),
  alias: aliasSchema.optional(),
  lastKey: z.string().min(1).optional(),
  count: countTextSchema.optional(),
});

const quotaSchema = z.object({ totalBytes: z.int(), remaining: z.int() });

/** Alluxio leaves out what is empty. */
const loadViewSchema = z.object({
  id: z.string(),
  alias: z.string().optional(),
  startTime: z.string().optional(),
  state: z.enum(jobStates),
  runningState: z.string().optional(),
  errorMessage: z.record(z.string(), z.string()).optional(),
  failedFileListPath: z.string().optional(),
  paths: z.array(z.string()).optional(),
  index: z.string().optional(),
  skipIfExists: z.boolean(),
  loadMetadataOnly: z.boolean(),
  verify: z.boolean(),
  bandwidth: z.int(),
  timeElapsedMilliseconds: z.int(),
  loadedBytes: z.int(),
  skippedBytes: z.int(),
  totalBytes: z.int(),
  loadedNonEmptyFiles: z.int(),
  failedFiles: z.int(),
  scannedFiles: z.int(),
  quota: quotaSchema,
});

export type LoadView = z.infer<typeof loadViewSchema>;

/** One job where one was asked for, else a page of them. */
export const loadAnswerSchema = z.union([z.object({ results: z.array(loadViewSchema) }), loadViewSchema]);

export const stopLoadBodySchema = z.strictObject({
  id: z.string().min(1).optional(),
  paths: pathsSchema.optional(),
  index: pathSchema.optional(),
  alias: aliasSchema.optional(),
});

/** `{"status": "<reason>"}`, and our fields beside it. */
export const loadErrors: ErrorShape = {
  schema: errorBodySchema.extend({ status: z.string() }),
  of: (failure) => ({ ...failure, status: failure.message }),
};

/** How many failures a view tells of. */
const failuresShown = 20;

export function loadViewOf(job: Job, nowMs: number): LoadView {
  const { alias, failure, failures, failedFilesPath, id, index, options, paths, shown, startedMs, state } =
    job;
  const errors = failures.slice(-failuresShown).map(({ path, message }) => [path, message] as const);
  const errorMessage = Object.fromEntries(failure ? [['job', failure.message] as const, ...errors] : errors);
  const isRunning = !isEnded(job) && state !== 'WAITING';
  return {
    id,
    ...(alias === undefined ? {} : { alias }),
    ...(startedMs === undefined ? {} : { startTime: new Date(startedMs).toISOString() }),
    state,
    ...(isRunning ? { runningState: state === 'VERIFYING' ? 'VERIFYING' : 'LOADING' } : {}),
    ...(Object.keys(errorMessage).length === 0 ? {} : { errorMessage }),
    ...(failedFilesPath === undefined ? {} : { failedFileListPath: failedFilesPath }),
    ...(paths.length === 0 ? {} : { paths: [...paths] }),
    ...(index === undefined ? {} : { index }),
    skipIfExists: options.skipIfExists,
    loadMetadataOnly: options.loadMetadataOnly,
    verify: options.verify,
    bandwidth: options.bandwidth,
    timeElapsedMilliseconds: elapsedMsOf(job, nowMs),
    loadedBytes: loadedBytesOf(job),
    skippedBytes: skippedBytesOf(job),
    totalBytes: totalBytesOf(job),
    loadedNonEmptyFiles: shown.processedFiles - shown.failedFiles,
    failedFiles: shown.failedFiles,
    scannedFiles: shown.scannedFiles,
    quota: { totalBytes: 0, remaining: 0 },
  };
}
