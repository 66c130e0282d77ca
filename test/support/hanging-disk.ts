/** A directory whose one file, `f`, can be made to hang: no read of it is answered until the test says so. Needs Linux, root and /dev/fuse. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface HangingDisk {
  readonly path: string;
  hang(): Promise<void>;
  goOn(): Promise<void>;
  /** Whoever still waits gets an error. */
  stop(): Promise<void>;
}

/** `source` has the bytes. Fails with what is missing. */
export async function startHangingDisk(mountPoint: string, source: string): Promise<HangingDisk> {
  mkdirSync(mountPoint);
  const program = new URL('hanging-disk.py', import.meta.url).pathname;
  const child = spawn('python3', [program, mountPoint, source], { stdio: ['pipe', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answered = async (): Promise<void> => {
    if ((await lines.next()).done) throw new Error(`the hanging disk needs root and /dev/fuse: ${errors}`);
  };
  const say = async (line: string): Promise<void> => {
    child.stdin.write(`${line}\n`);
    await answered();
  };
  await answered();
  return {
    path: `${mountPoint}/f`,
    hang: () => say('hang'),
    goOn: () => say('go on'),
    stop: async () => {
      child.stdin.end();
      await exited;
    },
  };
}
