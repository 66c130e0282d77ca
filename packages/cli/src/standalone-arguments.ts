/** The command line of `alluxio standalone`: mounts to make at start, each with its own options. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Command } from 'commander';
import { parseNameValue } from './definitions.ts';
import { referencesHelp, type ValueReader } from './option-references.ts';

export interface StandaloneMount {
  readonly path: string;
  readonly ufsUri: string;
  readonly options: Readonly<Record<string, string>>;
}

export interface StandaloneArguments {
  readonly mounts: readonly StandaloneMount[];
}

/** A command line that names more was not meant. */
const mountsMax = 100;

/** An `--option` belongs to the `--mount` before it. */
export function addStandaloneCommand(
  program: Command,
  readOption: ValueReader,
  run: (standalone: StandaloneArguments) => Promise<void>,
): void {
  const mounts: StandaloneMount[] = [];
  program
    .command('standalone')
    .description('Runs coordinator and worker in one process, on 127.0.0.1 unless configured otherwise.')
    .option('--mount <path=uri>', 'mount an under storage at start; may be repeated', (text: string) => {
      const [path, ufsUri] = parseNameValue('--mount', text);
      if (mounts.length >= mountsMax) {
        throw new AlluxioError(
          'InvalidArgument',
          `more than ${mountsMax} times --mount; use "alluxio mount add"`,
        );
      }
      mounts.push({ path, ufsUri, options: {} });
    })
    .option('--option <name=value>', 'an option of the mount before it; may be repeated', (text: string) => {
      const [name, value] = readOption('--option', text);
      const last = mounts.pop();
      if (!last)
        throw new AlluxioError('InvalidArgument', '--option needs a --mount before it, to which it belongs');
      mounts.push({ ...last, options: { ...last.options, [name]: value } });
    })
    .addHelpText('after', standaloneHelp)
    .action(() => run({ mounts }));
}

const standaloneHelp = `${referencesHelp}
Examples:
  alluxio standalone --mount /data=/mnt/nas/data
  alluxio standalone --mount /s3=s3://bucket/ --option alluxio.underfs.s3.region=us-east-1
  alluxio standalone -Dalluxio.worker.page.store.sizes=100GB
`;
