/** Runs the command within the test, and gives what a shell would see of it. */

import { main } from '../../src/main.ts';

export interface CommandOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly homeDir?: string;
  readonly workingDir?: string;
  /** Of the terminal that standard output is; none without it. */
  readonly outColumns?: number;
}

export interface CommandOutcome {
  readonly code: number;
  /** A letter a byte: what a command writes need not be UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(
  argv: readonly string[],
  { environment = {}, homeDir = '/none', workingDir = '/none', outColumns }: CommandOptions = {},
): Promise<CommandOutcome> {
  const stdout: Buffer[] = [];
  const stderr: string[] = [];
  const code = await main({
    argv,
    environment,
    homeDir,
    workingDir,
    stdout: { write: (text) => stdout.push(Buffer.from(text)) },
    stderr: { write: (text) => stderr.push(text) },
    writeOut: async (chunk) => {
      stdout.push(Buffer.from(chunk));
    },
    ...(outColumns === undefined ? {} : { outColumns }),
    isTerminal: false,
    stopSignal: () => new Promise(() => undefined),
  });
  return { code, stdout: Buffer.concat(stdout).toString('latin1'), stderr: stderr.join('') };
}
