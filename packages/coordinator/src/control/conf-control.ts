/** Puts, lists and removes configuration entities in the state store. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import {
  type ConfEntity,
  confPrefixOf,
  decodeConf,
  encodeConf,
} from '@alluxio-ts/common/protocol/conf-entities';
import type { KvCallOptions, KvStore } from '@alluxio-ts/common/state/kv-store';

export interface ConfControlOptions {
  readonly store: KvStore;
  readonly clusterName: string;
  readonly logger: Logger;
}

/** Others may change the entity at the same time; each loser looks again. */
const triesMax = 5;

export class ConfControl {
  readonly #options: ConfControlOptions;
  readonly #prefix: string;

  constructor(options: ConfControlOptions) {
    this.#options = options;
    this.#prefix = confPrefixOf(options.clusterName);
  }

  /** In the order of their keys. */
  async list(call: KvCallOptions = {}): Promise<readonly ConfEntity[]> {
    const { entries } = await this.#options.store.list(this.#prefix, call);
    return entries.map(({ key, value }) => decodeConf(this.#prefix, key, value));
  }

  /** Adds the entity, or replaces the one of the same key; of two at once the later one stays. */
  async put(entity: ConfEntity, call: KvCallOptions = {}): Promise<ConfEntity> {
    const { store, logger } = this.#options;
    await store.txn({ put: [{ key: this.#prefix + entity.key, value: encodeConf(entity) }] }, call);
    logger.info({ key: entity.key, sizeBytes: Buffer.byteLength(entity.conf) }, 'conf-put');
    return entity;
  }

  /** The entity that was removed. Fails with ConfNotFound. */
  async remove(key: string, call: KvCallOptions = {}): Promise<ConfEntity> {
    const { store, logger } = this.#options;
    const storeKey = this.#prefix + key;
    for (let attempt = 1; attempt <= triesMax; attempt++) {
      const entry = await store.get(storeKey, call);
      if (!entry) {
        throw new AlluxioError('ConfNotFound', `there is no configuration entity of the key "${key}"`);
      }
      const compare = [{ key: storeKey, modRevision: entry.modRevision }];
      const { succeeded } = await store.txn({ compare, delete: [storeKey] }, call);
      if (!succeeded) continue;
      logger.info({ key }, 'conf-removed');
      return decodeConf(this.#prefix, storeKey, entry.value);
    }
    throw new AlluxioError(
      'StateConflict',
      'others keep changing this configuration; look again, then repeat',
    );
  }
}
