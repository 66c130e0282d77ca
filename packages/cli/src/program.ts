/** The tree of commands. Each group is a file of its own; the work is behind the APIs of the processes, or in the options. */

import { Command } from 'commander';
import { addCacheCommands } from './cache-commands.ts';
import { addCompletionCommands } from './completion-commands.ts';
import { addConfCommands } from './conf-commands.ts';
import type { ProgramOptions } from './context.ts';
import { addExecCommands } from './exec-commands.ts';
import { addFsCommands } from './fs-commands.ts';
import { addInitCommands } from './init-commands.ts';
import { addInfoCommands } from './info-commands.ts';
import { addJobCommands } from './job-commands.ts';
import { addProcessCommands } from './process-commands.ts';
import { addMountCommands } from './mount-commands.ts';
import { addRuleCommands } from './rule-commands.ts';
import { addTtlCommands } from './ttl-commands.ts';
import { addStandaloneCommand } from './standalone-arguments.ts';
import { valueReader } from './option-references.ts';

/** Help has the same lines whatever the terminal. */
const helpWidth = 100;

export function createProgram(context: ProgramOptions): Command {
  const program = new Command('alluxio')
    .description('Distributed read cache between compute and storage.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // Printed by main, in one line.
      outputError: () => undefined,
      getOutHelpWidth: () => helpWidth,
      getErrHelpWidth: () => helpWidth,
    })
    .addHelpText('after', generalHelp);
  addStandaloneCommand(program, valueReader(context), async (standalone) => {
    // Loaded here alone: no other command needs a worker.
    const { runStandalone } = await import('./standalone-command.ts');
    await runStandalone(context, standalone);
  });
  addMountCommands(program, context);
  addRuleCommands(program, context);
  addTtlCommands(program, context);
  addFsCommands(program, context);
  addJobCommands(program, context);
  addProcessCommands(program, context);
  addCacheCommands(program, context);
  addConfCommands(program, context);
  addInfoCommands(program, context);
  addExecCommands(program, context);
  addInitCommands(program, context);
  addCompletionCommands(program, context);
  return program;
}

const generalHelp = `
Anywhere on the line:
  -Dname=value        sets an option; "alluxio conf get --source" lists them all

Exit code: 0, or 1 for any failure, whose reason is one line on standard error; with --json an object of code
and message.

Examples:
  alluxio mount add --path /s3 --ufs-uri s3://bucket/dir --option alluxio.underfs.s3.region=us-east-1
  alluxio mount list
  alluxio fs ls -R /s3/dir
  alluxio fs cat /s3/dir/file.csv
  alluxio cache free --path /s3/dir
  alluxio info report
  alluxio -Dalluxio.coordinator.hostname=cache-1 mount list
`;
