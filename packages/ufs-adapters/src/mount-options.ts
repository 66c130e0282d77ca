/** The options that a mount may carry: each scheme has one table, which checks them, masks them and lists them. */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface MountOption {
  readonly name: string;
  /** Other spellings that mean the same; the first one given wins. */
  readonly aliases?: readonly string[];
  /** Masked wherever options are shown. */
  readonly isSecret?: boolean;
  /** One sentence for the docs. */
  readonly help: string;
}

/** What a secret looks like when it is shown. */
const mask = 'xxx';

/** For options that no table knows: better to hide too much. */
const secretName = /secret|key|token|password|credential/i;

/** The value of an option by its name or an alias; empty text counts as not given. */
export function optionValue(
  options: Readonly<Record<string, string>>,
  option: MountOption,
): string | undefined {
  for (const name of [option.name, ...(option.aliases ?? [])]) {
    const value = options[name]?.trim();
    if (value) return value;
  }
  return undefined;
}

/** Throws InvalidOptions for a name that the table does not have, with the nearest one and the whole list. Values are never shown. */
export function checkKnownOptions(
  scheme: string,
  options: Readonly<Record<string, string>>,
  table: readonly MountOption[],
): void {
  const known = table.flatMap((option) => [option.name, ...(option.aliases ?? [])]);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const nearest = nearestOf(name, known);
    const hint = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
    const list = known.length === 0 ? 'it takes no options' : `known options: ${known.join(', ')}`;
    throw new AlluxioError('InvalidOptions', `a ${scheme} mount has no option "${name}"${hint} (${list})`, {
      context: { option: name },
    });
  }
}

export function isSecretOption(table: readonly MountOption[] | undefined, name: string): boolean {
  const option = table?.find((row) => row.name === name || row.aliases?.includes(name));
  return option ? option.isSecret === true : secretName.test(name);
}

export function maskSecrets(
  table: readonly MountOption[] | undefined,
  options: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [name, isSecretOption(table, name) ? mask : value]),
  );
}

/** The known name with the fewest edits, if a third of the letters or fewer differ. */
function nearestOf(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.floor(name.length / 3) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const substituted = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substituted));
    }
    row = next;
  }
  return row[other.length] ?? 0;
}
