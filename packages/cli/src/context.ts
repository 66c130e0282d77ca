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
  /** Resolves with the name of the signal that asks the process to stop; called by commands that run until then. */
  stopSignal(): Promise<string>;
}

export interface ProgramOptions extends MainOptions {
  readonly definitions: readonly string[];
}

export function optionsOf(context: ProgramOptions): Options {
  return loadOptions(context);
}
