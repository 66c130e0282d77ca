/** Values of mount options that stand elsewhere: `name=@file` and `name=env:NAME`, so that no secret need be on a command line. */

import { absolutePath, readValueReference } from '@alluxio-ts/common/value-reference';
import type { MainOptions } from './context.ts';
import { parseNameValue } from './definitions.ts';

/** Reads what follows a flag: its name, and its value with what it refers to put in. */
export type ValueReader = (flag: string, text: string) => readonly [name: string, value: string];

export function valueReader(
  context: Pick<MainOptions, 'environment' | 'homeDir' | 'workingDir'>,
): ValueReader {
  return (flag, text) => {
    const [name, value] = parseNameValue(flag, text);
    const referred = readValueReference(value, {
      where: `${flag} ${name}`,
      environment: context.environment,
      toPath: (path) => absolutePath(path, context.workingDir, context),
    });
    return [name, referred ?? value];
  };
}

/** For the help of the commands that take such options. */
export const referencesHelp = `
A value may be @file (the text of that file) or env:NAME (that environment variable), which keeps secrets
off the command line; one that begins so itself must be given in one of these ways.
`;
