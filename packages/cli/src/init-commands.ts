/** `alluxio init`: what is done on a machine before its processes run. */

import { type Command, Option } from 'commander';
import { jsonOption } from './answer.ts';
import type { ProgramOptions } from './context.ts';
import type { FormatFlags } from './init-format.ts';
import type { ValidateFlags } from './init-validate.ts';

const validateKinds = ['conf', 'env'] as const satisfies readonly ValidateFlags['type'][];

export function addInitCommands(program: Command, context: ProgramOptions): void {
  const init = program
    .command('init')
    .description('Prepares this machine for the processes that are to run on it.')
    .addHelpText('after', initHelp);
  init
    .command('format')
    .description('Wipes what a worker has cached here, and the mounts and rules of standalone.')
    .option('-s, --only-missing', 'make what is missing, and wipe nothing that is there')
    .option('--skip-master', 'leave the mounts and rules of standalone as they are')
    .option('--skip-worker', 'leave the cache as it is')
    .option('--yes', 'ask nothing')
    .addHelpText('after', formatHelp)
    .action(async (flags: FormatFlags) => {
      // Loaded here alone, like the other one: no other command takes locks.
      const { format } = await import('./init-format.ts');
      await format(context, flags);
    });
  init
    .command('validate')
    .description('Checks whether processes can run on this machine as they are configured.')
    .addOption(new Option('--type <type>', 'what to check; both without it').choices(validateKinds))
    .option('--all', 'show what is well, too')
    .addOption(jsonOption())
    .addHelpText('after', validateHelp)
    .action(async (flags: ValidateFlags) => {
      const { validate } = await import('./init-validate.ts');
      await validate(context, flags);
    });
}

const initHelp = `
Examples:
  alluxio init validate
  alluxio init format --skip-master
`;

const formatHelp = `
The cache is that of alluxio.worker.page.store.dirs and alluxio.dora.worker.metastore.rocksdb.dir; nothing else
in these directories is touched. A process that runs holds its directories, and nothing is wiped then. What
stands in etcd stays. Mounts and rules go only after a question, or with --yes.

Examples:
  alluxio init format --skip-master
  alluxio init format --yes
  alluxio init format -s
`;

const validateHelp = `
conf: the options, the cache filter file, memory. env: directories, space, ports, limits, etcd. Exit code 1 when
there is an error.

Examples:
  alluxio init validate
  alluxio init validate --type conf --json
`;
