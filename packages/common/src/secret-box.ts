/**
 * Seals text for the state store with AES-256-GCM under a key from a file. A sealed value is
 * `sealed:v1:` + base64(12 bytes of nonce, 16 of tag, the ciphertext). `place` says where the value belongs and is part of the seal, so that a
 * sealed value copied to another place does not open there.
 */

import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Random } from './clock.ts';
import { AlluxioError } from './errors.ts';
import { readOrCreateSecretFile, readSecretFile } from './secret-file.ts';

export interface SecretBox {
  seal(text: string, place: string): string;
  /** Fails with InvalidOptions naming the key file when the value was sealed under another key, for another place, or is damaged. */
  open(sealed: string, place: string): string;
}

const prefix = 'sealed:v1:';
const algorithm = 'aes-256-gcm';
const keySizeBytes = 32;
const nonceSizeBytes = 12;
const tagSizeBytes = 16;

export function isSealed(text: string): boolean {
  return text.startsWith(prefix);
}

/** `keyFile` is for the errors. */
export function createSecretBox(key: Uint8Array, keyFile: string, random: Random): SecretBox {
  return {
    seal: (text, place) => {
      const nonce = random.bytes(nonceSizeBytes);
      const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(place));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return prefix + Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
    },
    open: (sealed, place) => {
      const bytes = Buffer.from(isSealed(sealed) ? sealed.slice(prefix.length) : '', 'base64');
      const bodyAt = nonceSizeBytes + tagSizeBytes;
      try {
        const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceSizeBytes), {
          authTagLength: tagSizeBytes,
        })
          .setAAD(Buffer.from(place))
          .setAuthTag(bytes.subarray(nonceSizeBytes, bodyAt));
        return Buffer.concat([decipher.update(bytes.subarray(bodyAt)), decipher.final()]).toString();
      } catch {
        // The library's error adds nothing, and a cause is printed by the log.
        throw new AlluxioError(
          'InvalidOptions',
          `the key in ${keyFile} does not open the secret of ${place}; put back the key file it was sealed with, or remove the mount and add it again`,
        );
      }
    },
  };
}

/** The box of the key file, which is made with a new key and mode 0600 when it is missing. */
export async function loadOrCreateKeyFile(file: string, random: Random): Promise<SecretBox> {
  return boxOf(await readOrCreateSecretFile(file, random.bytes(keySizeBytes), random), file, random);
}

/** Undefined when there is no key file: secrets cannot be sealed, nor sealed ones opened. */
export async function loadKeyFile(file: string, random: Random): Promise<SecretBox | undefined> {
  const key = await readSecretFile(file);
  return key && boxOf(key, file, random);
}

function boxOf(key: Buffer, file: string, random: Random): SecretBox {
  if (key.length === keySizeBytes) return createSecretBox(key, file, random);
  throw new AlluxioError(
    'InvalidOptions',
    `the key file ${file} holds ${key.length} bytes, not ${keySizeBytes}; put back the right one`,
  );
}
