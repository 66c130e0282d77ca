/** `-Dname=value` may stand anywhere on the command line, before and behind a command, so it is taken out before commands are read. */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface ExtractedDefinitions {
  /** `name=value` each, in the order given. */
  readonly definitions: readonly string[];
  readonly rest: readonly string[];
}

/** Understands `-Dname=value` and `-D name=value`, up to a `--`. */
export function extractDefinitions(argv: readonly string[]): ExtractedDefinitions {
  const definitions: string[] = [];
  const rest: string[] = [];
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? '';
    if (argument === '--') return { definitions, rest: [...rest, ...argv.slice(index)] };
    if (!argument.startsWith('-D')) {
      rest.push(argument);
    } else if (argument.length > 2) {
      definitions.push(argument.slice(2));
    } else {
      const next = argv[++index];
      if (next === undefined) {
        throw new AlluxioError('InvalidArgument', '-D needs a definition behind it; write -Dname=value');
      }
      definitions.push(next);
    }
  }
  return { definitions, rest };
}

/**
 * `name=value` of an option such as `--option`. Fails with InvalidArgument naming the flag, never showing the text: it may hold a secret.
 */
export function parseNameValue(flag: string, text: string): readonly [name: string, value: string] {
  const equals = text.indexOf('=');
  if (equals > 0) return [text.slice(0, equals), text.slice(equals + 1)];
  throw new AlluxioError('InvalidArgument', `what follows ${flag} is not of the form name=value`);
}
