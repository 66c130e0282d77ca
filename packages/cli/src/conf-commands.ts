/** `alluxio conf`: shows the configuration, and how much the processes log. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { type LogLevel, logLevels } from '@alluxio-ts/common/log-level';
import { formatOptionSource } from '@alluxio-ts/common/options';
import type { LogLevelQuery } from '@alluxio-ts/common/protocol/coordinator-api';
import type { Command } from 'commander';
import { withCoordinator } from './connections.ts';
import { optionsOf, type ProgramOptions } from './context.ts';

export function addConfCommands(program: Command, context: ProgramOptions): void {
  const conf = program
    .command('conf')
    .description('Shows the configuration, and how much the processes log.')
    .addHelpText('after', confHelp);
  conf
    .command('get')
    .description('Prints the value of an option, or all of them; secrets as xxx.')
    .argument('[name]', 'the option')
    .option('--source', 'print where a value comes from')
    .addHelpText('after', getHelp)
    .action((name: string | undefined, flags: { readonly source?: true }) => get(context, name, flags));
  conf
    .command('log')
    .description('Prints how much the processes log, or changes it until they start again.')
    .option('--level <level>', `what they log from now on: ${logLevels.join(', ')}`)
    .option('--target <target>', 'coordinator, worker (all that are online), or the id of a worker')
    .option('--name <logger>', 'accepted and without effect: a process has one logger')
    .addHelpText('after', logHelp)
    .action((flags: LogFlags) => log(context, flags));
}

function get(context: ProgramOptions, name: string | undefined, flags: { readonly source?: true }): void {
  const options = optionsOf(context);
  for (const notice of options.notices) context.stderr.write(`alluxio: ${notice}\n`);
  if (name !== undefined) {
    const { maskedText, source } = options.entryOf(name);
    context.stdout.write(`${flags.source ? formatOptionSource(source) : maskedText}\n`);
    return;
  }
  for (const entry of options.entries) {
    const source = flags.source ? ` (${formatOptionSource(entry.source)})` : '';
    context.stdout.write(`${entry.name}=${entry.maskedText}${source}\n`);
  }
}

interface LogFlags {
  readonly level?: string;
  readonly target?: string;
  readonly name?: string;
}

/** Each process is told of as soon as it is known: one that fails does not hide the others. */
async function log(context: ProgramOptions, { level, target }: LogFlags): Promise<void> {
  const wanted = level === undefined ? undefined : logLevelOf(level);
  await withCoordinator(context, async (client) => {
    for (const query of queriesOf(target)) {
      const answer = wanted === undefined ? client.logLevels(query) : client.setLogLevel(wanted, query);
      const levels = await answer;
      const known = 'workers' in levels ? levels.workers : [{ id: 'coordinator', level: levels.level }];
      for (const each of known) context.stdout.write(`${each.id} ${each.level}\n`);
    }
  });
}

/** As Alluxio does, all of them unless one is named. */
function queriesOf(target: string | undefined): readonly LogLevelQuery[] {
  const workers = { all: 'true' } as const;
  if (target === undefined) return [{}, workers];
  if (target === 'coordinator') return [{}];
  return [target === 'worker' ? workers : { worker: target }];
}

/** In capitals too, as Alluxio writes them. */
function logLevelOf(text: string): LogLevel {
  const level = logLevels.find((each) => each === text.toLowerCase());
  if (level !== undefined) return level;
  throw new AlluxioError('InvalidArgument', `"${text}" is no level; give one of ${logLevels.join(', ')}`);
}

const getHelp = `
Examples:
  alluxio conf get
  alluxio conf get alluxio.worker.page.store.page.size --source
`;

const logHelp = `
Without --target it is of the coordinator and all workers that are online. A change needs the admin token and
lasts until the process starts again; alluxio.log.level says what it starts with. There is one logger a
process, so --name chooses nothing.

Examples:
  alluxio conf log
  alluxio conf log --level debug --target worker-25a2f9ac-87b1-445f-880f-8688567ee153
`;

const confHelp = `
Examples:
  alluxio conf get
  alluxio conf log --level debug
`;
