/** `alluxio fs`: looks at files and reads them, through the cache. */

import { type Command, Option } from 'commander';
import { type JsonFlag, jsonOption } from './answer.ts';
import type { ProgramOptions } from './context.ts';
import { timestampNames } from './file-format.ts';
import {
  cat,
  checkCachedShares,
  copy,
  headOrTail,
  location,
  showStat,
  type StatFlags,
  test,
} from './fs-actions.ts';
import { listPath, sortNames } from './fs-listing.ts';
import { parseSize } from '@alluxio-ts/common/units';
import { wholeNumber } from './whole-number.ts';

/** Files that are copied at once, and pages of a file that a worker fetches ahead for each, take connections and memory. */
const threadsDefault = 4;
const threadsMax = 64;
const checkLimitDefault = 1000;
const checkLimitMax = 1_000_000;

export function addFsCommands(program: Command, context: ProgramOptions): void {
  const fs = program
    .command('fs')
    .description(
      'Looks at files and reads them through the cache. A path is one of the namespace (/s3/dir/a) or of the under storage (s3://bucket/dir/a).',
    )
    .addHelpText('after', examples('fs ls /s3', 'fs cat /s3/dir/a.csv', 'fs stat s3://bucket/dir/a.csv'));
  addLs(fs, context);
  fs.command('stat')
    .description('Shows what is known of a file or directory.')
    .argument('[path]', 'the file or directory')
    .option('--path <path>', 'the same')
    .option(
      '-f, --format <format>',
      'what to print, made of %N name, %z size, %u owner, %g group, %i file id, %y time, %Y time in ms, %b pages',
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('fs stat /s3/dir/a.csv', 'fs stat -f "%N %z %u %g %i %y %Y %b" /s3/dir/a.csv'),
    )
    .action((path: string | undefined, flags: StatFlags & { readonly path?: string }) =>
      showStat(context, path ?? flags.path, flags),
    );
  fs.command('cat')
    .description('Writes a file to standard output.')
    .argument('<path>', 'the file')
    .addHelpText('after', examples('fs cat /s3/dir/a.csv', 'fs cat s3://bucket/dir/a.tar | tar -t'))
    .action((path: string) => cat(context, path));
  for (const kind of ['head', 'tail'] as const) {
    fs.command(kind)
      .description(`Writes the ${kind === 'head' ? 'first' : 'last'} bytes of a file to standard output.`)
      .argument('<path>', 'the file')
      .option('-c, --bytes <size>', 'how many', parseSize, 1024)
      .addHelpText('after', examples(`fs ${kind} /s3/dir/a.csv`, `fs ${kind} -c 64KB /s3/dir/a.csv`))
      .action((path: string, flags: { readonly bytes: number }) =>
        headOrTail(context, kind, path, flags.bytes),
      );
  }
  addCp(fs, context);
  addTest(fs, context);
  fs.command('location')
    .description('Shows which worker owns a file, as host:port of its REST API.')
    .argument('<path>', 'the file')
    .addOption(jsonOption())
    .addHelpText('after', examples('fs location /s3/dir/a.csv'))
    .action((path: string, flags: JsonFlag) => location(context, path, flags));
  fs.command('check-cached')
    .description('Shows how much of the files below a path is cached.')
    .argument('<path>', 'the file or directory')
    .option('--sample <n>', 'look at one file in n', wholeNumber(1, Number.MAX_SAFE_INTEGER), 1)
    .option('--limit <n>', 'look at so many files at most', wholeNumber(1, checkLimitMax), checkLimitDefault)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('fs check-cached /s3/dir', 'fs check-cached --sample 10 --limit 100 s3://bucket/dir'),
    )
    .action((path: string, flags: Parameters<typeof checkCachedShares>[2]) =>
      checkCachedShares(context, path, flags),
    );
}

function addLs(fs: Command, context: ProgramOptions): void {
  fs.command('ls')
    .description('Lists what lies in a directory: mode, size, time (UTC), kind, path.')
    .argument('<path>', 'the directory or file')
    // -h is Alluxio's flag for sizes.
    .helpOption('--help', 'display help for command')
    .option('-d', 'the directory itself')
    .option('-h, --human-readable', 'sizes as 75.72KB')
    .option('-R, --recursive', 'everything below')
    .option('-r, --reverse', 'in reverse order')
    .addOption(new Option('--sort <field>', 'in the order of').choices(sortNames))
    .addOption(
      new Option('--timestamp <which>', 'the time to show')
        .choices(timestampNames)
        .default('lastModifiedTime'),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'fs ls /s3/dir',
        'fs ls -R -h s3://bucket/dir',
        'fs ls --sort size -r /s3/dir',
        "fs ls --json /s3/dir | jq -r '.[].path'",
      ),
    )
    .action((path: string, flags: Parameters<typeof listPath>[2]) => listPath(context, path, flags));
}

function addCp(fs: Command, context: ProgramOptions): void {
  fs.command('cp')
    .description(
      'Copies a file of the namespace to a local file or directory. Writing to the namespace is not offered.',
    )
    .argument('<source>', 'a path of the namespace or of the under storage')
    .argument('<target>', 'a local path, or file:///path')
    .option('-R, --recursive', 'a directory with everything below')
    .option('-p, --preserve', 'keep the times of the files')
    .option('--thread <n>', 'files copied at once', wholeNumber(1, threadsMax), threadsDefault)
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'fs cp /s3/dir/a.csv .',
        'fs cp /s3/dir/a.csv file:///tmp/b.csv',
        'fs cp -R --thread 8 s3://bucket/dir /tmp/dir',
      ),
    )
    .action((source: string, target: string, flags: Parameters<typeof copy>[2]) =>
      copy(context, { source, target }, flags),
    );
}

function addTest(fs: Command, context: ProgramOptions): void {
  fs.command('test')
    .description(
      'Tells by the exit code whether a path is what the flags say: 0 when all of them hold, else 1.',
    )
    .argument('<path>', 'the file or directory')
    .option('-d', 'it is a directory')
    .option('-e', 'it exists')
    .option('-f', 'it is a file')
    .option('-s', 'it is a directory, or a file that is not empty')
    .option('-z', 'it is an empty file')
    .addOption(jsonOption())
    .addHelpText('after', examples('fs test -e /s3/dir/_SUCCESS && echo done'))
    .action((path: string, flags: Parameters<typeof test>[2]) => test(context, path, flags));
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  alluxio ${line}\n`).join('')}`;
}
