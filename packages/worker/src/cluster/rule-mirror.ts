/** One kind of rules, kept equal to those in the state store, an entry each. */

import { type AlluxioError, toAlluxioError } from '@alluxio-ts/common/errors';
import type { KvEntry } from '@alluxio-ts/common/state/kv-store';
import { KvMirror, type KvMirrorOptions } from './kv-mirror.ts';

export interface RuleMirrorOptions<Rule> extends KvMirrorOptions {
  /** Throws for what this version cannot read: the rule of before stays in force. */
  readonly decode: (key: string, value: string) => Rule;
  readonly onRule: (rule: Rule) => void;
  readonly onUnreadable: (key: string, error: AlluxioError) => void;
  /** Named by what stands behind the prefix. */
  readonly onGone: (name: string) => void;
}

export class RuleMirror<Rule> {
  readonly #options: RuleMirrorOptions<Rule>;
  readonly #mirror: KvMirror;

  constructor(options: RuleMirrorOptions<Rule>) {
    this.#options = options;
    this.#mirror = new KvMirror(options, {
      onPut: (entry) => this.#put(entry),
      onRemove: (key) => options.onGone(key.slice(options.prefix.length)),
    });
  }

  /** Resolves when the rules that the store has now, or last had, are in force. Fails with StateStoreUnavailable without either, unless it may begin empty. */
  start(): Promise<void> {
    return this.#mirror.start();
  }

  close(): Promise<void> {
    return this.#mirror.close();
  }

  #put({ key, value }: KvEntry): void {
    const { decode, onRule, onUnreadable } = this.#options;
    try {
      onRule(decode(key, value));
    } catch (thrown) {
      onUnreadable(key, toAlluxioError(thrown));
    }
  }
}
