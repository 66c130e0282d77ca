/** `alluxio conf`: shows the configuration. */

import { formatOptionSource, type OptionEntry } from '@alluxio-ts/common/options';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { optionsOf, type ProgramOptions, tell } from './context.ts';

export function addConfCommands(program: Command, context: ProgramOptions): void {
  program
    .command('conf')
    .description('Shows the configuration.')
    .addHelpText('after', confHelp)
    .command('get')
    .description('Prints the value of an option, or all of them; secrets as xxx.')
    .argument('[option]', 'its name')
    .option('--source', 'print where a value comes from')
    .addOption(jsonOption())
    .addHelpText('after', confHelp)
    .action((name: string | undefined, flags: GetFlags) => get(context, name, flags));
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

const confHelp = `
Examples:
  alluxio conf get
  alluxio conf get alluxio.worker.page.store.page.size --source
`;
