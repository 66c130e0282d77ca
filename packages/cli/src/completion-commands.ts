/** `alluxio completion`: scripts for shells, and the hidden command by which these ask for candidates. */

import { Argument, type Command } from 'commander';
import { bashReplyOf, parseBashLine } from './bash-line.ts';
import { type Candidates, complete, localFiles, type ValueSource } from './completion.ts';
import { completionScripts, type Shell, shells } from './completion-scripts.ts';
import type { ProgramOptions } from './context.ts';

export function addCompletionCommands(program: Command, context: ProgramOptions): void {
  program
    .command('completion')
    .description('Prints a script that completes commands, flags and paths for a shell.')
    .addArgument(shellArgument())
    .addHelpText('after', completionHelp)
    .action((shell: Shell) => context.writeOut(completionScripts[shell]));
  program
    .command('__complete', { hidden: true })
    .description('Prints candidates for the last word of a line; for the scripts of "alluxio completion".')
    .addArgument(shellArgument())
    .argument('[words...]', 'the line; of bash what parts words, and the line itself')
    .addHelpText('after', '\nExamples:\n  alluxio __complete zsh -- fs st\n')
    .action(async (shell: Shell, words: readonly string[]) => {
      // Loaded here alone: no other command needs it.
      const { valueSource } = await import('./completion-values.ts');
      await context.writeOut(await candidateLines(program, { shell, words }, valueSource(context)));
    });
}

function shellArgument(): Argument {
  return new Argument('<shell>', 'which one').choices(shells);
}

async function candidateLines(
  program: Command,
  { shell, words }: { readonly shell: Shell; readonly words: readonly string[] },
  source: ValueSource,
): Promise<string> {
  if (shell !== 'bash') return format(await complete(program, words, source));
  const [wordBreaks = '', text = ''] = words;
  const line = parseBashLine(text);
  const found = await complete(program, line.words.slice(1), source);
  if (found === localFiles) return format(found);
  return format(found.map(({ value }) => ({ value: bashReplyOf(value, line, wordBreaks) })));
}

function format(candidates: Candidates): string {
  if (candidates === localFiles) return ':files\n';
  return candidates
    .map(({ value, description }) =>
      description === undefined ? `${value}\n` : `${value}\t${description}\n`,
    )
    .join('');
}

const completionHelp = `
A path is completed by the running cluster, if it answers within half a second.

Examples:
  source <(alluxio completion bash)
  source <(alluxio completion zsh)
  alluxio completion fish > ~/.config/fish/completions/alluxio.fish
`;
