/** One kind of rules in the state store, an entry each. Additions go through the guard of the set, so that none is lost and the bound holds. */

import type { Random } from '@alluxio-ts/common/clock';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { KvCallOptions, KvStore } from '@alluxio-ts/common/state/kv-store';
import { additionGuard } from './addition-guard.ts';

export interface RuleSetOptions<Rule> {
  readonly store: KvStore;
  readonly random: Random;
  /** Of the keys, before the name of a rule. */
  readonly prefix: string;
  readonly guardKey: string;
  readonly encode: (rule: Rule) => string;
  readonly decode: (key: string, value: string) => Rule;
}

/** Every worker keeps and tries them all. */
const rulesMax = 1000;

/** Others may change the rules at the same time; each loser looks again. */
const triesMax = 5;

export class RuleSet<Rule> {
  readonly #options: RuleSetOptions<Rule>;

  constructor(options: RuleSetOptions<Rule>) {
    this.#options = options;
  }

  /** In the order of their names. */
  async list(call: KvCallOptions): Promise<readonly Rule[]> {
    const { store, prefix, decode } = this.#options;
    const { entries } = await store.list(prefix, call);
    return entries.map((entry) => decode(entry.key, entry.value));
  }

  /**
   * Adds a rule, or replaces the one of the same name; false when `mustExist` and there is none. Fails with InvalidArgument beyond the bound of rules.
   */
  async put(
    name: string,
    rule: Rule,
    { mustExist = false, ...call }: KvCallOptions & { readonly mustExist?: boolean },
  ): Promise<boolean> {
    const { store, prefix, guardKey, encode } = this.#options;
    const put = { key: prefix + name, value: encode(rule) };
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const guard = await additionGuard(this.#options, guardKey, call);
      const { entries } = await store.list(prefix, call);
      const before = entries.find(({ key }) => key === put.key);
      if (mustExist && !before) return false;
      if (entries.length >= rulesMax && !before) {
        throw new AlluxioError(
          'InvalidArgument',
          `there are ${rulesMax} rules, their bound; remove one first`,
        );
      }
      // Nobody removes meanwhile what is to be there.
      const same = mustExist && before ? [{ key: put.key, modRevision: before.modRevision }] : [];
      const compare = [guard.compare, ...same];
      const { succeeded } = await store.txn({ compare, put: [put, guard.put] }, call);
      if (succeeded) return true;
    }
    throw conflict();
  }

  /** The rule that was removed; undefined when there was none. */
  async remove(name: string, call: KvCallOptions): Promise<Rule | undefined> {
    const { store, prefix, decode } = this.#options;
    const key = prefix + name;
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const entry = await store.get(key, call);
      if (!entry) return undefined;
      const compare = [{ key, modRevision: entry.modRevision }];
      const { succeeded } = await store.txn({ compare, delete: [key] }, call);
      if (succeeded) return decode(entry.key, entry.value);
    }
    throw conflict();
  }
}

function conflict(): AlluxioError {
  return new AlluxioError('StateConflict', 'others keep changing the rules; look again, then repeat');
}
