/** What a command answers: one JSON document for a program that gives `--json`, a table at a terminal, lines in the form of Alluxio anywhere else. */

import { Option } from 'commander';
import type { ProgramOptions } from './context.ts';
import { formatStructured, type Structured } from './structured-text.ts';
import { formatTable, type Table } from './table.ts';

/** What a command with `jsonOption` is given. */
export interface JsonFlag {
  readonly json?: true;
}

export interface Answer {
  /** The names of its fields stay as they are. */
  readonly data: Structured;
  /** With its last line end. */
  readonly text: string;
  /** Instead of the text at a terminal. */
  readonly table?: Table;
}

export function jsonOption(): Option {
  return new Option('--json', 'as JSON');
}

export async function print(context: ProgramOptions, flags: JsonFlag, answer: Answer): Promise<void> {
  await context.writeOut(formatAnswer(context, flags, answer));
}

function formatAnswer(
  { outColumns }: ProgramOptions,
  flags: JsonFlag,
  { data, text, table }: Answer,
): string {
  if (flags.json) return formatStructured(data, 'json');
  return table && outColumns !== undefined ? formatTable(table, outColumns) : text;
}
