/** The tree of commands. Each is a few lines: the work is behind the coordinator's API or in the options. */

import { loadToken } from '@alluxio-ts/common/admin-token';
import { CoordinatorClient } from '@alluxio-ts/common/client/coordinator-client';
import { formatOptionSource } from '@alluxio-ts/common/options';
import type { MountView } from '@alluxio-ts/common/protocol/coordinator-api';
import { Command } from 'commander';
import { parseNameValue } from './definitions.ts';
import { optionsOf, type ProgramOptions } from './context.ts';
import { addStandaloneCommand } from './standalone-arguments.ts';
import { version } from './version.ts';

export function createProgram(context: ProgramOptions): Command {
  const program = new Command('alluxio')
    .description('Distributed read cache between compute and storage.')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.stdout.write(text),
      writeErr: (text) => context.stderr.write(text),
      // Printed by main, in one line.
      outputError: () => undefined,
    })
    .addHelpText('after', generalHelp);
  addStandaloneCommand(program, async (standalone) => {
    // Loaded here alone: no other command needs a worker.
    const { runStandalone } = await import('./standalone-command.ts');
    await runStandalone(context, standalone);
  });
  addMountCommands(program, context);
  addConfCommands(program, context);
  addInfoCommands(program, context);
  return program;
}

const generalHelp = `
Anywhere on the line:
  -Dname=value        sets an option; "alluxio conf get --source" lists them all

Examples:
  alluxio mount add --path /s3 --ufs-uri s3://bucket/dir --option alluxio.underfs.s3.region=us-east-1
  alluxio mount list
  alluxio mount remove --path /s3
  alluxio conf get alluxio.worker.page.store.page.size --source
  alluxio -Dalluxio.coordinator.hostname=cache-1 mount list
`;

function addMountCommands(program: Command, context: ProgramOptions): void {
  const mount = program.command('mount').description('Binds paths of the namespace to under storages.');
  mount
    .command('add')
    .description('Mounts an under storage at a direct child of the root.')
    .requiredOption('--path <path>', 'where in the namespace, such as /s3')
    .requiredOption('--ufs-uri <uri>', 'what is mounted: s3://bucket/dir, file:///dir or /dir')
    .option(
      '--option <name=value>',
      'an option of the under storage; may be repeated',
      (text: string, before: readonly (readonly [string, string])[]) => [
        ...before,
        parseNameValue('--option', text),
      ],
      [],
    )
    .option('--no-check', 'mount without asking the under storage first')
    .addHelpText('after', mountAddHelp)
    .action(async (flags: MountAddFlags) => {
      const added = await withClient(context, (client) =>
        client.addMount({
          path: flags.path,
          ufsUri: flags.ufsUri,
          options: Object.fromEntries(flags.option),
          check: flags.check,
        }),
      );
      const count = Object.keys(added.options).length;
      context.stdout.write(
        `Mounted ufsPath=${added.ufsUri} to alluxioPath=${added.path} with ${count} options\n`,
      );
    });
  mount
    .command('list')
    .description('Shows all mounts; secrets as xxx.')
    .action(async () => {
      const mounts = await withClient(context, (client) => client.listMounts());
      context.stdout.write(['Listing all mount points', ...mounts.map(formatMount), ''].join('\n'));
    });
  mount
    .command('remove')
    .description('Removes a mount. What is in the under storage stays as it is.')
    .requiredOption('--path <path>', 'the path as it was mounted')
    .action(async (flags: { readonly path: string }) => {
      const removed = await withClient(context, (client) => client.removeMount(flags.path));
      context.stdout.write(`Unmounted alluxioPath=${removed.path} from ufsPath=${removed.ufsUri}\n`);
    });
}

interface MountAddFlags {
  readonly path: string;
  readonly ufsUri: string;
  readonly option: readonly (readonly [string, string])[];
  readonly check: boolean;
}

const mountAddHelp = `
Examples:
  alluxio mount add --path /data --ufs-uri file:///mnt/nas/data
  alluxio mount add --path /s3/ --ufs-uri s3://bucket/ --option s3a.accessKeyId=<ID> --option s3a.secretKey=<KEY>
`;

/** The form that Alluxio prints: `s3://bucket/dir on /s3/ properties={name=value, name=value}`. */
function formatMount({ path, ufsUri, options }: MountView): string {
  const properties = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  return `${ufsUri} on ${path}/ properties={${properties.join(', ')}}`;
}

function addConfCommands(program: Command, context: ProgramOptions): void {
  program
    .command('conf')
    .description('Shows the configuration.')
    .command('get')
    .description('Prints the value of an option, or all of them; secrets as xxx.')
    .argument('[name]', 'the option')
    .option('--source', 'print where a value comes from')
    .action((name: string | undefined, flags: { readonly source?: true }) => {
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
    });
}

function addInfoCommands(program: Command, context: ProgramOptions): void {
  program
    .command('info')
    .description('Shows facts about this installation.')
    .command('version')
    .description('Prints the version.')
    .action(() => {
      context.stdout.write(`${version}\n`);
    });
}

async function withClient<T>(
  context: ProgramOptions,
  run: (client: CoordinatorClient) => Promise<T>,
): Promise<T> {
  const options = optionsOf(context);
  const token = await loadToken(options.get('alluxio.security.admin.token.file'));
  const client = new CoordinatorClient({
    host: options.get('alluxio.coordinator.hostname'),
    port: options.get('alluxio.coordinator.web.port'),
    ...(token === undefined ? {} : { token }),
  });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}
