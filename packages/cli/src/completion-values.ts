/** Values for completion: what the running cluster and the table of options know, soon or not at all. */

import { optionsTable } from '@alluxio-ts/common/options-table';
import type { Candidate, Candidates, ValueSource } from './completion.ts';
import { localFiles } from './completion.ts';
import { withCoordinator, withWorker } from './connections.ts';
import type { ProgramOptions } from './context.ts';

/** A person waits for it between two keys. */
const deadlineMs = 500;

const optionNames = optionsTable.map(({ name }) => name);

type Lookup = (context: ProgramOptions, word: string, signal: AbortSignal) => Promise<readonly Candidate[]>;

/** By placeholder. */
const lookups: Readonly<Record<string, Lookup>> = {
  path: paths,
  source: paths,
  worker: workerIds,
  workerId: workerIds,
  regex: patterns,
  option: async () => optionNames.map((value) => ({ value })),
};

export function valueSource(context: ProgramOptions): ValueSource {
  return {
    optionNames,
    of: async (placeholder, word, definitions): Promise<Candidates> => {
      if (placeholder === 'target') return localFiles;
      const lookup = lookups[placeholder];
      // Without a cluster there is nothing to say, and nobody to say it to.
      return lookup
        ? lookup({ ...context, definitions }, word, AbortSignal.timeout(deadlineMs)).catch(() => [])
        : [];
    },
  };
}

/** Mounts, and below one what lies in the directory that the word names. */
async function paths(
  context: ProgramOptions,
  word: string,
  signal: AbortSignal,
): Promise<readonly Candidate[]> {
  const mounts = await withCoordinator(context, (client) => client.listMounts({ signal }), { signal });
  const roots = mounts.flatMap(({ path, ufsUri }) => [
    { value: `${path}/`, description: ufsUri },
    ...(ufsUri.includes('://') ? [{ value: ufsUri.replace(/\/?$/, '/'), description: path }] : []),
  ]);
  if (word === '') return roots.filter(({ value }) => value.startsWith('/'));
  if (!roots.some(({ value }) => word.startsWith(value))) return roots;
  const slash = word.lastIndexOf('/') + 1;
  const directory = word.slice(0, slash);
  const startAfter = nameBefore(word.slice(slash));
  const { files } = await withWorker(
    context,
    ({ worker }) =>
      worker.listPage(directory, { signal, ...(startAfter === undefined ? {} : { startAfter }) }),
    { signal },
  );
  return files.map(({ mName, mType }) => ({
    value: `${directory}${mName}${mType === 'directory' ? '/' : ''}`,
  }));
}

/** A name behind which those with this beginning come first, however many are before them. */
function nameBefore(beginning: string): string | undefined {
  const last = beginning.codePointAt(beginning.length - 1);
  // Not a letter before which there is an ordinary one.
  if (last === undefined || last <= 0x20 || last >= 0xd800) return undefined;
  return `${beginning.slice(0, -1)}${String.fromCodePoint(last - 1)}\u{10ffff}`;
}

async function workerIds(context: ProgramOptions, _: string, signal: AbortSignal) {
  const workers = await withCoordinator(context, (client) => client.listWorkers({ signal }), { signal });
  return workers.map(({ id, address, status }) => ({
    value: id,
    description: `${address.Host}:${address.HttpServerPort} ${status}`,
  }));
}

async function patterns(context: ProgramOptions, _: string, signal: AbortSignal) {
  const rules = await withCoordinator(context, (client) => client.listRules({ signal }), { signal });
  return rules.map(({ pattern }) => ({ value: pattern }));
}
