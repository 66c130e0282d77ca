/** What the commands of `alluxio job` do. Texts and JSON of `load` are Alluxio's. */

import type { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import { jobMessages, jobProgressData, jobProgressText } from '@alluxio-ts/common/job-report';
import { isEnded, type Job, type JobKind, type JobState, subjectOf } from '@alluxio-ts/common/protocol/jobs';
import { formatCount, formatSize } from '@alluxio-ts/common/units';
import { formatFreed } from './cache-commands.ts';
import { withCoordinator } from './connections.ts';
import { type JsonFlag, print } from './answer.ts';
import { ExitStatus, type ProgramOptions, tell } from './context.ts';
import { formatTime } from './file-format.ts';
import { waitForJob } from './job-wait.ts';
import { printable } from './printable.ts';
import { formatStructured } from './structured-text.ts';

export interface LoadFlags extends JsonFlag {
  readonly path?: string;
  readonly indexFile?: string;
  readonly submit?: true;
  readonly progress?: true;
  readonly stop?: true;
  readonly dryRun?: true;
  readonly wait?: true;
  readonly alias?: string;
  readonly bandwidth?: number;
  readonly batchSize?: number;
  readonly replicas?: number;
  readonly fileFilterRegx?: string;
  readonly metadataOnly?: true;
  readonly partialListing?: true;
  readonly skipIfExists?: true;
  readonly verify?: true;
  readonly verbose?: true;
  readonly format: 'TEXT' | 'JSON';
}

export async function load(context: ProgramOptions, flags: LoadFlags): Promise<void> {
  const path = subjectOfFlags(flags);
  const verbs = (['progress', 'stop', 'submit'] as const).filter((verb) => flags[verb]);
  if (flags.dryRun && verbs.some((verb) => verb !== 'submit')) throw oneVerb();
  if (verbs.length === 0 && !flags.dryRun) {
    throw new AlluxioError('InvalidArgument', 'Did not specify an operation flag: [progress stop submit]');
  }
  if (verbs.length > 1) throw oneVerb();
  await withCoordinator(context, async (client) => {
    if (flags.progress) return progress(context, client, flags, path);
    if (flags.stop) return stop(context, client, flags, path);
    return submit(context, client, flags, path);
  });
}

function oneVerb(): AlluxioError {
  return new AlluxioError('InvalidArgument', 'give one of --submit, --progress, --stop and --dry-run');
}

function subjectOfFlags({ alias, indexFile, path }: LoadFlags): string {
  const [subject, ...more] = [path, indexFile].filter((text) => text !== undefined);
  if (more.length > 0) throw new AlluxioError('InvalidArgument', 'give one of --path and --index-file');
  const known = subject ?? alias;
  if (known === undefined) throw new AlluxioError('InvalidArgument', 'say what: by --path or --index-file');
  return known;
}

async function submit(
  context: ProgramOptions,
  client: CoordinatorClient,
  flags: LoadFlags,
  path: string,
): Promise<void> {
  const { job, isNew } = await submitted(client, flags, path);
  const waits = flags.wait || flags.dryRun;
  if (!waits) {
    const message = isNew ? jobMessages.submitted(path, job.id) : jobMessages.running(path);
    await print(context, flags, { data: { id: job.id, isNew, state: job.state }, text: `${message}\n` });
    return;
  }
  const ended = await waitForJob(context, client, job.id);
  context.stdout.write(
    flags.dryRun && !isJson(flags) ? dryRunText(ended, path) : reportOf(ended, flags, path),
  );
  endAs(context, ended, path);
}

/** Whoever waits is told by the exit code, and on standard error why. */
function endAs(context: ProgramOptions, { failure, state }: Job, path: string): void {
  if (state === 'SUCCEEDED') return;
  const reason = failure ? `: ${failure.message}` : '';
  tell(context, `the load of ${path} ended as ${state}${reason}`);
  throw new ExitStatus(1);
}

async function submitted(client: CoordinatorClient, flags: LoadFlags, path: string) {
  try {
    return await client.submitJob({
      kind: 'LOAD',
      ...(flags.indexFile === undefined ? { paths: [path] } : { index: path }),
      ...(flags.alias === undefined ? {} : { alias: flags.alias }),
      options: {
        ...(flags.batchSize === undefined ? {} : { batchSize: flags.batchSize }),
        ...(flags.replicas === undefined ? {} : { replicas: flags.replicas }),
        ...(flags.fileFilterRegx === undefined ? {} : { fileFilterRegex: flags.fileFilterRegx }),
        bandwidth: flags.bandwidth ?? 0,
        skipIfExists: flags.skipIfExists ?? false,
        loadMetadataOnly: flags.metadataOnly ?? false,
        partialListing: flags.partialListing ?? false,
        verify: flags.verify ?? false,
        dryRun: flags.dryRun ?? false,
      },
    });
  } catch (thrown) {
    const { code, message } = toAlluxioError(thrown);
    if (code === 'Unreachable') throw thrown;
    throw new AlluxioError(code, jobMessages.notSubmitted(path, message), { cause: thrown });
  }
}

async function progress(
  context: ProgramOptions,
  client: CoordinatorClient,
  flags: LoadFlags,
  path: string,
): Promise<void> {
  const job = await found(client, flags, path);
  if (!job) throw new AlluxioError('JobNotFound', jobMessages.notFound(path));
  const known = flags.wait && !isEnded(job) ? await waitForJob(context, client, job.id) : job;
  context.stdout.write(reportOf(known, flags, path));
  if (flags.wait) endAs(context, known, path);
}

async function stop(
  context: ProgramOptions,
  client: CoordinatorClient,
  flags: LoadFlags,
  path: string,
): Promise<void> {
  const job = await found(client, flags, path);
  if (!job || isEnded(job)) throw new AlluxioError('JobNotFound', jobMessages.nothingToStop(path));
  await client.stopJob(job.id);
  if (flags.wait) await waitForJob(context, client, job.id);
  await print(context, flags, { data: { id: job.id }, text: `${jobMessages.stopped(path)}\n` });
}

async function found(client: CoordinatorClient, flags: LoadFlags, path: string): Promise<Job | undefined> {
  const { alias, indexFile } = flags;
  const selector =
    indexFile !== undefined ? { index: path } : flags.path === undefined ? { alias } : { path };
  const [job] = await client.listJobs({ kind: 'LOAD', ...selector });
  return job;
}

function isJson({ format, json }: Pick<LoadFlags, 'format' | 'json'>): boolean {
  return format === 'JSON' || json === true;
}

function reportOf(job: Job, flags: LoadFlags, path: string): string {
  const options = { path, isVerbose: flags.verbose === true, nowMs: Date.now() };
  return isJson(flags) ? jsonOf(jobProgressData(job, options)) : jobProgressText(job, options);
}

function dryRunText({ failure, missingRoomBytes = 0, shown, state }: Job, path: string): string {
  if (state !== 'SUCCEEDED') return `The dry run of '${path}' ended as ${state}: ${failure?.message ?? ''}\n`;
  const missingBytes = shown.scannedBytes - shown.heldBytes;
  return [
    `A load of '${path}' would come to:`,
    `\tFiles: ${shown.scannedFiles}`,
    `\tBytes: ${formatSize(shown.scannedBytes)}`,
    `\tCached already: ${formatSize(shown.heldBytes)}`,
    `\tTo be fetched: ${formatSize(missingBytes)}`,
    `\tTo be evicted to make room: ${formatSize(missingRoomBytes)}`,
    '',
  ].join('\n');
}

export interface FreeFlags extends JsonFlag {
  readonly path: string;
  readonly submit?: true;
  readonly wait?: true;
}

export async function free(context: ProgramOptions, flags: FreeFlags): Promise<void> {
  const { path } = flags;
  if (!flags.submit) {
    throw new AlluxioError('InvalidArgument', 'Did not specify an operation flag: [submit]');
  }
  await withCoordinator(context, async (client) => {
    const { job } = await client.submitJob({ kind: 'FREE', paths: [path] });
    if (!flags.wait) {
      const text = `Free '${path}' is successfully submitted. JobId: ${job.id}\n`;
      await print(context, flags, { data: { id: job.id, state: job.state }, text });
      return;
    }
    const ended = await waitForJob(context, client, job.id);
    const { freedBytes, freedPages, processedFiles } = ended.shown;
    const freed = { fileCount: processedFiles, pageCount: freedPages, freedBytes };
    if (ended.state === 'SUCCEEDED') {
      const data = { id: job.id, state: ended.state, ...freed };
      await print(context, flags, { data, text: `Freed ${path}: ${formatFreed(freed)}\n` });
      return;
    }
    throw new AlluxioError(
      'Unreachable',
      `${path} was not freed everywhere: ${ended.failure?.message ?? ended.state}`,
    );
  });
}

export interface ListFlags extends JsonFlag {
  readonly jobType: JobKind | 'ALL';
  readonly jobState: JobState | 'ALL';
}

export async function list(context: ProgramOptions, flags: ListFlags): Promise<void> {
  const { jobState, jobType } = flags;
  const jobs = await withCoordinator(context, (client) =>
    client.listJobs({
      ...(jobType === 'ALL' ? {} : { kind: jobType }),
      ...(jobState === 'ALL' ? {} : { state: jobState }),
    }),
  );
  const header = ['JobId', 'Type', 'State', 'Submitted', 'Done', 'Path'];
  const rows = jobs.map(rowOf).map((job) => {
    const failed = job.failedFiles === 0 ? '' : `, ${job.failedFiles} failed`;
    const done = `${formatCount(job.fileCount, 'file')}, ${formatSize(job.loadedBytes)}${failed}`;
    return [job.id, job.kind, job.state, job.submitted, done, printable(job.path)];
  });
  await print(context, flags, {
    data: { jobs: jobs.map(rowOf) },
    text: [header, ...rows].map((row) => `${row.join('\t')}\n`).join(''),
    table: { header, rows, whole: [0] },
  });
}

function rowOf(job: Job) {
  const { freedBytes, heldBytes, loadedBytes, failedFiles, processedFiles } = job.shown;
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    submitted: formatTime(job.submittedMs),
    fileCount: processedFiles,
    loadedBytes: job.kind === 'FREE' ? freedBytes : loadedBytes + heldBytes,
    failedFiles,
    path: subjectOf(job),
  };
}

function jsonOf(value: Parameters<typeof formatStructured>[0]): string {
  return formatStructured(value, 'json');
}
