/**
 * The cache rules of the cluster over those of this process: where rules of the state store match a file, what they say of its data and of its metadata counts;
 * what they do not say is as the rules below have it.
 */

import { ageOfPolicy, compilePattern, type Rule } from '@alluxio-ts/common/protocol/rules';
import { type AgeByPattern, ageOf, type CacheRule, type CacheRules } from './cache-rules.ts';

export class StoredRules implements CacheRules {
  readonly #below: CacheRules;
  /** By the name of the rule. */
  readonly #data = new Map<string, AgeByPattern>();
  readonly #metadata = new Map<string, AgeByPattern>();

  constructor(below: CacheRules) {
    this.#below = below;
  }

  ruleOf(ufsPath: string): CacheRule {
    const dataAgeMs = ageOf(this.#data.values(), ufsPath);
    const metadataAgeMs = ageOf(this.#metadata.values(), ufsPath);
    if (dataAgeMs === undefined && metadataAgeMs === undefined) return this.#below.ruleOf(ufsPath);
    return {
      isKept: dataAgeMs === undefined ? this.#below.ruleOf(ufsPath).isKept : dataAgeMs > 0,
      maxAgeMs: Math.min(dataAgeMs ?? Number.POSITIVE_INFINITY, metadataAgeMs ?? Number.POSITIVE_INFINITY),
    };
  }

  set({ pattern, data, metadata }: Rule): void {
    this.delete(pattern);
    const regex = compilePattern(pattern);
    if (data !== undefined) this.#data.set(pattern, { pattern: regex, ageMs: ageOfPolicy(data) });
    if (metadata !== undefined) this.#metadata.set(pattern, { pattern: regex, ageMs: ageOfPolicy(metadata) });
  }

  delete(pattern: string): void {
    this.#data.delete(pattern);
    this.#metadata.delete(pattern);
  }
}
