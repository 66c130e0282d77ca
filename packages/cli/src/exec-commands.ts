/** `alluxio exec`: tries a storage, or the cluster, for real. */

import type { Command } from 'commander';
import { jsonOption } from './answer.ts';
import { runBasicIoTest } from './basic-io-test.ts';
import type { ProgramOptions } from './context.ts';
import { referencesHelp, valueReader } from './option-references.ts';
import type { UfsTestFlags } from './ufs-test.ts';
import { wholeNumber } from './whole-number.ts';

const threadsDefault = 4;
const threadsMax = 64;
const secondsDefault = 10;
const secondsMax = 3600;

export function addExecCommands(program: Command, context: ProgramOptions): void {
  const exec = program
    .command('exec')
    .description('Tries a storage, or the cluster, for real.')
    .addHelpText('after', execHelp);
  addUfsTest(exec, context);
  exec
    .command('basicIOTest')
    .description('Reads the files below a path through the cluster, and says how fast that was.')
    .requiredOption('--path <path>', 'a file or directory, of the namespace or of the under storage')
    .option('--threads <n>', 'files read at once', wholeNumber(1, threadsMax), threadsDefault)
    .option('--seconds <n>', 'for how long', wholeNumber(1, secondsMax), secondsDefault)
    .addOption(jsonOption())
    .addHelpText('after', basicIoHelp)
    .action((flags: Parameters<typeof runBasicIoTest>[1]) => runBasicIoTest(context, flags));
}

function addUfsTest(exec: Command, context: ProgramOptions): void {
  const readOption = valueReader(context);
  exec
    .command('ufsTest')
    .description('Tries what a mount needs of its storage, from this machine.')
    .requiredOption('--path <uri>', 'a URI such as s3://bucket/dir or file:///dir, or the path of a mount')
    .option(
      '--option <name=value>',
      'an option of the under storage; may be repeated',
      (text: string, before: Readonly<Record<string, string>>) => {
        const [name, value] = readOption('--option', text);
        return { ...before, [name]: value };
      },
      {},
    )
    .option('--write', 'write a few files as well, and remove them')
    .addOption(jsonOption())
    .addHelpText('after', ufsTestHelp)
    .action(async (flags: UfsTestFlags) => {
      // Loaded here alone: no other command needs an adapter.
      const { runUfsTest } = await import('./ufs-test.ts');
      await runUfsTest(context, flags);
    });
}

const execHelp = `
Examples:
  alluxio exec ufsTest --path s3://bucket/dir --option alluxio.underfs.s3.region=us-east-1
  alluxio exec basicIOTest --path /s3/dir
`;

const ufsTestHelp = `${referencesHelp}
Of a mount its options are taken, but for secrets, which have to be given. Exit code 1 when something failed.

Examples:
  alluxio exec ufsTest --path file:///mnt/nas/data
  alluxio exec ufsTest --path /s3 --option s3a.accessKeyId=env:KEY_ID --option s3a.secretKey=@key.txt
  alluxio exec ufsTest --path s3://bucket/tmp --option alluxio.underfs.s3.region=us-east-1 --write
`;

const basicIoHelp = `
Files are drawn by chance, of the first 10,000, and read whole, over the REST API of the workers by turns. What
is under way when the time is over is counted as far as it came. Exit code 1 when a read failed.

Examples:
  alluxio exec basicIOTest --path /s3/dir
  alluxio exec basicIOTest --path /s3/dir --threads 16 --seconds 60 --json
`;
