/**
 * One owner for a directory, among all processes of the machine. The lock is the kernel's, taken through SQLite on the file
 * `lock`: it goes with the process, however that ends, so there is nothing stale to clean up, and a second holder
 * within the same process is refused too (which plain fcntl locks would let through).
 *
 * Never open the file by other means: closing any descriptor of it would drop the lock of the whole process.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AlluxioError } from './errors.ts';

export interface DirectoryLock {
  readonly directory: string;
  /** Gives the directory free; calling it again does nothing. */
  release(): void;
}

/** Makes the directory when it is missing. Throws DirectoryLocked naming it when somebody else holds it. */
export function lockDirectory(directory: string): DirectoryLock {
  const database = openLockFile(directory);
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (thrown) {
    database.close();
    if (!isBusy(thrown)) throw cannotLock(directory, thrown);
    throw new AlluxioError(
      'DirectoryLocked',
      `the directory ${directory} is in use by another alluxio process; stop that one or choose another directory`,
    );
  }
  return {
    directory,
    release: () => {
      if (database.isOpen) database.close();
    },
  };
}

function openLockFile(directory: string): DatabaseSync {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  } catch (thrown) {
    throw cannotLock(directory, thrown);
  }
}

const sqliteBusy = 5;

function isBusy(thrown: unknown): boolean {
  return thrown instanceof Error && 'errcode' in thrown && thrown.errcode === sqliteBusy;
}

function cannotLock(directory: string, thrown: unknown): AlluxioError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new AlluxioError(
    'InvalidOptions',
    `the directory ${directory} cannot be used (${reason}); make it writable or choose another one`,
    { cause: thrown },
  );
}
