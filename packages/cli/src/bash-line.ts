/** A line as bash is about to read it, up to the cursor: into words, and candidates back into what bash puts in the place of the last one. */

export interface BashLine {
  readonly words: readonly string[];
  /** The last word as it was typed. */
  readonly typed: string;
  /** The quote that is still open, or ''. */
  readonly quote: string;
}

export function parseBashLine(line: string): BashLine {
  const words: string[] = [];
  let word = '';
  let start = 0;
  let quote = '';
  let isBegun = false;
  for (let index = 0; index < line.length; index++) {
    const letter = line.charAt(index);
    if (!isBegun && letter !== ' ' && letter !== '\t') {
      isBegun = true;
      start = index;
    }
    if (letter === '\\' && quote !== "'") {
      word += line.charAt(++index);
    } else if (letter === quote) {
      quote = '';
    } else if (quote === '' && (letter === '"' || letter === "'")) {
      quote = letter;
    } else if (quote === '' && (letter === ' ' || letter === '\t')) {
      if (isBegun) words.push(word);
      word = '';
      isBegun = false;
    } else {
      word += letter;
    }
  }
  return { words: [...words, word], typed: isBegun ? line.slice(start) : '', quote };
}

/** Bash begins a word anew behind letters such as `:` and `=` (its COMP_WORDBREAKS), so what is before stays as it is. */
export function bashReplyOf(value: string, { typed, quote }: BashLine, wordBreaks: string): string {
  // Nothing parts words within quotes.
  if (quote === "'") return value;
  if (quote === '"') return value.replaceAll(/[$`"\\]/g, '\\$&');
  let kept = 0;
  for (const wordBreak of [':', '=']) {
    if (wordBreaks.includes(wordBreak)) kept = Math.max(kept, typed.lastIndexOf(wordBreak) + 1);
  }
  const keptWord = parseBashLine(typed.slice(0, kept)).words.at(-1) ?? '';
  return value.slice(keptWord.length).replaceAll(/[^\p{L}\p{N}_./:=@%+,-]/gu, '\\$&');
}
