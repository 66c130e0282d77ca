/**
 * What is told of a load job, in the words and shapes of Alluxio: the text of `job load --progress`, its JSON, and the object of the REST API.
 * Source: Alluxio's `DoraLoadJob.java` for text and JSON, its REST reference for the object.
 */

import { definedFields } from './defined-fields.ts';
import { isEnded, type Job } from './protocol/jobs.ts';
import { formatCount, formatSize } from './units.ts';

export interface JobReportOptions {
  /** The path as whoever asks has written it. */
  readonly path: string;
  /** Adds the stage, and the last failures. */
  readonly isVerbose: boolean;
  readonly nowMs: number;
}

/** Rows of the last failures in a verbose report. */
const failuresShown = 10;

/** Ends with a line feed. */
export function jobProgressText(job: Job, { path, isVerbose, nowMs }: JobReportOptions): string {
  const { options, shown, failure } = job;
  const elapsedMs = elapsedMsOf(job, nowMs);
  const throughput = throughputOf(job, elapsedMs);
  const total = options.partialListing ? '' : ` out of ${formatSize(totalBytesOf(job))}`;
  const reason = failure ? ` (${failure.code}: ${failure.message})` : '';
  const bandwidth = options.bandwidth === 0 ? 'unlimited' : options.bandwidth;
  const rows = [
    `Settings:\tbandwidth: ${bandwidth}\tverify: ${options.verify}\tmetadata-only: ${options.loadMetadataOnly}`,
    `Time Elapsed: ${clockText(elapsedMs)}`,
    `Job State: ${job.state}${reason}`,
    isVerbose && job.state === 'RUNNING' && `Stage: ${stageOf(job)}`,
    `Inodes Scanned: ${shown.scannedFiles}`,
    `Inodes Processed: ${shown.processedFiles}`,
    options.skipIfExists && `Bytes Skipped: ${formatSize(shown.heldBytes)}${total}`,
    !options.loadMetadataOnly && `Bytes Loaded: ${formatSize(loadedBytesOf(job))}${total}`,
    !options.loadMetadataOnly && throughput !== undefined && `Throughput: ${formatSize(throughput)}/s`,
    shown.repairedBytes > 0 && `Bytes Fetched Again To Repair: ${formatSize(shown.repairedBytes)}`,
    job.givingWayWorkers && `Gives Way To Readers: on ${formatCount(job.givingWayWorkers, 'worker')}`,
    `File Failure rate: ${percentText(shown.failedFiles, shown.scannedFiles)}`,
    `Subtask Failure rate: ${percentText(shown.failedFiles, shown.dispatchedFiles)}`,
    `Files Failed: ${shown.failedFiles}`,
    isVerbose && `Recent failed subtasks: ${recentFailures(job)}`,
    `Subtask Retry rate: ${percentText(shown.retriedFiles, shown.dispatchedFiles)}`,
    'Subtasks on Retry Dead Letter Queue: 0',
    job.failedFilesPath !== undefined && `Failed files saved to: ${job.failedFilesPath}`,
  ].filter((row) => typeof row === 'string');
  return `Progress for loading path '${path}':\n${rows.map((row) => `\t${row}\n`).join('')}`;
}

export type JobProgressData = Readonly<Record<string, string | number | boolean>>;

