/** A JSON array on its way to standard output, an element a line, of which little is in memory. What fails in the middle stays without its end. */

import type { ProgramOptions } from './context.ts';
import { LineBatch } from './line-batch.ts';
import type { Structured } from './structured-text.ts';

export class JsonList {
  readonly #lines: LineBatch;
  /** The element before, whose line ends with a comma when another follows. */
  #last: string | undefined;
  #isBegun = false;

  constructor(context: ProgramOptions) {
    this.#lines = new LineBatch(context);
  }

  async add(element: Structured): Promise<void> {
    await this.#begin();
    if (this.#last !== undefined) await this.#lines.add(`${this.#last},`);
    this.#last = JSON.stringify(element);
  }

  async end(): Promise<void> {
    await this.#begin();
    if (this.#last !== undefined) await this.#lines.add(this.#last);
    await this.#lines.add(']');
    await this.#lines.flush();
  }

  async #begin(): Promise<void> {
    if (this.#isBegun) return;
    this.#isBegun = true;
    await this.#lines.add('[');
  }
}
