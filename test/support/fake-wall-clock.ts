/** The wall clock of a process that a test starts, set by libfaketime while it runs; its monotonic clock goes on as it is. */

import { existsSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { aptInstall, missingProgram } from './programs.ts';

export class FakeWallClock {
  /** For the process. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #file: string;

  private constructor(file: string) {
    this.#file = file;
    this.environment = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      // Times of files stay what they are.
      NO_FAKE_STAT: '1',
    };
  }

  /** `file` is what the process is to read its time from. */
  static async create(file: string): Promise<FakeWallClock> {
    await requireFakeWallClock();
    const clock = new FakeWallClock(file);
    await clock.set('+0');
    return clock;
  }

  /** Away from the right time, such as `+1h` or `-1d`, at once. */
  async set(offset: string): Promise<void> {
    await writeFile(`${this.#file}.new`, offset);
    await rename(`${this.#file}.new`, this.#file);
  }
}

const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`;

/** Installs libfaketime where that is allowed; fails, and says what is needed, otherwise. */
export async function requireFakeWallClock(): Promise<void> {
  const isThere = async (): Promise<boolean> => existsSync(library);
  if (await isThere()) return;
  await aptInstall(['libfaketime'], isThere).catch((thrown: unknown) => {
    throw missingProgram('libfaketime of Debian', [thrown]);
  });
}
