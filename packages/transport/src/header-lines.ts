import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { HeaderList } from './page-transport.ts';

/** Headers as they are sent, each with its line end. Fails, as node:http does, on a name or value that would not stay in its line. */
export function headerLines(headers: HeaderList): string {
  let lines = '';
  for (const [name, value] of headers) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
    lines += `${name}: ${value}\r\n`;
  }
  return lines;
}
