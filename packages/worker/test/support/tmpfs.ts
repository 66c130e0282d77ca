/** A file system of a test's own, small or read-only as it says. Needs root. */

import { execFileSync } from 'node:child_process';
import type { Test } from 'tap';

export async function withTmpfs(
  t: Test,
  sizeMib: number,
  use: (dir: string) => Promise<void>,
): Promise<void> {
  const dir = t.testdir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMib}m`, 'tmpfs', dir]);
  try {
    await use(dir);
  } finally {
    execFileSync('umount', ['--lazy', dir]);
  }
}

export function remount(dir: string, mode: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${mode}`, dir]);
}
