/** A value that stands somewhere else, so that a secret need not be in a file of options or on a command line: `@file` or `env:NAME`. */

import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { AlluxioError, errnoOf } from './errors.ts';
import { formatSize } from './units.ts';

export interface ValueReferenceOptions {
  /** What the value is for; begins every failure. */
  readonly where: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  toPath(path: string): string;
}

const valueFileMaxBytes = 64 * 1024;

/** The text of the file, trimmed, or of the variable; undefined for a plain value. Fails with InvalidOptions naming the file or variable. */
export function readValueReference(text: string, options: ValueReferenceOptions): string | undefined {
  const { where } = options;
  if (text.startsWith('@')) {
    const file = options.toPath(text.slice(1));
    return (readBounded(file, { maxBytes: valueFileMaxBytes, isRequired: true, where }) ?? '').trim();
  }
  if (!text.startsWith('env:')) return undefined;
  const variable = text.slice('env:'.length);
  const value = options.environment[variable];
  if (value !== undefined) return value;
  throw new AlluxioError(
    'InvalidOptions',
    `${where} is taken from the environment variable ${variable}, which is not set`,
  );
}

/** `~` is the home directory; a relative path counts from `baseDir`. */
export function absolutePath(path: string, baseDir: string, places: { readonly homeDir: string }): string {
  if (path === '~' || path.startsWith('~/')) return resolve(join(places.homeDir, path.slice(1)));
  return resolve(baseDir, path);
}

/** Undefined when the file is not there and need not be. */
export function readBounded(
  file: string,
  options: { readonly maxBytes: number; readonly isRequired: boolean; readonly where: string },
): string | undefined {
  const { maxBytes, isRequired, where } = options;
  try {
    const { size } = statSync(file);
    if (size > maxBytes) {
      throw new AlluxioError('InvalidOptions', `${where}: ${file} holds more than ${formatSize(maxBytes)}`);
    }
    return readFileSync(file, 'utf8');
  } catch (thrown) {
    if (thrown instanceof AlluxioError) throw thrown;
    const errno = errnoOf(thrown);
    if (!isRequired && (errno === 'ENOENT' || errno === 'ENOTDIR')) return undefined;
    throw new AlluxioError('InvalidOptions', `${where}: ${file} cannot be read (${errno ?? 'unknown'})`, {
      cause: thrown,
    });
  }
}
