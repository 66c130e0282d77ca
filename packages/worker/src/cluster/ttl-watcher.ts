/** Keeps the TTL rules of this worker equal to those in the state store. */

import { toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { decodeTtlRule, ttlRulesGuardKeyOf, ttlRulesPrefixOf } from '@alluxio-ts/common/protocol/ttl-rules';
import type { KvEntry } from '@alluxio-ts/common/state/kv-store';
import type { TtlRules } from '../cache/ttl-rules.ts';
import { KvMirror, type KvMirrorOptions } from './kv-mirror.ts';

export interface TtlWatcherOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly rules: TtlRules;
  readonly logger: Logger;
  /** Called after a rule came, or has another time. */
  readonly onPut: () => void;
}

export class TtlWatcher {
  readonly #options: TtlWatcherOptions;
  readonly #prefix: string;
  readonly #mirror: KvMirror;

  constructor(options: TtlWatcherOptions) {
    this.#options = options;
    const { clusterName } = options;
    this.#prefix = ttlRulesPrefixOf(clusterName);
    this.#mirror = new KvMirror(
      {
        ...options.mirror,
        prefix: this.#prefix,
        guardKey: ttlRulesGuardKeyOf(clusterName),
        mayBeginEmpty: true,
      },
      { onPut: (entry) => this.#put(entry), onRemove: (key) => this.#remove(key) },
    );
  }

  /** Resolves when the rules that the store has now, or last had, are in force; without either there are none until it has told. */
  start(): Promise<void> {
    return this.#mirror.start();
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }

  /** A rule that this version cannot read leaves the one of before in force. */
  #put(entry: KvEntry): void {
    const { rules, logger, onPut } = this.#options;
    try {
      const rule = decodeTtlRule(entry.key, entry.value);
      rules.set(rule);
      onPut();
      logger.info(rule, 'ttl-rule-in-force');
    } catch (thrown) {
      logger.error({ key: entry.key, error: toAlluxioError(thrown) }, 'ttl-rule-not-in-force');
    }
  }

  #remove(key: string): void {
    const { rules, logger } = this.#options;
    const path = key.slice(this.#prefix.length);
    rules.delete(path);
    logger.info({ path }, 'ttl-rule-gone');
  }
}
