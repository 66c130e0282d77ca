/** The rules file as it is now: read at the start, looked at again from time to time. A file that has become wrong changes nothing and is logged. */

import { readFile } from 'node:fs/promises';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type { CacheRule, CacheRules } from './cache-rules.ts';
import { parseCacheRules } from './cache-rules.ts';

export interface CacheRulesFileOptions {
  readonly path: string;
  readonly checkIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called after other rules came into force. */
  readonly onChange: () => void;
}

export class CacheRulesFile implements CacheRules {
  readonly #options: CacheRulesFileOptions;
  readonly #stop = new AbortController();
  #text: string;
  #rules: CacheRules;
  #watching: Promise<void> = Promise.resolve();

  /** Fails with InvalidOptions when the file is missing or wrong: better than to keep what must not be kept. */
  static async open(options: CacheRulesFileOptions): Promise<CacheRulesFile> {
    const file = new CacheRulesFile(options, await readText(options.path));
    file.#watching = file.#watch();
    return file;
  }

  private constructor(options: CacheRulesFileOptions, text: string) {
    this.#options = options;
    this.#text = text;
    this.#rules = parseCacheRules(text, options.path);
  }

  ruleOf(ufsPath: string): CacheRule {
    return this.#rules.ruleOf(ufsPath);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  /** Content is compared, not dates: a ConfigMap is swapped by a link. */
  async #watch(): Promise<void> {
    const { clock, checkIntervalMs, logger, path } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(checkIntervalMs, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const text = await readText(path);
        if (text === this.#text) continue;
        this.#text = text;
        this.#rules = parseCacheRules(text, path);
        this.#options.onChange();
        logger.info({ path }, 'cache-rules-changed');
      } catch (thrown) {
        logger.error({ path, error: thrown }, 'cache-rules-not-changed');
      }
    }
  }
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (thrown) {
    throw new AlluxioError(
      'InvalidOptions',
      `the cache rules file ${path} cannot be read (${errnoOf(thrown)})`,
      {
        cause: thrown,
      },
    );
  }
}
