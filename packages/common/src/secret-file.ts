/** Files that hold one secret and are readable by their owner only. */

import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Random } from './clock.ts';
import { AlluxioError, errnoOf } from './errors.ts';
import { syncDirectory } from './sync-directory.ts';

/** A key or a token is far shorter; a wrong path to something huge must not be read whole. */
const secretFileMaxBytes = 64 * 1024;

/** Undefined when there is no such file; fails with InvalidOptions naming it when it cannot be read. */
export async function readSecretFile(file: string): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(file);
    if (size > secretFileMaxBytes)
      throw new AlluxioError('InvalidOptions', `${file} is too large for a secret`);
    return await readFile(file);
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return undefined;
    if (thrown instanceof AlluxioError) throw thrown;
    throw unusable(file, 'read', thrown);
  }
}

/**
 * What the file holds, after it was made from `content` with mode 0600 if it was missing. Of two processes that make it
 * at once, both get what the first one wrote: the file appears under its name only when it is whole.
 */
export async function readOrCreateSecretFile(
  file: string,
  content: Uint8Array,
  random: Random,
): Promise<Buffer> {
  const present = await readSecretFile(file);
  if (present) return present;
  const temporaryFile = `${file}.${random.uuid()}`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    const handle = await open(temporaryFile, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await link(temporaryFile, file).catch((thrown: unknown) => {
      if (errnoOf(thrown) !== 'EEXIST') throw thrown;
    });
    await syncDirectory(dirname(file));
  } catch (thrown) {
    throw unusable(file, 'written', thrown);
  } finally {
    await unlink(temporaryFile).catch(() => undefined);
  }
  return (await readSecretFile(file)) ?? Buffer.from(content);
}

function unusable(file: string, verb: string, thrown: unknown): AlluxioError {
  return new AlluxioError('InvalidOptions', `${file} cannot be ${verb} (${errnoOf(thrown) ?? 'unknown'})`, {
    cause: thrown,
  });
}
