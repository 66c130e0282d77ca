/**
 * Builds the native part of the hot path where cargo is there, as npm's `prepare` step. Whatever happens, the installation goes on: without the
 * addon `alluxio.worker.transport=hotpath` is answered by the plain transport, which says so. Plain JavaScript, since npm may run it with an older Node.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const timeLimitMs = 5 * 60_000;
const crateDir = join(dirname(fileURLToPath(import.meta.url)), '..', 'packages', 'transport', 'hotpath');

console.log(`hotpath addon: ${build()}`);

function build() {
  if (process.platform !== 'linux') return 'not built, it is for Linux only';
  const { error, status, signal } = spawnSync('cargo', ['build', '--release', '--locked', '--quiet'], {
    cwd: crateDir,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: timeLimitMs,
  });
  if (error?.code === 'ENOENT') return 'not built, there is no cargo in PATH';
  if (error?.code === 'ETIMEDOUT') return `not built, cargo took more than ${timeLimitMs / 1000} s`;
  if (error) return `not built, cargo cannot be run: ${error.message}`;
  if (status !== 0) return `not built, cargo ended with ${status ?? signal}`;
  try {
    return `built ${install()}`;
  } catch (thrown) {
    return `not built, its library cannot be put in place: ${thrown.message}`;
  }
}

/** A running process goes on with the library that it has: the file is replaced, never overwritten. */
function install() {
  const addon = join(crateDir, 'dist', 'alluxio-hotpath.node');
  mkdirSync(dirname(addon), { recursive: true });
  copyFileSync(join(crateDir, 'target', 'release', 'liballuxio_hotpath.so'), `${addon}.new`);
  renameSync(`${addon}.new`, addon);
  return addon;
}
