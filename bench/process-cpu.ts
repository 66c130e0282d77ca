/** CPU time as the scheduler counts it: of a process with all its descendants, and of the machine. Linux only. */

import { readFileSync, readdirSync } from 'node:fs';

/** The clock of /proc/stat: 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Seconds that the threads which live now have run. A thread that ended takes its time with it, so servers with passing threads would look too good. */
export function treeCpuSeconds(pid: number): number {
  let seconds = 0;
  for (const each of [pid, ...descendantsOf(pid)])
    for (const ran of threadCpuSeconds(each).values()) seconds += ran;
  return seconds;
}

/** The processes that it has started, and those that they have. */
export function descendantsOf(pid: number): readonly number[] {
  const children = threadsOf(pid).flatMap((thread) =>
    textOf(`/proc/${pid}/task/${thread}/children`).split(' ').filter(Boolean).map(Number),
  );
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Seconds that the threads of a process which live now have run, by their names. */
export function threadCpuSeconds(pid: number): ReadonlyMap<string, number> {
  const seconds = new Map<string, number>();
  for (const thread of threadsOf(pid)) {
    const name = textOf(`/proc/${pid}/task/${thread}/comm`).trim();
    const [ranNs] = textOf(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1);
    seconds.set(name, (seconds.get(name) ?? 0) + Number(ranNs) / 1e9);
  }
  return seconds;
}

export function threadsOf(pid: number): readonly number[] {
  return listOf(`/proc/${pid}/task`).map(Number);
}

/** Seconds that all cores together were busy since the machine started; waiting for a disk is not busy. */
export function machineBusySeconds(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    textOf('/proc/stat').split('\n', 1)[0]?.split(/\s+/).map(Number) ?? [];
  return (user + nice + system + irq + softirq + steal) / ticksPerSecond;
}

function listOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** '' where the process has ended meanwhile. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
