/** Runs a command in this process, and gives what it wrote. */

import { main } from '../../src/main.ts';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** What the person at the terminal answers; nobody is there without it. */
  readonly answer?: string;
}

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { answer, environment = {} } = options;
  const stdout: string[] = [];
  const stderr: string[] = [];
  const code = await main({
    argv,
    environment,
    homeDir: '/none',
    workingDir: '/none',
    stdout: { write: (text) => stdout.push(text) },
    stderr: { write: (text) => stderr.push(text) },
    writeOut: async (chunk) => {
      stdout.push(chunk.toString());
    },
    isTerminal: answer !== undefined,
    ...(answer === undefined
      ? {}
      : {
          ask: async (question: string) => {
            stderr.push(question);
            return answer;
          },
        }),
    stopSignal: async () => 'SIGTERM',
  });
  return { code, stdout: stdout.join(''), stderr: stderr.join('') };
}