/** Alluxio's names; what is not known is left out. */
export function jobProgressData(job: Job, { isVerbose, nowMs }: JobReportOptions): JobProgressData {
  const { options, shown } = job;
  const elapsedMs = elapsedMsOf(job, nowMs);
  return definedFields({
    mVerbose: isVerbose,
    mJobState: job.state,
    mBandwidth: options.bandwidth || undefined,
    mVerificationEnabled: options.verify,
    mSkippedByteCount: skippedBytesOf(job),
    mLoadedByteCount: options.loadMetadataOnly ? undefined : loadedBytesOf(job),
    mScannedInodesCount: shown.scannedFiles,
    mProcessedInodesCount: shown.processedFiles,
    mTotalByteCount: options.partialListing ? undefined : totalBytesOf(job),
    mThroughput: options.loadMetadataOnly ? undefined : throughputOf(job, elapsedMs),
    mFailureFilesPercentage: percentOf(shown.failedFiles, shown.scannedFiles),
    mFailureSubTasksPercentage: percentOf(shown.failedFiles, shown.dispatchedFiles),
    mRetrySubTasksPercentage: percentOf(shown.retriedFiles, shown.dispatchedFiles),
    mFailureReason: job.failure && `${job.failure.code}: ${job.failure.message}`,
    mFailedFileCount: shown.failedFiles,
    mRecentFailedSubtasksWithReasons: isVerbose ? recentFailures(job) : undefined,
    mSkipIfExists: options.skipIfExists,
    mMetadataOnly: options.loadMetadataOnly,
    mRunningStage: job.state === 'RUNNING' ? stageOf(job) : undefined,
    mRetryDeadLetterQueueSize: 0,
    mTimeElapsed: elapsedMs,
    mFailedFileSavedPath: job.failedFilesPath,
  });
}

/** Where it stands of a whole, for a bar: done of all, or undefined while nobody knows of how many. */
export function shareDoneOf(job: Job): number | undefined {
  const { shown, total } = job;
  if (isEnded(job) && job.state === 'SUCCEEDED') return 1;
  if (!total?.isComplete) return undefined;
  if (total.bytes > 0 && !job.options.loadMetadataOnly) {
    return Math.min(1, (shown.loadedBytes + shown.heldBytes) / total.bytes);
  }
  return total.files === 0 ? 1 : Math.min(1, shown.processedFiles / total.files);
}

export function elapsedMsOf({ endedMs, startedMs }: Job, nowMs: number): number {
  return startedMs === undefined ? 0 : Math.max(0, (endedMs ?? nowMs) - startedMs);
}

/** What was here already is loaded too, unless the job is to skip it. */
export function loadedBytesOf(job: Job): number {
  return job.shown.loadedBytes + job.shown.heldBytes - skippedBytesOf(job);
}

/** As far as is known. */
export function totalBytesOf({ shown, total }: Job): number {
  return Math.max(shown.scannedBytes, total?.bytes ?? 0);
}

/** What was here already, where the job is to skip it. */
export function skippedBytesOf({ options, shown }: Job): number {
  return options.skipIfExists ? shown.heldBytes : 0;
}

/** Bytes per second; undefined within the first second. */
function throughputOf(job: Job, elapsedMs: number): number | undefined {
  const seconds = Math.floor(elapsedMs / 1000);
  return seconds === 0 ? undefined : Math.floor(loadedBytesOf(job) / seconds);
}

/** Everything is listed soon, long before it is loaded: only what failed before makes it retrying. */
function stageOf({ shown, total }: Job): string {
  const isListed = total?.isComplete && shown.scannedFiles === total.files;
  return isListed && shown.retriedFiles > 0 ? 'RETRYING' : 'LOADING';
}

function recentFailures({ failures }: Job): string {
  return failures
    .slice(-failuresShown)
    .map(({ path, code, message }) => `\n\t\t${path}: ${code}: ${message}`)
    .join('');
}

/** `NaN` over nothing, as Alluxio prints it. */
function percentText(part: number, whole: number): string {
  return whole === 0 ? 'NaN%' : `${((100 * part) / whole).toFixed(2)}%`;
}

function percentOf(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : Math.round((10_000 * part) / whole) / 100;
}

/** `00:00:02`. */
export function clockText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

/** Alluxio's messages about jobs, to the letter. */
export const jobMessages = {
  submitted: (path: string, id: string) => `Load '${path}' is successfully submitted. JobId: ${id}`,
  running: (path: string) => `Load already running for path '${path}'`,
  notSubmitted: (path: string, reason: string) => `Failed to submit load job ${path}: ${reason}`,
  stopped: (path: string) => `Load '${path}' is successfully stopped.`,
  nothingToStop: (path: string) =>
    `Cannot find load job for path ${path}, it might have already been stopped or finished`,
  notFound: (path: string) => `Load for path '${path}' cannot be found.`,
} as const;
