import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The file that a thread of this package runs. It lies beside this one, and is as this one: TypeScript as it stands, or what a package carries. */
export function threadFileOf(name: string): string {
  return fileURLToPath(new URL(`${name}${extname(import.meta.url)}`, import.meta.url));
}
