import { type ChildProcess, spawn } from 'node:child_process';

/** Tries more than once, since what was killed may still be making files. */
const script =
  'trap "" HUP INT TERM; read -r _; kill -9 "$1"; for try in 1 2 3 4 5; do rm -rf "$2" && exit; sleep 0.2; done';

/**
 * A shell that kills a process (a process group, when `pid` is negative) and removes a directory (none, when it is '') when this process is gone, in whatever way: the pipe to it
 * closes then. Whoever has ended the process kills the guard.
 */
export function guardOf(pid: number, directory: string): ChildProcess {
  // Apart from our process group, since whoever ends that by a signal would end the guard too.
  return spawn('/bin/sh', ['-c', script, 'sh', String(pid), directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
}
