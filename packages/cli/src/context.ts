/** What a command is given: the command line, and what it may use of the process. */

import { loadOptions, type Options } from '@alluxio-ts/common/options';

export interface Output {
  write(text: string): unknown;
}

export interface MainOptions {
  /** Without the names of Node and the script. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly workingDir: string;
  readonly stdout: Output;
  readonly stderr: Output;
  /** The width of the terminal that standard output is; absent where it is none. */
  readonly outColumns?: number;
  /** Whether a person reads stderr. */
  readonly isTerminal: boolean;
  /** Asks the person at the terminal for a line; absent where there is none to ask. */
  readonly ask?: (question: string) => Promise<string>;
  /** The same standard output for what may be long: resolves when it was taken, so that a slow reader holds back the command. */
  writeOut(chunk: string | Uint8Array): Promise<void>;
  /** Resolves with the name of the signal that asks the process to stop; called by commands that must not end in the middle. */
  stopSignal(): Promise<string>;
}

export interface ProgramOptions extends MainOptions {
  readonly definitions: readonly string[];
}

/** Whether a program reads the output: `--json`, before a `--`. */
export function wantsJson({ argv }: Pick<MainOptions, 'argv'>): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? argv.length : end).includes('--json');
}

/** A line on standard error beside the answer. */
export function tell(context: MainOptions, notice: string): void {
  context.stderr.write(wantsJson(context) ? `${JSON.stringify({ notice })}\n` : `alluxio: ${notice}\n`);
}

/** Ends a command whose answer is its exit code; nothing is printed. */
export class ExitStatus extends Error {
  override readonly name = 'ExitStatus';
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export function optionsOf(context: ProgramOptions): Options {
  return loadOptions(context);
}
