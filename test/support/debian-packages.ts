/** Programs that tests need and the distribution has. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** With ALLUXIO_TEST_APT=1 installs them, otherwise fails with what is needed, because of `cause`. */
export async function aptInstall(packages: readonly string[], needs: string, cause: unknown): Promise<void> {
  if (process.env['ALLUXIO_TEST_APT'] !== '1') throw new Error(needs, { cause });
  try {
    await run(['update']);
    // Two test files may want something at the same time.
    await run(['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=100', ...packages]);
  } catch (thrown) {
    throw new Error(needs, { cause: thrown });
  }
}

async function run(args: readonly string[]): Promise<void> {
  await promisify(execFile)('apt-get', args, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}
