/** Programs that tests need and PyPI has, installed once into test/.servers, without rights. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';

const serversDirectory = join(dirname(fileURLToPath(import.meta.url)), '..', '.servers');

/** Shorter than the time that a test file has, so that it can say what it waited for. */
const installTimeoutMs = 100_000;
const pollMs = 50;

/**
 * The directory of the packages, in which `provides` is an executable.
 *
 * One test file installs, the others wait for it. Whoever makes the lock's directory holds it; what it installs comes into view
 * by a rename, whole.
 */
export async function installPython(
  name: string,
  packages: readonly string[],
  provides: string,
): Promise<string> {
  const directory = join(serversDirectory, name);
  const provided = join(directory, provides);
  const lock = `${directory}.lock`;
  const deadlineMs = systemClock.monotonic() + installTimeoutMs;
  await mkdir(serversDirectory, { recursive: true });
  while (!(await isExecutable(provided))) {
    if (await makeLock(lock)) {
      try {
        await writeFile(join(lock, 'pid'), String(process.pid));
        if (!(await isExecutable(provided))) await pipInstall(directory, packages, provides);
      } finally {
        await rm(lock, { recursive: true, force: true });
      }
      continue;
    }
    if (await isAbandoned(lock)) await rm(lock, { recursive: true, force: true });
    if (systemClock.monotonic() > deadlineMs) {
      throw new Error(`another test has been installing ${name} for too long; remove ${lock} if none is`);
    }
    await systemClock.sleep(pollMs);
  }
  return directory;
}

async function makeLock(lock: string): Promise<boolean> {
  try {
    await mkdir(lock);
    return true;
  } catch {
    return false;
  }
}

/** Whether the process that made the lock is gone. */
async function isAbandoned(lock: string): Promise<boolean> {
  const text = await readFile(join(lock, 'pid'), 'utf8').catch(() => '');
  if (!/^\d+$/.test(text)) return false;
  try {
    // Signal 0 only asks.
    process.kill(Number(text), 0);
    return false;
  } catch {
    return true;
  }
}

async function pipInstall(directory: string, packages: readonly string[], provides: string): Promise<void> {
  const target = `${directory}.${systemRandom.uuid()}`;
  try {
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-input', '--disable-pip-version-check'];
    await run('python3', [...pip, '--target', target, ...packages]);
    if (!(await isExecutable(join(target, provides))))
      throw new Error(`${packages.join(' ')} gave no ${provides}`);
    await rm(directory, { recursive: true, force: true });
    await rename(target, directory);
  } catch (thrown) {
    throw new Error(`this test needs ${packages.join(' ')}: let "python3 -m pip install" of it work`, {
      cause: thrown,
    });
  } finally {
    await rm(target, { recursive: true, force: true });
  }
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
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
