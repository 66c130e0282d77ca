/** Columns for people at a terminal: aligned, and cut so that no line wraps. */

import { printable } from './printable.ts';

export interface Table {
  readonly header: readonly string[];
  /** As many cells as the header has; numbers stand at the right of their column. */
  readonly rows: readonly (readonly (string | number)[])[];
  /** Columns that are never cut, such as ids that are copied: lines may then be longer. */
  readonly whole?: readonly number[];
}

const gap = '  ';
/** What is left of a column when there is no room, so that its beginning and end are still told. */
const widthMin = 5;

/** Lines of at most `columns`, unless the columns are more than fit at their least. */
export function formatTable({ header, rows, whole = [] }: Table, columns: number): string {
  const cells = [header, ...rows].map((row) => row.map((cell) => printable(String(cell))));
  const widths = fittedWidths(
    header.map((_, column) => Math.max(...cells.map((row) => widthOf(row[column] ?? '')))),
    columns - gap.length * (header.length - 1),
    whole,
  );
  const lines = cells.map((row, index) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        const text = fitted(cell, width);
        const padding = ' '.repeat(width - widthOf(text));
        return typeof rows[index - 1]?.[column] === 'number' ? padding + text : text + padding;
      })
      .join(gap)
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** The widest gives way first. */
function fittedWidths(
  wanted: readonly number[],
  columns: number,
  whole: readonly number[],
): readonly number[] {
  const widths = [...wanted];
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - columns; excess > 0; excess--) {
    const widest = Math.max(...widths.filter((_, column) => !whole.includes(column)));
    if (widest <= widthMin) break;
    const column = widths.findIndex((width, index) => width === widest && !whole.includes(index));
    widths[column] = widest - 1;
  }
  return widths;
}

/** Cut in the middle, where a path tells least, to so many columns at most. */
export function fitted(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  const letters = lettersOf(text);
  const tail = beginningOf(letters.toReversed(), Math.floor((columns - 1) / 2)).toReversed();
  const head = beginningOf(letters, columns - 1 - widthOf(tail.join('')));
  return `${head.join('')}…${tail.join('')}`;
}

function beginningOf(letters: readonly string[], columns: number): readonly string[] {
  let width = 0;
  const end = letters.findIndex((letter) => (width += widthOfLetter(letter)) > columns);
  return letters.slice(0, Math.max(0, end));
}

/** Columns that the text takes on a terminal. */
export function widthOf(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  return lettersOf(text).reduce((sum, letter) => sum + widthOfLetter(letter), 0);
}

const segmenter = new Intl.Segmenter();

/** What a reader sees as one, such as a letter with its accent. */
function lettersOf(text: string): readonly string[] {
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;
/** Letters of East Asia and emoji take two columns. */
const doubleWidth =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\p{Emoji_Presentation}\u{20000}-\u{3fffd}]/u;

function widthOfLetter(letter: string): number {
  if (zeroWidth.test(letter)) return 0;
  return doubleWidth.test(letter) ? 2 : 1;
}
