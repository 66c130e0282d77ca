/** Kills a process that fills a page store, at random moments, and looks at what it left. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { MIB } from '@alluxio-ts/common/units';
import {
  type Finding,
  inspectAll,
  mixedPages,
  openTestStore,
  seededRandom,
  segmentBytes,
} from './page-store-fixture.ts';

/** More pages than fit, so that the process evicts too. */
export const killFileCount = 400;
export const killSizeBytes = 12 * MIB;

export interface KillOptions {
  readonly dir: string;
  readonly seed: number;
  readonly count: number;
}

export type KillCounts = Record<Finding, number> & { usedMaxBytes: number; evictedCount: number };

/** Fills and kills `count` times on the same directory; reads all pages after each time. */
export async function killStore({ count, dir, seed }: KillOptions): Promise<KillCounts> {
  const random = seededRandom(seed);
  const pages = mixedPages(killFileCount);
  const totals = { right: 0, miss: 0, corrupt: 0, wrong: 0, usedMaxBytes: 0, evictedCount: 0 };
  for (let round = 0; round < count; round++) {
    totals.evictedCount += await fillAndKill(dir, seed + round, 1 + random(100));
    totals.usedMaxBytes = Math.max(totals.usedMaxBytes, segmentBytes(dir));
    const store = await openTestStore(dir, { sizeBytes: killSizeBytes });
    try {
      const counts = await inspectAll(store, pages);
      for (const finding of ['right', 'miss', 'corrupt', 'wrong'] as const)
        totals[finding] += counts[finding];
      totals.usedMaxBytes = Math.max(totals.usedMaxBytes, store.stats().usedBytes);
    } finally {
      await store.close();
    }
  }
  return totals;
}

/** Kills the process when it has written so many lines; gives how many pages it had evicted by then. */
async function fillAndKill(dir: string, seed: number, lineCount: number): Promise<number> {
  const script = fileURLToPath(new URL('page-store-filler.ts', import.meta.url));
  const child = spawn(process.execPath, [script, dir, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    let seen = 0;
    let evictedCount = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === 'wrong') throw new Error(`the process of seed ${seed} read a wrong byte`);
      evictedCount = Number(line);
      if (++seen >= lineCount) break;
    }
    if (seen < lineCount) throw new Error(`the process of seed ${seed} ended by itself after ${seen} lines`);
    return evictedCount;
  } finally {
    child.kill('SIGKILL');
    await exited;
  }
}
