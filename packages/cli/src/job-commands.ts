/** `alluxio job`: loads files into the cache ahead of their readers, and frees them. */

import { jobKinds, jobStates } from '@alluxio-ts/common/protocol/jobs';
import { loadBatchFilesMax } from '@alluxio-ts/common/protocol/load-batch';
import { parseSize } from '@alluxio-ts/common/units';
import { type Command, Option } from 'commander';
import { jsonOption } from './answer.ts';
import type { ProgramOptions } from './context.ts';
import { free, type FreeFlags, list, type ListFlags, load, type LoadFlags } from './job-actions.ts';
import { wholeNumber } from './whole-number.ts';

export function addJobCommands(program: Command, context: ProgramOptions): void {
  const job = program
    .command('job')
    .description('Loads files into the cache ahead of their readers, and frees them.')
    .addHelpText('after', jobHelp);
  addLoad(job, context);
  job
    .command('free')
    .description('Drops what is cached below a path on every worker, as a job.')
    .requiredOption('--path <path>', 'a path of the namespace or of the under storage')
    .option('--submit', 'submit the job')
    .option('--wait', 'wait until it has ended')
    .addOption(jsonOption())
    .addHelpText('after', freeHelp)
    .action((flags: FreeFlags) => free(context, flags));
  job
    .command('list')
    .description('Shows the jobs in the order of their submission; ended ones are kept for a week.')
    .addOption(new Option('--job-type <type>', 'of which kind').choices(['ALL', ...jobKinds]).default('ALL'))
    .addOption(
      new Option('--job-state <state>', 'in which state').choices(['ALL', ...jobStates]).default('ALL'),
    )
    .addOption(jsonOption())
    .addHelpText('after', listHelp)
    .action((flags: ListFlags) => list(context, flags));
}

function addLoad(job: Command, context: ProgramOptions): void {
  job
    .command('load')
    .description(
      'Fetches everything below a path that is not cached yet, and keeps it on the workers that own it.',
    )
    .option('--path <path>', 'a file or directory of the namespace or of the under storage')
    .option('--index-file <file>', 'load the files that this one names, one on each line')
    .option('--submit', 'submit the job')
    .option('--progress', 'show how far it is')
    .option('--stop', 'have it end; what is loaded stays')
    .option('--dry-run', 'load nothing: say how much there is, what is cached, what would be evicted')
    .option('--wait', 'wait until it has ended: exit code 0 when it succeeded, else 1')
    .option('--alias <name>', 'a name for the job')
    .option('--bandwidth <size>', 'bytes per second of all workers together, such as 100MB', parseSize)
    .option(
      '--batch-size <n>',
      'files that a worker is handed at a time (200)',
      wholeNumber(1, loadBatchFilesMax),
    )
    .option('--file-filter-regx <pattern>', 'leave out the files whose whole UFS path matches')
    .option('--metadata-only', 'load what is known of the files, and not their bytes')
    .option('--partial-listing', 'begin without counting everything first; no total is known then')
    .option('--replicas <n>', 'on how many workers; one is what there is', wholeNumber(1, 1000))
    .option('--skip-if-exists', 'count what is cached already as skipped instead of as loaded')
    .option('--verify', 'list again at the end, and read everything back from the cache')
    .option('--verbose', 'with --progress: the stage and the last failures')
    .addOption(new Option('--format <format>', 'of the progress').choices(['TEXT', 'JSON']).default('TEXT'))
    .addOption(jsonOption())
    .addHelpText('after', loadHelp)
    .action((flags: LoadFlags) => load(context, flags));
}

const jobHelp = `
Examples:
  alluxio job load --path /s3/dataset --submit --wait
  alluxio job list
  alluxio job free --path /s3/dataset --submit
`;

const loadHelp = `
A job goes on when its coordinator dies, at another one or after the restart. Workers skip what they have. Needs
the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio job load --path /s3/dataset --dry-run
  alluxio job load --path s3://bucket/dataset --submit
  alluxio job load --path s3://bucket/dataset --progress
  alluxio job load --path s3://bucket/dataset --stop
  alluxio job load --path /s3/dataset --submit --wait --verify --bandwidth 500MB
  alluxio job load --path /s3/dataset --submit --file-filter-regx '.*\\.tmp'
  alluxio job load --index-file s3://bucket/lists/epoch-1.txt --submit
`;

const freeHelp = `
What is in the under storage stays as it is. Needs the admin token.

Examples:
  alluxio job free --path /s3/dataset --submit
  alluxio job free --path /s3/dataset --submit --wait
`;

const listHelp = `
Tabs part the columns.

Examples:
  alluxio job list
  alluxio job list --job-type LOAD --job-state RUNNING
  alluxio job list --json
`;
