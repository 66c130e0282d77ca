/**
 * `/v1/load` as Alluxio's workers have it: submits, stops and follows a load, which the coordinator runs. Answers are texts of JSON with the status 200, of which
 * clients look at `success` or `jobState`. Source: `HttpLoadService.java` and `HttpLoadOptions.java` of Alluxio.
 */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import { jobMessages, jobProgressData, jobProgressText } from '@alluxio-ts/common/job-report';
import { isEnded, type Job } from '@alluxio-ts/common/protocol/jobs';
import type { RestTarget } from './rest-target.ts';
import { countParameter, requiredParameter } from './rest-target.ts';

export interface LoadCallOptions {
  /** Undefined where the worker knows of none. */
  readonly coordinator: CoordinatorClient | undefined;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/** What becomes JSON. Fails with NotImplemented without a coordinator, with InvalidArgument for an `opType` that is none. */
export async function answerLoad(target: RestTarget, options: LoadCallOptions): Promise<object> {
  const path = requiredParameter(target, 'path');
  const operation = requiredParameter(target, 'opType').toLowerCase();
  const { coordinator } = options;
  if (!coordinator)
    throw new AlluxioError('NotImplemented', 'this worker has no coordinator that could run loads');
  switch (operation) {
    case 'submit':
      return submit(path, target, coordinator, options);
    case 'stop':
      return stop(path, coordinator, options);
    case 'progress':
      return progress(path, target, coordinator, options);
    default:
      throw new AlluxioError('InvalidArgument', 'opType is one of submit, stop and progress');
  }
}

async function submit(
  path: string,
  target: RestTarget,
  coordinator: CoordinatorClient,
  { signal }: LoadCallOptions,
): Promise<object> {
  try {
    const fileFilterRegex = target.query.get('fileFilterRegx');
    const options = {
      partialListing: isSet(target, 'partialListing'),
      verify: isSet(target, 'verify'),
      loadMetadataOnly: isSet(target, 'loadMetadataOnly'),
      skipIfExists: isSet(target, 'skipIfExists'),
      bandwidth: countParameter(target, 'bandwidth') ?? 0,
      ...(fileFilterRegex ? { fileFilterRegex } : {}),
    };
    const { isNew, job } = await coordinator.submitJob({ kind: 'LOAD', paths: [path], options }, { signal });
    const message = isNew ? `${jobMessages.submitted(path, job.id)}\n` : `${jobMessages.running(path)} \n`;
    return { success: true, jobId: job.id, path, message };
  } catch (thrown) {
    signal.throwIfAborted();
    const { message } = toAlluxioError(thrown);
    return { success: false, jobId: 'NONE', path, message: jobMessages.notSubmitted(path, message) };
  }
}

async function stop(
  path: string,
  coordinator: CoordinatorClient,
  { signal }: LoadCallOptions,
): Promise<object> {
  const job = await newest(path, coordinator, signal);
  const isStopped = job !== undefined && !isEnded(job) && (await stopped(job, coordinator, signal));
  const message = isStopped ? jobMessages.stopped(path) : jobMessages.nothingToStop(path);
  return { success: isStopped, path, message: `${message}\n` };
}

async function stopped({ id }: Job, coordinator: CoordinatorClient, signal: AbortSignal): Promise<boolean> {
  try {
    await coordinator.stopJob(id, { signal });
    return true;
  } catch (thrown) {
    if (hasErrorCode(thrown, 'JobNotFound')) return false;
    throw thrown;
  }
}

async function progress(
  path: string,
  target: RestTarget,
  coordinator: CoordinatorClient,
  { nowMs, signal }: LoadCallOptions,
): Promise<object> {
  const found = await newest(path, coordinator, signal);
  // alluxiofs knows no job that waits, and fails at the word.
  const job: Job | undefined = found?.state === 'WAITING' ? { ...found, state: 'RUNNING' } : found;
  if (!job) return { jobState: 'FAILED', path, message: jobMessages.notFound(path), respProperties: {} };
  const report = { path, isVerbose: isSet(target, 'verbose'), nowMs };
  const text = jobProgressText(job, report);
  const isJson = target.query.get('progressFormat')?.toUpperCase() === 'JSON';
  return {
    jobState: job.state,
    path,
    message: isJson ? JSON.stringify(jobProgressData(job, report)) : text,
    respProperties: propertiesOf(text),
  };
}

async function newest(
  path: string,
  coordinator: CoordinatorClient,
  signal: AbortSignal,
): Promise<Job | undefined> {
  const [job] = await coordinator.listJobs({ kind: 'LOAD', path }, { signal });
  return job;
}

/** The rows of the report behind its first, each cut at its colons: the first two pieces. */
function propertiesOf(text: string): Readonly<Record<string, string>> {
  const rows = text.split('\n').map((row) => row.split(':'));
  return Object.fromEntries(
    rows.flatMap(([name = '', value]) => (value === undefined ? [] : [[name.trim(), value.trim()]])),
  );
}

function isSet(target: RestTarget, name: string): boolean {
  return target.query.get(name)?.toLowerCase() === 'true';
}
