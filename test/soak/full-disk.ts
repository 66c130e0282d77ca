/** A disk that is really full: a tmpfs of 8 MiB in a mount namespace of its own, which is gone with the process that reads through it. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const script = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" "$3" "$1"';

/** Needs root, or a kernel that lets users make namespaces; fails where there is neither. */
export async function readThroughFullDisk(dir: string): Promise<string> {
  const reader = fileURLToPath(new URL('full-disk-reader.ts', import.meta.url));
  const asRoot = process.getuid?.() === 0 ? [] : ['--map-root-user'];
  const command = [...asRoot, '--mount', 'sh', '-c', script, 'sh', dir, process.execPath, reader];
  const { stdout } = await promisify(execFile)('unshare', command);
  return stdout.trim();
}
