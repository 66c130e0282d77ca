/** Keeps the TTL rules of this worker equal to those in the state store; without it, and without what it last had, there are none until it has told. */

import type { Logger } from '@alluxio-ts/common/logger';
import {
  decodeTtlRule,
  type TtlRule,
  ttlRulesGuardKeyOf,
  ttlRulesPrefixOf,
} from '@alluxio-ts/common/protocol/ttl-rules';
import type { TtlRules } from '../cache/ttl-rules.ts';
import type { KvMirrorOptions } from './kv-mirror.ts';
import { RuleMirror } from './rule-mirror.ts';

export interface TtlWatcherOptions {
  readonly clusterName: string;
  readonly mirror: Omit<KvMirrorOptions, 'prefix' | 'guardKey'>;
  readonly rules: TtlRules;
  readonly logger: Logger;
  /** Called after a rule came, or has another time. */
  readonly onPut: () => void;
}

export class TtlWatcher extends RuleMirror<TtlRule> {
  constructor({ clusterName, logger, mirror, onPut, rules }: TtlWatcherOptions) {
    super({
      ...mirror,
      prefix: ttlRulesPrefixOf(clusterName),
      guardKey: ttlRulesGuardKeyOf(clusterName),
      mayBeginEmpty: true,
      decode: decodeTtlRule,
      onRule: (rule) => {
        rules.set(rule);
        onPut();
        logger.info(rule, 'ttl-rule-in-force');
      },
      onUnreadable: (key, error) => logger.error({ key, error }, 'ttl-rule-not-in-force'),
      onGone: (path) => {
        rules.delete(path);
        logger.info({ path }, 'ttl-rule-gone');
      },
    });
  }
}
