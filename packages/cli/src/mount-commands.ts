/** `alluxio mount`: binds paths of the namespace to under storages. */

import type { MountView } from '@alluxio-ts/common/protocol/coordinator-api';
import type { Command } from 'commander';
import { type JsonFlag, jsonOption, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import type { ProgramOptions } from './context.ts';
import { referencesHelp, valueReader } from './option-references.ts';

interface AddFlags extends JsonFlag {
  readonly path: string;
  readonly ufsUri: string;
  readonly option: readonly (readonly [string, string])[];
  readonly check: boolean;
}

export function addMountCommands(program: Command, context: ProgramOptions): void {
  const readOption = valueReader(context);
  const mount = program
    .command('mount')
    .description('Binds paths of the namespace to under storages.')
    .addHelpText('after', mountHelp);
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
        readOption('--option', text),
      ],
      [],
    )
    .option('--no-check', 'mount without asking the under storage first')
    .addOption(jsonOption())
    .addHelpText('after', addHelp)
    .action((flags: AddFlags) => add(context, flags));
  mount
    .command('list')
    .description('Shows all mounts; secrets as xxx.')
    .addOption(jsonOption())
    .addHelpText('after', listHelp)
    .action((flags: JsonFlag) => list(context, flags));
  mount
    .command('remove')
    .description('Removes a mount. What is in the under storage stays as it is.')
    .requiredOption('--path <path>', 'the path as it was mounted')
    .addOption(jsonOption())
    .addHelpText('after', removeHelp)
    .action((flags: RemoveFlags) => remove(context, flags));
}

async function add(context: ProgramOptions, flags: AddFlags): Promise<void> {
  const added = await withCoordinator(context, (client) =>
    client.addMount({
      path: flags.path,
      ufsUri: flags.ufsUri,
      options: Object.fromEntries(flags.option),
      check: flags.check,
    }),
  );
  const count = Object.keys(added.options).length;
  await print(context, flags, {
    data: added,
    text: `Mounted ufsPath=${added.ufsUri} to alluxioPath=${added.path} with ${count} options\n`,
  });
}

async function list(context: ProgramOptions, flags: JsonFlag): Promise<void> {
  const mounts = await withCoordinator(context, (client) => client.listMounts());
  await print(context, flags, {
    data: { mounts },
    text: ['Listing all mount points', ...mounts.map(formatMount), ''].join('\n'),
    table: {
      header: ['Path', 'UFS URI', 'Options'],
      rows: mounts.map((mount) => [mount.path, mount.ufsUri, formatOptions(mount)]),
    },
  });
}

interface RemoveFlags extends JsonFlag {
  readonly path: string;
}

async function remove(context: ProgramOptions, flags: RemoveFlags): Promise<void> {
  const removed = await withCoordinator(context, (client) => client.removeMount(flags.path));
  await print(context, flags, {
    data: removed,
    text: `Unmounted alluxioPath=${removed.path} from ufsPath=${removed.ufsUri}\n`,
  });
}

/** The form that Alluxio prints: `s3://bucket/dir on /s3/ properties={name=value, name=value}`. */
function formatMount(mount: MountView): string {
  return `${mount.ufsUri} on ${mount.path}/ properties={${formatOptions(mount)}}`;
}

function formatOptions({ options }: MountView): string {
  return Object.entries(options)
    .map(([name, value]) => `${name}=${value}`)
    .join(', ');
}

const mountHelp = `
Examples:
  alluxio mount add --path /data --ufs-uri file:///mnt/nas/data
  alluxio mount list
  alluxio mount remove --path /data
`;

const addHelp = `${referencesHelp}
Examples:
  alluxio mount add --path /data --ufs-uri file:///mnt/nas/data
  alluxio mount add --path /s3/ --ufs-uri s3://bucket/ --option s3a.accessKeyId=<ID> --option s3a.secretKey=<KEY>
  alluxio mount add --path /s3 --ufs-uri s3://bucket/ --option s3a.accessKeyId=env:KEY_ID --option s3a.secretKey=@key.txt
`;

const listHelp = `
Examples:
  alluxio mount list
  alluxio mount list --json
`;

const removeHelp = `
Examples:
  alluxio mount remove --path /s3
`;
