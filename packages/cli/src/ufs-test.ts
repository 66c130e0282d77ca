/** `alluxio exec ufsTest`: a storage is opened in this process with the options of a mount, and tried. */

import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { secretMask } from '@alluxio-ts/common/protocol/mount-secrets';
import { parseMountUri } from '@alluxio-ts/common/ufs-path';
import { formatCount } from '@alluxio-ts/common/units';
import { tryUfs, type UfsTrial } from '@alluxio-ts/ufs-adapters/try-ufs';
import { createUfsRegistry } from '@alluxio-ts/ufs-adapters/ufs-registry';
import { type JsonFlag, print } from './answer.ts';
import { withCoordinator } from './connections.ts';
import { ExitStatus, type ProgramOptions } from './context.ts';
import { printable } from './printable.ts';
import { localRootsOf } from './worker-composition.ts';

export interface UfsTestFlags extends JsonFlag {
  readonly path: string;
  readonly option: Readonly<Record<string, string>>;
  readonly write?: true;
}

export async function runUfsTest(context: ProgramOptions, flags: UfsTestFlags): Promise<void> {
  const { options, ufsUri } = await targetOf(context, flags);
  const registry = createUfsRegistry({
    clock: systemClock,
    random: systemRandom,
    environment: context.environment,
    // Whoever runs the command may read the directory, or may not.
    localAllowedRoots: localRootsOf([ufsUri]),
  });
  const ufs = registry.open(parseMountUri(ufsUri), options);
  const trials: UfsTrial[] = [];
  try {
    const id = systemRandom.uuid().slice(0, 8);
    for await (const trial of tryUfs(ufs, { clock: systemClock, id, writes: flags.write ?? false })) {
      trials.push(trial);
      if (!flags.json) await context.writeOut(lineOf(trial));
    }
  } finally {
    await ufs.close();
  }
  const failedCount = trials.filter(({ level }) => level === 'error').length;
  await print(context, flags, {
    data: { ufsUri, checks: trials.map((trial) => ({ ...trial })) },
    text: `${ufsUri}: ${formatCount(trials.length, 'check')}, ${failedCount} failed\n`,
  });
  if (failedCount > 0) throw new ExitStatus(1);
}

function lineOf({ durationMs, finding, level, name }: UfsTrial): string {
  return `${level.padEnd(7)}  ${name.padEnd(14)} ${String(durationMs).padStart(6)} ms  ${printable(finding)}\n`;
}

interface Target {
  readonly ufsUri: string;
  readonly options: Readonly<Record<string, string>>;
}

/** A mount as it stands, with the secrets that nobody tells put in by the caller; or a storage by its URI. */
async function targetOf(context: ProgramOptions, { option, path }: UfsTestFlags): Promise<Target> {
  if (path.includes('://')) return { ufsUri: path, options: option };
  const mounts = await withCoordinator(context, (client) => client.listMounts());
  const wanted = path.replace(/\/+$/, '');
  const mount = mounts.find((each) => each.path === wanted);
  if (!mount) {
    throw new AlluxioError(
      'MountNotFound',
      `nothing is mounted at ${path}; "alluxio mount list" shows the mounts, and a directory of this machine is written file://${path}`,
    );
  }
  const options = { ...mount.options, ...option };
  const missing = Object.keys(options).filter((name) => options[name] === secretMask);
  if (missing.length === 0) return { ufsUri: mount.ufsUri, options };
  throw new AlluxioError(
    'InvalidArgument',
    `nobody tells the secrets of ${wanted}; give them: ${missing.map((name) => `--option ${name}=@file`).join(' ')}`,
  );
}
