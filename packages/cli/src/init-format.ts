/**
 * `alluxio init format`: a worker, or standalone, begins with nothing. Only files that are known to be ours are removed, under the locks of their directories,
 * and all locks are taken before the first file goes.
 */

import { existsSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DirectoryLock, lockDirectory } from '@alluxio-ts/common/directory-lock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Options } from '@alluxio-ts/common/options';
import { ExitStatus, optionsOf, type ProgramOptions } from './context.ts';

export interface FormatFlags {
  readonly onlyMissing?: true;
  readonly skipMaster?: true;
  readonly skipWorker?: true;
  readonly yes?: true;
}

interface Place {
  readonly dir: string;
  /** What of it is ours. */
  readonly names: readonly string[];
  readonly hasLock: boolean;
}

export async function format(context: ProgramOptions, flags: FormatFlags): Promise<void> {
  const options = optionsOf(context);
  const cache = flags.skipWorker ? [] : cachePlacesOf(options);
  const state = flags.skipMaster ? [] : [statePlaceOf(options)];
  const places = [...cache, ...state];
  if (flags.onlyMissing) return makeMissing(context, places);
  const filled = places.filter(isFilled);
  const locks: DirectoryLock[] = [];
  try {
    for (const { dir } of places.filter(isUsed)) locks.push(lockDirectory(dir));
    await confirm(context, flags, state.filter(isFilled));
    for (const { dir, names } of filled) {
      for (const name of names) await rm(join(dir, name), { recursive: true, force: true });
      await context.writeOut(`Formatted ${dir}\n`);
    }
  } finally {
    for (const lock of locks) lock.release();
  }
  if (filled.length === 0) await context.writeOut('There is nothing to format\n');
  if (options.get('alluxio.etcd.endpoints').length > 0 && !flags.skipMaster) {
    await context.writeOut('What stands in etcd stays: mounts, rules and members\n');
  }
}

/** The snapshots of mounts and rules beside the records stay: they stand in for an etcd that lost them. */
function cachePlacesOf(options: Options): readonly Place[] {
  const pages = options
    .get('alluxio.worker.page.store.dirs')
    .map((dir) => ({ dir, names: ['segments', 'store.json', 'scrub.json'], hasLock: true }));
  const metastore = options.get('alluxio.dora.worker.metastore.rocksdb.dir');
  const names = ['files.db', 'files.db-wal', 'files.db-shm'];
  return [...pages, { dir: metastore, names, hasLock: false }];
}

function statePlaceOf(options: Options): Place {
  const dir = join(options.get('alluxio.work.dir'), 'state');
  return { dir, names: ['state.snapshot', 'state.snapshot.tmp', 'state.log'], hasLock: true };
}

/** Whether a process ever had it: one that runs may not have filled it yet. */
function isUsed({ dir, hasLock }: Place): boolean {
  return hasLock && existsSync(join(dir, 'lock'));
}

function isFilled({ dir, names }: Place): boolean {
  return names.some((name) => existsSync(join(dir, name)));
}

async function makeMissing(context: ProgramOptions, places: readonly Place[]): Promise<void> {
  for (const { dir } of places) {
    const made = await mkdir(dir, { recursive: true, mode: 0o700 });
    await context.writeOut(made === undefined ? `Kept ${dir}\n` : `Made ${dir}\n`);
  }
}

/** Mounts are not lost by a command that was meant for the cache. */
async function confirm(context: ProgramOptions, flags: FormatFlags, state: readonly Place[]): Promise<void> {
  const [place] = state;
  if (!place || flags.yes) return;
  if (!context.ask) {
    throw new AlluxioError(
      'InvalidArgument',
      `${place.dir} holds the mounts and rules of standalone, and nothing was wiped; give --yes to wipe them as well, or --skip-master to keep them`,
    );
  }
  const answer = await context.ask(`Wipe the mounts and rules of standalone in ${place.dir} as well? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return;
  await context.writeOut('Nothing was wiped; --skip-master keeps the mounts and rules\n');
  throw new ExitStatus(1);
}
