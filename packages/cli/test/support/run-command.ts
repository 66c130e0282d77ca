/** Runs the command within the test, and gives what a shell would see of it. */

import { main } from '../../src/main.ts';

export interface CommandOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly homeDir?: string;
  readonly workingDir?: string;
  /** Of the terminal that standard output is; none without it. */
  readonly outColumns?: number;
  /** What the person at the terminal answers; nobody is there without it. */
  readonly answer?: string;
}

export interface CommandOutcome {
  readonly code: number;
  /** A letter a byte: what a command writes need not be UTF-8. */
  readonly stdout: string;
  readonly stderr: string;
}

export async function runCommand(
  argv: readonly string[],
  options: CommandOptions = {},
): Promise<CommandOutcome> {
  const { answer, environment = {}, homeDir = '/none', workingDir = '/none', outColumns } = options;
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
    isTerminal: answer !== undefined,
    ...(answer === undefined
      ? {}
      : {
          ask: async (question: string) => {
            stderr.push(question);
            return answer;
          },
        }),
    stopSignal: () => new Promise(() => undefined),
  });
  return { code, stdout: Buffer.concat(stdout).toString('latin1'), stderr: stderr.join('') };
}
