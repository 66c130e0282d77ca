/** CPU time as the scheduler counts it: of a process with all its descendants, and of the machine. Linux only. */

import { readFileSync, readdirSync } from 'node:fs';

/** The clock of /proc/stat: 100 a second on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** Seconds that the threads which live now have run. A thread that ended takes its time with it, so servers with passing threads would look too good. */
export function treeCpuSeconds(pid: number): number {
  let totalNs = 0;
  for (const thread of listOf(`/proc/${pid}/task`)) {
    totalNs += Number(textOf(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1)[0] ?? 0);
    for (const child of textOf(`/proc/${pid}/task/${thread}/children`).split(' ')) {
      if (child.trim() !== '') totalNs += treeCpuSeconds(Number(child)) * 1e9;
    }
  }
  return totalNs / 1e9;
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
