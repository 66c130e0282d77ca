/** A job as the state store keeps it: what was asked, how far it is, what came of it. Alluxio's words for states and options. */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';
import { loadBatchFilesMax } from './load-batch.ts';
import type { Unchanging } from './operation.ts';
import { compilePattern } from './rules.ts';

/** Under this prefix lies one entry a job, named by its id. */
export function jobsPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/jobs/`;
}

/** Under this prefix lies, under a lease, who runs a job. */
export function jobLocksPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/locks/jobs/`;
}

/** Put by every submission. */
export function jobsGuardKeyOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/locks/jobs-guard`;
}

export const jobKinds = ['LOAD', 'FREE'] as const;
export type JobKind = (typeof jobKinds)[number];

export const jobStates = ['WAITING', 'RUNNING', 'VERIFYING', 'STOPPED', 'SUCCEEDED', 'FAILED'] as const;
export type JobState = (typeof jobStates)[number];

export const jobPathsMax = 1000;
const textMaxChars = 4096;

/** Alluxio's older API gives every value as text. */
const flagSchema = z
  .union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
  .default(false);
const countSchema = z.union([
  z.int(),
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number),
]);

export const loadOptionsSchema = z.strictObject({
  /** Files that a worker is handed at a time. */
  batchSize: countSchema.pipe(z.int().min(1).max(loadBatchFilesMax)).default(200),
  /** Files whose whole UFS path matches are left out. */
  fileFilterRegex: z
    .string()
    .max(textMaxChars)
    .refine(isPattern, { error: 'is not a regular expression' })
    .optional(),
  /** One is what a cluster keeps. */
  replicas: countSchema.pipe(z.literal(1, { error: 'only one replica is kept of a file' })).default(1),
  /** What is cached already counts as skipped instead of as loaded. */
  skipIfExists: flagSchema,
  loadMetadataOnly: flagSchema,
  /** When all is loaded, everything is listed again, and read back from the cache. */
  verify: flagSchema,
  /** Bytes per second of all workers together; 0 is no limit. */
  bandwidth: countSchema.pipe(z.int().min(0)).default(0),
  /** Begins without counting everything first, so that nothing is known of a total. */
  partialListing: flagSchema,
  /** Nothing is loaded: says how much there is, how much of it is cached, and what room is missing. */
  dryRun: flagSchema,
});

export type LoadOptions = Readonly<z.infer<typeof loadOptionsSchema>>;
export const defaultLoadOptions: LoadOptions = loadOptionsSchema.parse({});

const countsSchema = z.object({
  /** Files that the listing has given, without those left out. */
  scannedFiles: z.int().default(0),
  /** Of those, the ones that are done or have failed. */
  processedFiles: z.int().default(0),
  /** Bytes of the files scanned. */
  scannedBytes: z.int().default(0),
  /** Bytes that workers fetched, and bytes that they had. */
  loadedBytes: z.int().default(0),
  heldBytes: z.int().default(0),
  /** Bytes that were fetched once more, since the cache had lost them, or not as they were, when they were verified. */
  repairedBytes: z.int().default(0),
  failedFiles: z.int().default(0),
  /** Files that were handed out again after a failure. */
  retriedFiles: z.int().default(0),
  /** Files and calls handed to workers. */
  dispatchedFiles: z.int().default(0),
  /** Of a free: pages and bytes that went. */
  freedPages: z.int().default(0),
  freedBytes: z.int().default(0),
});

export type JobCounts = z.infer<typeof countsSchema>;
export const noCounts: Readonly<JobCounts> = countsSchema.parse({});

export function sumOfCounts(one: Readonly<JobCounts>, other: Readonly<Partial<JobCounts>>): JobCounts {
  const sum = { ...one };
  for (const name of Object.keys(noCounts) as (keyof JobCounts)[]) sum[name] += other[name] ?? 0;
  return sum;
}

const failureSchema = z.object({ path: z.string(), code: z.string(), message: z.string() });
export type JobFailure = Readonly<z.infer<typeof failureSchema>>;

/** How many of the last failures an entry keeps; the file of failures has all. */
export const jobFailuresKept = 100;

const cursorSchema = z.object({
  /** `verify` is the second pass over everything. */
  pass: z.enum(['load', 'verify']),
  /** Which of the paths, and the key (of an index, the byte) up to which everything is done. */
  source: z.int(),
  after: z.string().optional(),
});

export type JobCursor = Readonly<z.infer<typeof cursorSchema>>;

/** Version N reads what N−1 wrote, and N−1 what N wrote: it leaves out what it does not know. */
export const jobSchema = z.object({
  schema: z.literal(1),
  id: z.string(),
  kind: z.enum(jobKinds),
  alias: z.string().optional(),
  /** UFS paths or paths of the namespace, as they were given. Empty for a job with an index. */
  paths: z.array(z.string()),
  /** UFS path of a file that names a file on each line. */
  index: z.string().optional(),
  options: z.object(loadOptionsSchema.shape),
  state: z.enum(jobStates),
  /** Somebody wants it to end; its runner will see to it. */
  isStopping: z.boolean().default(false),
  submittedMs: z.number(),
  startedMs: z.number().optional(),
  endedMs: z.number().optional(),
  /** Up to here everything is done and counted in `counts`: what comes behind is done again after a crash. */
  cursor: cursorSchema,
  counts: countsSchema,
  /** `counts` and what was counted behind the cursor, for those who look on. */
  shown: countsSchema,
  /** What all of it comes to, once it was counted. */
  total: z.object({ files: z.int(), bytes: z.int(), isComplete: z.boolean() }).optional(),
  /** While it runs: how many workers do less for it than they could, for the sake of readers. */
  givingWayWorkers: z.int().optional(),
  /** Of a dry run. */
  missingRoomBytes: z.int().optional(),
  failure: z.object({ code: z.string(), message: z.string() }).optional(),
  /** The last ones. */
  failures: z.array(failureSchema),
  /** Where the coordinator that ran it has written all of them. */
  failedFilesPath: z.string().optional(),
});

export type Job = Unchanging<z.infer<typeof jobSchema>>;

export function encodeJob(job: Job): string {
  return JSON.stringify(job);
}

/** Throws Internal naming the key and the field when the value is not a job that this version reads. */
export function decodeJob(key: string, value: string): Job {
  const parsed = jobSchema.safeParse(parseJson(value));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const fault = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
  throw new AlluxioError('Internal', `the state store's value at ${key} is not a job of schema 1 (${fault})`);
}

export function isEnded({ state }: Pick<Job, 'state'>): boolean {
  return state === 'STOPPED' || state === 'SUCCEEDED' || state === 'FAILED';
}

/** What a job is about, as it is called in messages: its paths, or its index. */
export function subjectOf({ index, paths }: Pick<Job, 'index' | 'paths'>): string {
  return index ?? paths.join(',');
}

function isPattern(text: string): boolean {
  try {
    compilePattern(text);
    return true;
  } catch {
    return false;
  }
}
