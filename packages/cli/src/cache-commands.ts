/** `alluxio cache`: empties caches. What is in the under storage stays as it is. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { FreeResult } from '@alluxio-ts/common/protocol/coordinator-api';
import { formatCount, formatSize } from '@alluxio-ts/common/units';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import type { ProgramOptions } from './context.ts';

interface FreeFlags extends JsonFlag {
  readonly path?: string;
  readonly worker?: string;
}

export function addCacheCommands(program: Command, context: ProgramOptions): void {
  const cache = program
    .command('cache')
    .description('Empties caches. What is in the under storage stays as it is.')
    .addHelpText('after', cacheHelp);
  cache
    .command('free')
    .description('Drops what is cached below a path, or everything that one worker has cached.')
    .option('--path <path>', 'a path of the namespace or of the under storage, on every worker')
    .option('--worker <worker>', 'the id, the host, or host:port of a worker')
    .addOption(jsonOption())
    .addHelpText('after', freeHelp)
    .action((flags: FreeFlags) => free(context, flags));
  cache
    .command('format')
    .description('Drops everything that any worker has cached: all pages and all that is known of files.')
    .addOption(jsonOption())
    .addHelpText('after', formatHelp)
    .action((flags: JsonFlag) => format(context, flags));
}

async function free(context: ProgramOptions, flags: FreeFlags): Promise<void> {
  const { path, worker } = flags;
  if ((path === undefined) === (worker === undefined)) {
    throw new AlluxioError('InvalidArgument', 'give exactly one of --path and --worker');
  }
  const freed = await withCoordinator(context, (client) =>
    path === undefined ? client.freeWorker(worker ?? '') : client.freeCache(path),
  );
  await print(context, flags, {
    data: freed,
    text: `Freed ${path ?? `worker ${worker}`}: ${formatFreed(freed)}\n`,
  });
}

async function format(context: ProgramOptions, flags: JsonFlag): Promise<void> {
  const freed = await withCoordinator(context, (client) => client.formatCache());
  await print(context, flags, { data: freed, text: `Formatted the cache: ${formatFreed(freed)}\n` });
}

/** What was dropped, for people. */
export function formatFreed({ fileCount, pageCount, freedBytes }: FreeResult): string {
  return `${formatCount(fileCount, 'file')}, ${formatCount(pageCount, 'page')}, ${freedBytes} bytes (${formatSize(freedBytes)})`;
}

const cacheHelp = `
Examples:
  alluxio cache free --path /s3/dir
  alluxio cache format
`;

const freeHelp = `
Needs the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio cache free --path /s3/dir
  alluxio cache free --path s3://bucket/dir/file.csv
  alluxio cache free --worker cache-1
`;

const formatHelp = `
Asks nothing and needs the admin token (alluxio.security.admin.token.file).

Examples:
  alluxio cache format
`;
