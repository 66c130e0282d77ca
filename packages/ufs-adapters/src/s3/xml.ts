/** Reads the small XML documents that S3 answers with: elements and text; attributes, comments and declarations are passed over. */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  /** As it is written, with its prefix. */
  readonly tag: string;
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

/** Deeper than any document of S3. */
const depthMax = 16;

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

const anyOpeningTag = /<([^\s/>!?]+)(?:\s(?:[^>"'/]|"[^"]*"|'[^']*'|\/(?!>))*)?(\/?)>/y;
const dataBegin = '<![CDATA[';
const dataEnd = ']]>';
const commentBegin = '<!--';

/**
 * The outermost element. Throws UfsBadResponse when the text is not XML. A page of a listing has some fifteen thousand tags: those without attributes are read without a regular
 * expression, which would take twice as long.
 */
export function parseXml(text: string): XmlElement {
  const root = newElement('');
  const open: OpenElement[] = [];
  let current = root;
  for (let at = 0; at < text.length; ) {
    if (text[at] !== '<') {
      const next = text.indexOf('<', at);
      const end = next === -1 ? text.length : next;
      current.text += decodeEntities(text.slice(at, end));
      at = end;
    } else if (text[at + 1] === '/') {
      const end = behind(text, '>', at);
      const outer = open.pop();
      if (!outer || text.slice(at + 2, end - 1).trimEnd() !== current.tag) throw notXml();
      current = outer;
      at = end;
    } else if (text.startsWith(dataBegin, at)) {
      const end = behind(text, dataEnd, at);
      current.text += text.slice(at + dataBegin.length, end - dataEnd.length);
      at = end;
    } else if (text.startsWith('<?', at)) {
      at = behind(text, '?>', at + 2);
    } else if (text.startsWith(commentBegin, at)) {
      at = behind(text, '-->', at + commentBegin.length);
    } else {
      const { end, isEmpty, tag } = openingTagAt(text, at);
      if (open.length === depthMax) throw notXml();
      const element = newElement(tag);
      current.children.push(element);
      if (!isEmpty) {
        open.push(current);
        current = element;
      }
      at = end;
    }
  }
  const [document] = root.children;
  if (current !== root || !document) throw notXml();
  return document;
}

function openingTagAt(
  text: string,
  at: number,
): { readonly tag: string; readonly isEmpty: boolean; readonly end: number } {
  let end = at + 1;
  while (isLetter(text.charCodeAt(end))) end++;
  if (text[end] === '>' && end > at + 1)
    return { tag: text.slice(at + 1, end), isEmpty: false, end: end + 1 };
  anyOpeningTag.lastIndex = at;
  const match = anyOpeningTag.exec(text);
  if (!match) throw notXml();
  return { tag: match[1] ?? '', isEmpty: match[2] === '/', end: anyOpeningTag.lastIndex };
}

function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Without its prefix it is what S3 names it. */
function newElement(tag: string): OpenElement {
  return { tag, name: tag.slice(tag.indexOf(':') + 1), text: '', children: [] };
}

function behind(text: string, end: string, from: number): number {
  const at = text.indexOf(end, from);
  if (at < 0) throw notXml();
  return at + end.length;
}

/** The text of the first child of this name, or undefined. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(#x[0-9a-f]+|#\d+|\w+);/gi, (whole, name: string) => {
    if (!name.startsWith('#')) return entities[name] ?? whole;
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function notXml(): AlluxioError {
  return new AlluxioError(
    'UfsBadResponse',
    'the under storage answered with something that is not an S3 document',
  );
}
