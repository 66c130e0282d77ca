/** A line for every command there is, made from what its arguments and flags are called: a new command has one by itself. */

import type { Command } from 'commander';
import { createProgram } from '../../src/program.ts';

export interface ExampleLine {
  /** `fs ls`. */
  readonly name: string;
  readonly command: Command;
  readonly words: readonly string[];
}

/** What runs until it is stopped. */
const endless = ['standalone', 'process start coordinator', 'process start worker'];

const valuesOfPlaceholder: Readonly<Record<string, string>> = {
  path: '/s3/dir/a.csv',
  source: '/s3/dir/a.csv',
  target: 'copy',
  shell: 'bash',
  uri: 's3://bucket/other',
};

/** All commands, to be looked at and not run. */
export function programTree(): Command {
  return createProgram({
    argv: [],
    definitions: [],
    environment: {},
    homeDir: '/none',
    workingDir: '/none',
    stdout: { write: () => undefined },
    stderr: { write: () => undefined },
    writeOut: async () => undefined,
    isTerminal: false,
    stopSignal: () => new Promise(() => undefined),
  });
}

export function exampleLines(program: Command): readonly ExampleLine[] {
  return leavesOf(program, []).filter(({ name }) => !endless.includes(name));
}

function leavesOf(command: Command, names: readonly string[]): readonly ExampleLine[] {
  if (command.commands.length > 0) {
    return command.commands.flatMap((child) => leavesOf(child, [...names, child.name()]));
  }
  return [
    { name: names.join(' '), command, words: [...names, ...argumentsOf(command), ...flagsOf(command)] },
  ];
}

function argumentsOf(command: Command): readonly string[] {
  return command.registeredArguments
    .filter((argument) => argument.required || argument.name() in valuesOfPlaceholder)
    .map((argument) => argument.argChoices?.[0] ?? valuesOfPlaceholder[argument.name()] ?? 'x');
}

/** Those that must be there, a path where no argument is one, and one that says what to do where a command has only such. */
function flagsOf(command: Command): readonly string[] {
  const hasArgument = command.registeredArguments.length > 0;
  return command.options.flatMap(({ flags, long, short, mandatory, required }) => {
    const placeholder = /[<[]([\w-]+)/.exec(flags)?.[1] ?? '';
    const isWanted =
      mandatory || (placeholder === 'path' && !hasArgument) || ['-e', '--submit'].includes(flags);
    if (!isWanted) return [];
    return [long ?? short ?? '', ...(required ? [valuesOfPlaceholder[placeholder] ?? 'x'] : [])];
  });
}
