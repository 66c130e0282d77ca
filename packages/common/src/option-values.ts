/** Turns the text of one option into its value, by the type and the bounds of its row. */

import { AlluxioError, hasErrorCode } from './errors.ts';
import type { OptionRow } from './options-table.ts';
import { parseDuration, parseSize } from './units.ts';

export interface ParsedOption {
  readonly value: unknown;
  /** The text as it is printed: that of paths made absolute, any other as given. */
  readonly text: string;
}

export interface ParseContext {
  /** Name and source of the option, for the failure. */
  readonly where: string;
  toPath(text: string): string;
}

/** Throws InvalidOptions saying what the value may be; the value itself is in the message unless it is a secret. */
export function parseOptionValue(row: OptionRow, text: string, context: ParseContext): ParsedOption {
  try {
    return parseByType(row, text, context);
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'InvalidOptions')) throw thrown;
    const fault = row.secret ? 'has a malformed value' : thrown.message;
    throw new AlluxioError('InvalidOptions', `${context.where}: ${fault}`);
  }
}

function parseByType(row: OptionRow, text: string, context: ParseContext): ParsedOption {
  switch (row.type) {
    case 'path': {
      const path = text === '' ? '' : context.toPath(text);
      return { value: path, text: path };
    }
    case 'size':
    case 'duration':
    case 'integer':
    case 'decimal':
      return { value: checkedNumber(row, text), text };
    case 'boolean': {
      const lower = text.toLowerCase();
      if (lower !== 'true' && lower !== 'false') throw invalid(`"${text}" is neither true nor false`);
      return { value: lower === 'true', text: lower };
    }
    case 'list':
      return { value: elementsOf(text), text };
    case 'path-list': {
      const paths = elementsOf(text).map((element) => context.toPath(element));
      return { value: paths, text: paths.join(',') };
    }
    case 'size-list':
      return { value: elementsOf(text).map((element) => checkedNumber(row, element)), text };
    case 'enum': {
      const value = row.values?.find((allowed) => allowed.toLowerCase() === text.toLowerCase());
      if (value === undefined) throw invalid(`"${text}" is not one of ${row.values?.join(', ')}`);
      return { value, text: value };
    }
    case 'string':
    default:
      return { value: text, text };
  }
}

function checkedNumber(row: OptionRow, text: string): number {
  const value = parseNumber(row, text);
  const tooSmall = row.min !== undefined && value < parseNumber(row, row.min);
  const tooLarge = row.max !== undefined && value > parseNumber(row, row.max);
  const notPower = row.powerOfTwo === true && !Number.isInteger(Math.log2(value));
  if (tooSmall || tooLarge || notPower) throw invalid(`"${text}" is not ${describeBounds(row)}`);
  return value;
}

function parseNumber(row: OptionRow, text: string): number {
  if (row.type === 'size' || row.type === 'size-list') return parseSize(text);
  if (row.type === 'duration') return parseDuration(text);
  if (row.type === 'decimal') {
    if (!/^\d{1,9}(\.\d{1,6})?$/.test(text)) throw invalid(`"${text}" is not a decimal number`);
    return Number(text);
  }
  if (!/^-?\d{1,15}$/.test(text)) throw invalid(`"${text}" is not a whole number`);
  return Number(text);
}

/** `a power of two from 64KB to 64MB`: for failures and for the documentation. */
export function describeBounds(row: OptionRow): string {
  const kind = row.powerOfTwo ? 'a power of two ' : '';
  if (row.min !== undefined && row.max !== undefined) return `${kind}from ${row.min} to ${row.max}`;
  if (row.min !== undefined) return `${kind}at least ${row.min}`;
  return row.max === undefined ? kind.trim() : `${kind}at most ${row.max}`;
}

function elementsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((element) => element.trim())
    .filter((element) => element !== '');
}

function invalid(message: string): AlluxioError {
  return new AlluxioError('InvalidOptions', message);
}
