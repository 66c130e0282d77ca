/** Lines on their way to standard output, gathered so that a long listing is few writes and a slow reader holds it back. */

import type { ProgramOptions } from './context.ts';

const batchLength = 64 * 1024;

export class LineBatch {
  readonly #context: ProgramOptions;
  #text = '';

  constructor(context: ProgramOptions) {
    this.#context = context;
  }

  async add(line: string): Promise<void> {
    this.#text += `${line}\n`;
    if (this.#text.length >= batchLength) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '') await this.#context.writeOut(text);
  }
}
