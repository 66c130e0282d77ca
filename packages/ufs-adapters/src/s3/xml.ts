/** Reads the small XML documents that S3 answers with: elements and text; attributes, comments and declarations are passed over. */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

/** Deeper than any document of S3. */
const depthMax = 16;

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** The outermost element. Throws UfsBadResponse when the text is not XML. */
export function parseXml(text: string): XmlElement {
  const root = { name: '', text: '', children: [] as XmlElement[] };
  const open: { name: string; text: string; children: XmlElement[] }[] = [root];
  const token =
    /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!\[CDATA\[([\s\S]*?)\]\]>|<\/([^\s>]+)\s*>|<([^\s/>!?]+)(?:\s(?:[^>"'/]|"[^"]*"|'[^']*'|\/(?!>))*)?(\/?)>|([^<]+)/gy;
  for (let position = 0; position < text.length; position = token.lastIndex) {
    const match = token.exec(text);
    const current = open.at(-1);
    if (!match || !current) throw notXml();
    const [, data, closed, opened, isEmpty, plain] = match;
    if (data !== undefined) current.text += data;
    else if (plain !== undefined) current.text += decodeEntities(plain);
    else if (closed !== undefined) {
      if (open.length === 1 || localName(closed) !== current.name) throw notXml();
      open.pop();
    } else if (opened !== undefined) {
      if (open.length > depthMax) throw notXml();
      const element = { name: localName(opened), text: '', children: [] };
      current.children.push(element);
      if (!isEmpty) open.push(element);
    }
  }
  const [document] = root.children;
  if (open.length !== 1 || !document) throw notXml();
  return document;
}

/** The text of the first child of this name, or undefined. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
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
