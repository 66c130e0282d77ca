/** Keeps the cache rules of this worker equal to those in the state store. */

import { toAlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { decodeRule, rulesGuardKeyOf, rulesPrefixOf } from '@alluxio-ts/common/protocol/rules';
import type { KvEntry } from '@alluxio-ts/common/state/kv-store';
import type { StoredRules } from '../cache/stored-rules.ts';
import { KvMirror, type KvMirrorOptions } from './kv-mirror.ts';

export interface RuleWatcherOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly rules: StoredRules;
  readonly logger: Logger;
  /** Called after other rules came into force. */
  readonly onChange: () => void;
}

export class RuleWatcher {
  readonly #options: RuleWatcherOptions;
  readonly #prefix: string;
  readonly #mirror: KvMirror;

  constructor(options: RuleWatcherOptions) {
    this.#options = options;
    const { clusterName } = options;
    this.#prefix = rulesPrefixOf(clusterName);
    this.#mirror = new KvMirror(
      { ...options.mirror, prefix: this.#prefix, guardKey: rulesGuardKeyOf(clusterName) },
      { onPut: (entry) => this.#put(entry), onRemove: (key) => this.#remove(key) },
    );
  }

  /** Resolves when the rules that the store has now, or last had, are in force. Fails with StateStoreUnavailable without either. */
  start(): Promise<void> {
    return this.#mirror.start();
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }

  /** A rule that this version cannot read leaves the one of before in force. */
  #put(entry: KvEntry): void {
    const { rules, logger, onChange } = this.#options;
    try {
      const rule = decodeRule(entry.key, entry.value);
      rules.set(rule);
      onChange();
      logger.info({ pattern: rule.pattern, data: rule.data, metadata: rule.metadata }, 'rule-in-force');
    } catch (thrown) {
      logger.error({ key: entry.key, error: toAlluxioError(thrown) }, 'rule-not-in-force');
    }
  }

  #remove(key: string): void {
    const { rules, logger, onChange } = this.#options;
    const pattern = key.slice(this.#prefix.length);
    rules.delete(pattern);
    onChange();
    logger.info({ pattern }, 'rule-gone');
  }
}
