/** `alluxio conf`: shows the configuration, and how much the processes log. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { type LogLevel, logLevels } from '@alluxio-ts/common/log-level';
import { formatOptionSource, type OptionEntry } from '@alluxio-ts/common/options';
import type { LogLevelQuery } from '@alluxio-ts/common/protocol/coordinator-api';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import { optionsOf, type ProgramOptions, tell } from './context.ts';

export function addConfCommands(program: Command, context: ProgramOptions): void {
  const conf = program
    .command('conf')
    .description('Shows the configuration, and how much the processes log.')
    .addHelpText('after', confHelp);
  conf
    .command('get')
    .description('Prints the value of an option, or all of them; secrets as xxx.')
    .argument('[option]', 'its name')
    .option('--source', 'print where a value comes from')
    .addOption(jsonOption())
    .addHelpText('after', getHelp)
    .action((name: string | undefined, flags: GetFlags) => get(context, name, flags));
  conf
    .command('log')
    .description('Prints how much the processes log, or changes it until they start again.')
    .option('--level <level>', `what they log from now on: ${logLevels.join(', ')}`)
    .option('--target <target>', 'coordinator, worker (all that are online), or the id of a worker')
    .option('--name <logger>', 'accepted and without effect: a process has one logger')
    .addOption(jsonOption())
    .addHelpText('after', logHelp)
    .action((flags: LogFlags) => log(context, flags));
}

interface GetFlags extends JsonFlag {
  readonly source?: true;
}

async function get(context: ProgramOptions, name: string | undefined, flags: GetFlags): Promise<void> {
  const options = optionsOf(context);
  for (const notice of options.notices) tell(context, notice);
  if (name !== undefined) {
    const entry = entryData(options.entryOf(name));
    await print(context, flags, { data: entry, text: `${flags.source ? entry.source : entry.value}\n` });
    return;
  }
  const entries = options.entries.map(entryData);
  await print(context, flags, {
    data: { options: entries },
    text: entries
      .map((entry) => `${entry.name}=${entry.value}${flags.source ? ` (${entry.source})` : ''}\n`)
      .join(''),
    table: {
      header: ['Option', 'Value', ...(flags.source ? ['Source'] : [])],
      rows: entries.map((entry) => [entry.name, entry.value, ...(flags.source ? [entry.source] : [])]),
    },
  });
}

/** Secrets as xxx. */
function entryData({ name, maskedText, source }: OptionEntry) {
  return { name, value: maskedText, source: formatOptionSource(source) };
}

interface LogFlags extends JsonFlag {
  readonly level?: string;
  readonly target?: string;
  readonly name?: string;
}

async function log(context: ProgramOptions, { level, target, ...flags }: LogFlags): Promise<void> {
  const wanted = level === undefined ? undefined : logLevelOf(level);
  const known: { readonly id: string; readonly level: string }[] = [];
  await withCoordinator(context, async (client) => {
    for (const query of queriesOf(target)) {
      const answer = wanted === undefined ? client.logLevels(query) : client.setLogLevel(wanted, query);
      const levels = await answer;
      if ('workers' in levels) known.push(...levels.workers);
      else known.push({ id: 'coordinator', level: levels.level });
    }
  });
  await print(context, flags, {
    data: { levels: known },
    text: known.map((each) => `${each.id} ${each.level}\n`).join(''),
    table: { header: ['Process', 'Level'], rows: known.map((each) => [each.id, each.level]) },
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
