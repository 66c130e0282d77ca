/** Writes the XML of the S3 API: elements in order, text escaped as S3 escapes it. A library would decide the order and the escapes for us. */

export type XmlNode = string | number | boolean | readonly XmlElement[];

export type XmlElement = readonly [name: string, content: XmlNode];

export const s3Namespace = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A document with its declaration; `namespace` goes onto the root where S3 has it (everything but errors). */
export function xmlDocument(root: XmlElement, options: { readonly namespace?: string } = {}): string {
  const [name, content] = root;
  const attribute = options.namespace ? ` xmlns="${options.namespace}"` : '';
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${name}${attribute}>${render(content)}</${name}>`;
}

function render(content: XmlNode): string {
  if (typeof content !== 'object') return escapeText(String(content));
  return content.map(([name, inner]) => `<${name}>${render(inner)}</${name}>`).join('');
}

/** Line ends are written as references, since a parser would otherwise turn `\r` into `\n`. What XML 1.0 has no form for becomes U+FFFD. */
function escapeText(text: string): string {
  return text.replace(
    /[&<>"\r\n\t]|[^\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu,
    (character) => {
      switch (character) {
        case '&':
          return '&amp;';
        case '<':
          return '&lt;';
        case '>':
          return '&gt;';
        case '"':
          return '&quot;';
        case '\r':
          return '&#13;';
        case '\n':
          return '&#10;';
        case '\t':
          return '&#9;';
        default:
          return '\u{FFFD}';
      }
    },
  );
}
