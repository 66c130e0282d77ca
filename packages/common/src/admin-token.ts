/** The token that changing calls carry, as one line of a file that its owner alone can read. */

import type { Random } from './clock.ts';
import { AlluxioError } from './errors.ts';
import { readOrCreateSecretFile, readSecretFile } from './secret-file.ts';

/** Makes the file with a new token of 256 random bits and mode 0600 when it is missing. */
export async function loadOrCreateToken(file: string, random: Random): Promise<string> {
  const fresh = `${Buffer.from(random.bytes(32)).toString('base64url')}\n`;
  return tokenOf(await readOrCreateSecretFile(file, Buffer.from(fresh), random), file);
}

/** Undefined when there is no such file. */
export async function loadToken(file: string): Promise<string | undefined> {
  const content = await readSecretFile(file);
  return content && tokenOf(content, file);
}

function tokenOf(content: Buffer, file: string): string {
  const token = content.toString().trim();
  // A short token could be guessed, and one with other letters does not fit into a header.
  if (/^[\x21-\x7e]{16,512}$/.test(token)) return token;
  throw new AlluxioError(
    'InvalidOptions',
    `the token file ${file} must hold one line of 16 to 512 printable letters without spaces`,
  );
}
