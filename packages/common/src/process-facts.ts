/** What a process tells of itself when it is asked how it is. */

import { readFile } from 'node:fs/promises';
import type { Clock } from './clock.ts';
import type { ProcessFacts } from './protocol/diagnosis.ts';

export interface ProcessFactsOptions {
  readonly version: string;
  /** Of its options. */
  readonly notices: readonly string[];
  readonly clock: Clock;
}

/** A site file of somebody else's has many; so many say enough. */
const noticesMax = 100;

export async function processFacts({ version, notices, clock }: ProcessFactsOptions): Promise<ProcessFacts> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const openFilesMax = openFilesMaxOf(limits);
  return {
    version,
    nodeVersion: process.versions.node,
    ...(openFilesMax === undefined ? {} : { openFilesMax }),
    notices: notices.slice(0, noticesMax),
    nowMs: clock.now(),
  };
}

/** The soft limit in Linux' table, which Node raises to the hard one as it starts; undefined where there is none. */
export function openFilesMaxOf(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? undefined : Number(soft);
}
