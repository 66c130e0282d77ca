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
import { RuleSet } from './rule-set.ts';

export interface RuleControlOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly random: Random;
  readonly logger: Logger;
}

export class RuleControl {
  readonly #rules: RuleSet<Rule>;
  readonly #logger: Logger;

  constructor({ store, clusterName, random, logger }: RuleControlOptions) {
    this.#logger = logger;
    this.#rules = new RuleSet({
      store,
      random,
      prefix: rulesPrefixOf(clusterName),
      guardKey: rulesGuardKeyOf(clusterName),
      encode: encodeRule,
      decode: decodeRule,
    });
  }

  /** In the order of their patterns. */
  list(call: KvCallOptions = {}): Promise<readonly Rule[]> {
    return this.#rules.list(call);
  }

  /** Adds the rule, or replaces the one of the same pattern. Fails with InvalidArgument beyond the bound of rules. */
  async put(rule: Rule, call: KvCallOptions = {}): Promise<Rule> {
    const { pattern, data, metadata } = rule;
    await this.#rules.put(pattern, rule, call);
    this.#logger.info({ pattern, data, metadata }, 'rule-put');
    return rule;
  }

  /** The rule that was removed. Fails with RuleNotFound. */
  async remove(pattern: string, call: KvCallOptions = {}): Promise<Rule> {
    const removed = await this.#rules.remove(pattern, call);
    if (!removed) {
      throw new AlluxioError(
        'RuleNotFound',
        `there is no rule of the pattern "${pattern.slice(0, 200)}"; "alluxio rule list" shows them`,
      );
    }
    this.#logger.info({ pattern }, 'rule-removed');
    return removed;
  }
}
