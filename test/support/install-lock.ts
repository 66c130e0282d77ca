/** Installations that test files run beside each other want at once: one of them installs, the others wait for it. */

import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '@alluxio-ts/common/clock';

export const serversDirectory = join(dirname(fileURLToPath(import.meta.url)), '..', '.servers');

/** Shorter than the time that a test file has, so that it can say what it waited for. */
const waitMs = 200_000;
const pollMs = 50;

/** Whoever makes the directory of the lock holds it. Those of one name are never under way at once. */
export async function installOnce(
  name: string,
  isThere: () => Promise<boolean>,
  install: () => Promise<void>,
): Promise<void> {
  const lock = join(serversDirectory, `${name}.lock`);
  const deadlineMs = systemClock.monotonic() + waitMs;
  await mkdir(serversDirectory, { recursive: true });
  while (!(await isThere())) {
    if (await makeLock(lock)) {
      try {
        await writeFile(join(lock, 'pid'), String(process.pid));
        if (!(await isThere())) await install();
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
