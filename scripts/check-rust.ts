/** Format, lints and tests of the Rust crates. Where there is no cargo there is nothing to check, and it says so. */

import { spawnSync } from 'node:child_process';

const crates = ['packages/transport/hotpath', 'bench/load'] as const;

/** `--locked`, so that what is checked is what the lock file says. */
const steps = [
  ['fmt', '--check'],
  ['clippy', '--locked', '--all-targets', '--quiet', '--', '-D', 'warnings'],
  ['test', '--locked', '--quiet'],
] as const;

if (process.platform !== 'linux' || spawnSync('cargo', ['clippy', '--version']).status !== 0) {
  console.log('rust: not checked, that needs Linux and cargo with clippy');
} else {
  for (const crate of crates) for (const step of steps) run(crate, step);
  // What it is for is tested with the crate above it; to build it takes a C++ compiler.
  run('packages/transport/hotpath/fuzz', ['fmt', '--check', '--package', 'alluxio-hotpath-fuzz']);
}

function run(crate: string, step: readonly string[]): void {
  const { status } = spawnSync('cargo', step, { cwd: crate, stdio: 'inherit' });
  if (status === 0) return;
  console.error(`rust: cargo ${step[0]} failed in ${crate}`);
  process.exit(1);
}
