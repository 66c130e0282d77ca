/** What may stand at the end of a command line, found by walking the commands: new ones are completed without more. */

import type { Argument, Command, Option } from 'commander';
import { extractDefinitions } from './definitions.ts';

export interface Candidate {
  /** The whole word. One that ends in a slash or an equals sign is gone on with. */
  readonly value: string;
  readonly description?: string;
}

/** Names of local files; shells find these by themselves. */
export const localFiles = 'local-files';

export type Candidates = readonly Candidate[] | typeof localFiles;

/** Knows values by their placeholder, the `path` of `--path <path>`; they need not begin with the word. */
export interface ValueSource {
  of(placeholder: string, word: string, definitions: readonly string[]): Promise<Candidates>;
  readonly optionNames: readonly string[];
}

/** Candidates for the last of these words, which follow the name of the program; '' is a word that is not begun. */
export async function complete(
  program: Command,
  words: readonly string[],
  source: ValueSource,
): Promise<Candidates> {
  const word = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  if (before.at(-1) === '-D') return beginning(word, namesOf(source, ''));
  const { definitions, rest } = extractDefinitions(before);
  const place = placeOf(program, rest);
  const flag = /^(--[\w-]+=)(.*)$/s.exec(word);
  const option = place.option ?? optionOf(place.command, flag?.[1]?.slice(0, -1) ?? '');
  if (option && !place.isOnlyArguments) {
    const [, start = '', begun = word] = place.option ? [] : (flag ?? []);
    const found = await valuesOf(option, placeholderOf(option), begun);
    if (found === localFiles) return found;
    return beginning(
      word,
      found.map((each) => ({ ...each, value: start + each.value })),
    );
  }
  if (word.startsWith('-') && !place.isOnlyArguments) {
    const candidates = word.startsWith('-D') ? namesOf(source, '-D') : flagsOf(place.command);
    return beginning(word, candidates);
  }
  if (place.command.commands.length > 0) return beginning(word, commandsOf(place.command));
  const { registeredArguments } = place.command;
  const last = registeredArguments.at(-1);
  const argument = registeredArguments[place.argumentCount] ?? (last?.variadic ? last : undefined);
  if (!argument) return [];
  const found = await valuesOf(argument, argument.name(), word);
  return found === localFiles ? found : beginning(word, found);

  async function valuesOf(of: Option | Argument, placeholder: string, begun: string): Promise<Candidates> {
    return of.argChoices?.map((value) => ({ value })) ?? source.of(placeholder, begun, definitions);
  }
}

interface Place {
  readonly command: Command;
  /** Whose value is next. */
  readonly option: Option | undefined;
  /** Behind `--`. */
  readonly isOnlyArguments: boolean;
  readonly argumentCount: number;
}

/** Where a line is after these words. */
function placeOf(program: Command, words: readonly string[]): Place {
  let command = program;
  let option: Option | undefined;
  let isOnlyArguments = false;
  let argumentCount = 0;
  for (const word of words) {
    if (option) {
      option = undefined;
    } else if (word === '--') {
      isOnlyArguments = true;
    } else if (word.startsWith('-') && !isOnlyArguments) {
      const named = optionOf(command, word);
      if (named?.required) option = named;
    } else {
      const child = command.commands.find((each) => each.name() === word);
      if (child) command = child;
      else argumentCount++;
    }
  }
  return { command, option, isOnlyArguments, argumentCount };
}

function optionOf(command: Command, flag: string): Option | undefined {
  return command.options.find(({ short, long }) => flag !== '' && (flag === short || flag === long));
}

/** The `path` of `--path <path>`. */
function placeholderOf({ flags }: Option): string {
  return /[<[]([\w-]+)/.exec(flags)?.[1] ?? '';
}

function flagsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ value: long ?? short ?? '', description }));
}

function commandsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ value: each.name(), description: each.description() }));
}

function namesOf({ optionNames }: ValueSource, start: string): readonly Candidate[] {
  return optionNames.map((name) => ({ value: `${start}${name}=` }));
}

/** A name with a line end or another control character cannot be typed. */
function beginning(word: string, candidates: readonly Candidate[]): readonly Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(word) && !/\p{Cc}/u.test(value));
}
