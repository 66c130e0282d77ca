/** Keeps the cache rules of this worker equal to those in the state store. */

import type { Logger } from '@alluxio-ts/common/logger';
import { decodeRule, type Rule, rulesGuardKeyOf, rulesPrefixOf } from '@alluxio-ts/common/protocol/rules';
import type { StoredRules } from '../cache/stored-rules.ts';
import type { KvMirrorOptions } from './kv-mirror.ts';
import { RuleMirror } from './rule-mirror.ts';

export interface RuleWatcherOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly rules: StoredRules;
  readonly logger: Logger;
  /** Called after other rules came into force. */
  readonly onChange: () => void;
}

export class RuleWatcher extends RuleMirror<Rule> {
  constructor({ clusterName, logger, mirror, onChange, rules }: RuleWatcherOptions) {
    super({
      ...mirror,
      prefix: rulesPrefixOf(clusterName),
      guardKey: rulesGuardKeyOf(clusterName),
      decode: decodeRule,
      onRule: (rule) => {
        rules.set(rule);
        onChange();
        logger.info({ pattern: rule.pattern, data: rule.data, metadata: rule.metadata }, 'rule-in-force');
      },
      onUnreadable: (key, error) => logger.error({ key, error }, 'rule-not-in-force'),
      onGone: (pattern) => {
        rules.delete(pattern);
        onChange();
        logger.info({ pattern }, 'rule-gone');
      },
    });
  }
}
