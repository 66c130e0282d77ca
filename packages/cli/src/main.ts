/** The command `alluxio`: reads the command line, runs one command, says what went wrong in one line. */

import { once } from 'node:events';
import { homedir } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { AlluxioError, errnoOf, toAlluxioError } from '@alluxio-ts/common/errors';
import { CommanderError } from 'commander';
import { extractDefinitions } from './definitions.ts';
import { ExitStatus, type MainOptions, wantsJson } from './context.ts';
import { createProgram } from './program.ts';

/** The exit code: 0, or 1 for any failure, as Alluxio's command has it. */
export async function main(options: MainOptions): Promise<number> {
  try {
    const { definitions, rest } = extractDefinitions(options.argv);
    await createProgram({ ...options, definitions }).parseAsync(rest, { from: 'user' });
    return 0;
  } catch (thrown) {
    if (thrown instanceof CommanderError) return endOf(thrown, options);
    if (thrown instanceof ExitStatus) return thrown.exitCode;
    // The reader of our output has seen enough.
    if (errnoOf(thrown) === 'EPIPE') return 0;
    writeFailure(options, toAlluxioError(thrown));
    return 1;
  }
}

/** In one line, as an object where the output is for a program. */
function writeFailure(options: MainOptions, error: AlluxioError): void {
  const { code } = error;
  const message = oneLine(error.message);
  options.stderr.write(
    wantsJson(options) ? `${JSON.stringify({ code, message })}\n` : `alluxio: ${message}\n`,
  );
}

const outColumnsDefault = 80;

/** `main` with what it takes from the process, whose exit code it sets: output that is still on its way gets out. */
export async function runProcess(process: NodeJS.Process): Promise<void> {
  // A reader such as `head` may leave early; that is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  process.exitCode = await main({
    argv: process.argv.slice(2),
    environment: process.env,
    homeDir: homedir(),
    workingDir: process.cwd(),
    stdout: process.stdout,
    stderr: process.stderr,
    // A terminal that does not tell its width says 0.
    ...(process.stdout.isTTY ? { outColumns: process.stdout.columns || outColumnsDefault } : {}),
    isTerminal: process.stderr.isTTY,
    ...(process.stdin.isTTY ? { ask: (question) => ask(process, question) } : {}),
    writeOut: (chunk) => writeTaken(process.stdout, chunk),
    stopSignal: () => firstStopSignal(process),
  });
}

/** An end of the input is an empty line. */
async function ask(process: NodeJS.Process, question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const ended = once(lines, 'close').then(() => '');
    return await Promise.race([lines.question(question), ended]);
  } finally {
    lines.close();
  }
}

function writeTaken(stream: NodeJS.WriteStream, chunk: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

/** Help that was asked for is a success; help for a command that lacks its verb has been printed already. */
function endOf(error: CommanderError, options: MainOptions): number {
  if (error.exitCode === 0) return 0;
  if (error.code !== 'commander.help') {
    const message = oneLine(error.message).replace(/^error: /, '');
    const text = `${message}; "alluxio --help" shows the commands`;
    writeFailure(options, new AlluxioError('InvalidArgument', text));
  }
  return 1;
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s*\n\s*/g, ' ');
}

/** The second signal ends the process at once, as it would without us. */
function firstStopSignal(process: NodeJS.Process): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const stop = (name: string): void => {
    for (const each of stopSignals) process.removeListener(each, stop);
    resolve(name);
  };
  for (const name of stopSignals) process.on(name, stop);
  return promise;
}

const stopSignals = ['SIGINT', 'SIGTERM'] as const;
