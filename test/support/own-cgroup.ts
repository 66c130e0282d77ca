/** A control group of its own for a process that a test starts: below the group of this one, so that whatever bounds that bounds it too. Needs Linux and the right to make one. */

import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface OwnCgroup {
  /** The command that runs this one in the group. */
  command(program: string, args: readonly string[]): readonly [string, ...string[]];
  /** Has a process that runs already, and what it starts from now on, be in the group. */
  take(pid: number): Promise<void>;
  /** How often a process of it was killed for want of memory. */
  killCount(): Promise<number>;
  /** A figure of `memory.stat`, bytes; 0 where this kernel does not have it. */
  statOf(name: string): Promise<number>;
  /** What is still in it goes to the group above. */
  remove(): Promise<void>;
}

interface Version {
  readonly root: string;
  readonly limitFile: string;
  readonly killFile: string;
}

const versions: Readonly<Record<'v1' | 'v2', Version>> = {
  v1: { root: '/sys/fs/cgroup/memory', limitFile: 'memory.limit_in_bytes', killFile: 'memory.oom_control' },
  v2: { root: '/sys/fs/cgroup', limitFile: 'memory.max', killFile: 'memory.events' },
};

const processesFile = 'cgroup.procs';

/** Undefined where none with a limit of memory can be made. */
export async function createOwnCgroup(name: string, limitBytes: number): Promise<OwnCgroup | undefined> {
  const lines = (await readFile('/proc/self/cgroup', 'utf8').catch(() => '')).split('\n');
  const v1 = lines.find((line) => line.split(':')[1]?.split(',').includes('memory'));
  const { killFile, limitFile, root } = v1 ? versions.v1 : versions.v2;
  const own = (v1 ?? lines.find((line) => line.startsWith('0::')))?.split(':').slice(2).join(':');
  if (own === undefined) return undefined;
  const dir = join(root, own, `alluxio-${name}-${process.pid}`);
  try {
    await mkdir(dir);
  } catch {
    return undefined;
  }
  try {
    await writeFile(join(dir, limitFile), String(limitBytes));
  } catch {
    await rmdir(dir);
    return undefined;
  }
  const figure = async (file: string, figureName: string): Promise<number> => {
    const text = await readFile(join(dir, file), 'utf8');
    return Number(new RegExp(`^${figureName} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  };
  return {
    command: (program, args) => [
      'sh',
      '-c',
      'echo $$ > "$0" && exec "$@"',
      join(dir, processesFile),
      program,
      ...args,
    ],
    take: (pid) => writeFile(join(dir, processesFile), String(pid)),
    killCount: () => figure(killFile, 'oom_kill'),
    statOf: (statName) => figure('memory.stat', statName),
    remove: async () => {
      const pids = (await readFile(join(dir, processesFile), 'utf8')).split('\n').filter(Boolean);
      for (const pid of pids) await writeFile(join(dir, '..', processesFile), pid);
      await rmdir(dir);
    },
  };
}
