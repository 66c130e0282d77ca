/** Puts, lists and removes cache rules in the state store. Workers watch the same keys; nobody is told by a call. */

import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import {
  decodeRule,
  encodeRule,
  type Rule,
  rulesGuardKeyOf,
  rulesPrefixOf,
} from '@alluxio-ts/common/protocol/rules';
import type { KvCallOptions, KvStore } from '@alluxio-ts/common/state/kv-store';
import { additionGuard } from './addition-guard.ts';

export interface RuleControlOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly random: Random;
  readonly logger: Logger;
}

/** Every lookup of a file tries them all. */
const rulesMax = 1000;

/** Others may change the rules at the same time; each loser looks again. */
const triesMax = 5;

export class RuleControl {
  readonly #options: RuleControlOptions;

  constructor(options: RuleControlOptions) {
    this.#options = options;
  }

  /** In the order of their patterns. */
  async list(call: KvCallOptions = {}): Promise<readonly Rule[]> {
    const { entries } = await this.#options.store.list(rulesPrefixOf(this.#options.clusterName), call);
    return entries.map((entry) => decodeRule(entry.key, entry.value));
  }

  /** Adds the rule, or replaces the one of the same pattern. Fails with InvalidArgument beyond the bound of rules. */
  async put(rule: Rule, call: KvCallOptions = {}): Promise<Rule> {
    const { store, clusterName, logger } = this.#options;
    const put = { key: this.#keyOf(rule.pattern), value: encodeRule(rule) };
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const guard = await additionGuard(this.#options, rulesGuardKeyOf(clusterName), call);
      const { entries } = await store.list(rulesPrefixOf(clusterName), call);
      if (entries.length >= rulesMax && !entries.some(({ key }) => key === put.key)) {
        throw new AlluxioError(
          'InvalidArgument',
          `there are ${rulesMax} rules, their bound; remove one first`,
        );
      }
      const { succeeded } = await store.txn({ compare: [guard.compare], put: [put, guard.put] }, call);
      if (!succeeded) continue;
      logger.info({ pattern: rule.pattern, data: rule.data, metadata: rule.metadata }, 'rule-put');
      return rule;
    }
    throw new AlluxioError('StateConflict', 'others keep changing the rules; look again, then repeat');
  }

  /** The rule that was removed. Fails with RuleNotFound. */
  async remove(pattern: string, call: KvCallOptions = {}): Promise<Rule> {
    const { store, logger } = this.#options;
    const key = this.#keyOf(pattern);
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const entry = await store.get(key, call);
      if (!entry) {
        throw new AlluxioError(
          'RuleNotFound',
          `there is no rule of the pattern "${pattern.slice(0, 200)}"; "alluxio rule list" shows them`,
        );
      }
      const compare = [{ key, modRevision: entry.modRevision }];
      const { succeeded } = await store.txn({ compare, delete: [key] }, call);
      if (!succeeded) continue;
      logger.info({ pattern }, 'rule-removed');
      return decodeRule(entry.key, entry.value);
    }
    throw new AlluxioError('StateConflict', 'others keep changing the rules; look again, then repeat');
  }

  #keyOf(pattern: string): string {
    return rulesPrefixOf(this.#options.clusterName) + pattern;
  }
}
