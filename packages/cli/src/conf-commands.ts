/** `alluxio conf`: shows the configuration. */

import { formatOptionSource } from '@alluxio-ts/common/options';
import type { Command } from 'commander';
import { optionsOf, type ProgramOptions, tell } from './context.ts';

export function addConfCommands(program: Command, context: ProgramOptions): void {
  program
    .command('conf')
    .description('Shows the configuration.')
    .addHelpText('after', confHelp)
    .command('get')
    .description('Prints the value of an option, or all of them; secrets as xxx.')
    .argument('[name]', 'the option')
    .option('--source', 'print where a value comes from')
    .addHelpText('after', confHelp)
    .action((name: string | undefined, flags: { readonly source?: true }) => {
      const options = optionsOf(context);
      for (const notice of options.notices) tell(context, notice);
      if (name !== undefined) {
        const { maskedText, source } = options.entryOf(name);
        context.stdout.write(`${flags.source ? formatOptionSource(source) : maskedText}\n`);
        return;
      }
      for (const entry of options.entries) {
        const source = flags.source ? ` (${formatOptionSource(entry.source)})` : '';
        context.stdout.write(`${entry.name}=${entry.maskedText}${source}\n`);
      }
    });
}

const confHelp = `
Examples:
  alluxio conf get
  alluxio conf get alluxio.worker.page.store.page.size --source
`;
