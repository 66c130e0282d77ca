/** The order of listings, and how a delimiter cuts them: the same in every adapter. */

import type { ListOptions } from './ufs.ts';

/**
 * Compares by the bytes of UTF-8 without encoding. That is the order of UTF-16 units except that surrogates (which stand
 * for the code points above U+FFFF) come after U+E000 to U+FFFF.
 */
export function compareKeys(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index++) {
    const a = one.charCodeAt(index);
    const b = other.charCodeAt(index);
    if (a !== b) return rankOf(a) - rankOf(b);
  }
  return one.length - other.length;
}

function rankOf(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

/** What a listing shows for a key: the common prefix that the delimiter cuts off, or undefined for the key itself. */
export function commonPrefixOf(
  key: string,
  options: Pick<ListOptions, 'prefix' | 'delimiter'>,
): string | undefined {
  if (!options.delimiter) return undefined;
  const at = key.indexOf(options.delimiter, options.prefix.length);
  return at < 0 ? undefined : key.slice(0, at + options.delimiter.length);
}
