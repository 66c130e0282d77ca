/** Programs that tests need: found on PATH, or installed by apt where that is allowed. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { installOnce } from './install-lock.ts';

/** The path of the first program of this name on PATH. */
export async function findOnPath(program: string): Promise<string | undefined> {
  for (const directory of (process.env['PATH'] ?? '').split(delimiter).filter((path) => path !== '')) {
    const path = join(directory, program);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

export async function areOnPath(programs: readonly string[]): Promise<boolean> {
  const paths = await Promise.all(programs.map(findOnPath));
  return !paths.includes(undefined);
}

/** Fails, and says what to install, when a program is neither on PATH nor can be installed by apt from the package. */
export async function requireProgram(program: string, packageName: string): Promise<void> {
  try {
    if (!(await findOnPath(program))) await aptInstall([packageName], () => areOnPath([program]));
  } catch (thrown) {
    throw missingProgram(`${program} on PATH`, [thrown]);
  }
}

/** Installs packages of the distribution until `isThere`; fails, and says how to allow it, unless ALLUXIO_TEST_APT=1 and the user is root. */
export async function aptInstall(
  packages: readonly string[],
  isThere: () => Promise<boolean>,
): Promise<void> {
  const names = packages.join(' ');
  if (process.env['ALLUXIO_TEST_APT'] !== '1' || process.getuid?.() !== 0)
    throw new Error(`run as root with ALLUXIO_TEST_APT=1 to have apt install ${names}`);
  await installOnce('apt', isThere, async () => {
    await run('apt-get', ['update', '--quiet']);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await run('apt-get', ['install', '--quiet', '--yes', '--no-install-recommends', ...packages], env);
    if (!(await isThere())) throw new Error(`apt installed ${names}, but what it is for is not there`);
  });
}

/** Fails with the end of what the command wrote when it does not end with 0. */
export async function run(command: string, args: readonly string[], env = process.env): Promise<void> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${errors}`);
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a test without its programs fails with: `remedy` says what to install, the causes why it could not be done here. */
export function missingProgram(remedy: string, causes: readonly unknown[]): Error {
  const reasons = causes.map((cause) => `\n- ${cause instanceof Error ? cause.message : String(cause)}`);
  return new Error(`this test needs ${remedy}${reasons.join('')}`);
}
