/** Puts, lists and removes TTL rules in the state store. Workers watch the same keys; nobody is told by a call. */

import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import { mountsPrefixOf } from '@alluxio-ts/common/protocol/mounts';
import {
  decodeTtlRule,
  encodeTtlRule,
  type TtlRule,
  ttlPathOf,
  ttlRulesGuardKeyOf,
  ttlRulesPrefixOf,
} from '@alluxio-ts/common/protocol/ttl-rules';
import type { KvCallOptions, KvStore } from '@alluxio-ts/common/state/kv-store';
import { RuleSet } from './rule-set.ts';

export interface TtlControlOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly random: Random;
  readonly logger: Logger;
}

export class TtlControl {
  readonly #options: TtlControlOptions;
  readonly #rules: RuleSet<TtlRule>;

  constructor(options: TtlControlOptions) {
    const { clusterName } = options;
    this.#options = options;
    this.#rules = new RuleSet({
      ...options,
      prefix: ttlRulesPrefixOf(clusterName),
      guardKey: ttlRulesGuardKeyOf(clusterName),
      encode: encodeTtlRule,
      decode: decodeTtlRule,
    });
  }

  /** In the order of their directories. */
  list(call: KvCallOptions = {}): Promise<readonly TtlRule[]> {
    return this.#rules.list(call);
  }

  /**
   * Adds the rule, or replaces that of the same directory. Fails with MountNotFound when no mount holds it, with RuleNotFound when `mustExist` and there is no rule,
   * with InvalidArgument beyond the bound of rules.
   */
  async put(
    { path: given, time }: TtlRule,
    { mustExist, ...call }: KvCallOptions & { readonly mustExist: boolean },
  ): Promise<TtlRule> {
    const rule = { path: ttlPathOf(given), time };
    await this.#checkMounted(rule.path, call);
    const isPut = await this.#rules.put(rule.path, rule, { mustExist, ...call });
    if (!isPut) throw notFound(rule.path);
    this.#options.logger.info(rule, 'ttl-rule-put');
    return rule;
  }

  /** The rule that was removed, also one whose mount went before. Fails with RuleNotFound. */
  async remove(given: string, call: KvCallOptions = {}): Promise<TtlRule> {
    const path = ttlPathOf(given);
    const removed = await this.#rules.remove(path, call);
    if (!removed) throw notFound(path);
    this.#options.logger.info(removed, 'ttl-rule-removed');
    return removed;
  }

  async #checkMounted(path: string, call: KvCallOptions): Promise<void> {
    const { store, clusterName } = this.#options;
    const mountName = path.slice(1, path.indexOf('/', 1));
    if (await store.get(mountsPrefixOf(clusterName) + mountName, call)) return;
    throw new AlluxioError(
      'MountNotFound',
      `no mount holds ${path}; "alluxio mount list" shows what is mounted`,
    );
  }
}

function notFound(path: string): AlluxioError {
  return new AlluxioError(
    'RuleNotFound',
    `there is no TTL rule for ${path.slice(0, 200)}; "alluxio ttl list" shows them`,
  );
}
