/**
 * A machine under a hypervisor that takes unused memory away pays for it when it is touched again, many times what the write into it costs. Whoever wants to measure the
 * work touches the memory before.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { GIB } from '@alluxio-ts/common/units';

/** Touches so much memory, in a process that is gone afterwards. */
export async function touchMemory(gib: number): Promise<void> {
  const script = `const kept = []; for (let gib = 0; gib < ${gib}; gib++) kept.push(Buffer.alloc(${GIB}, 1));`;
  await promisify(execFile)(process.execPath, ['--eval', script]);
}
