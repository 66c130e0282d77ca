/** The policies by the names that `alluxio.worker.page.store.evictor.type` gives them. */

import { AdaptivePolicy } from './adaptive-policy.ts';
import type { EvictionPolicy } from './eviction-policy.ts';
import { fifoPolicy } from './fifo-policy.ts';
import { FrequencyPolicy } from './frequency-policy.ts';
import { lruPolicy } from './lru-policy.ts';

export const evictorTypes = ['ADAPTIVE', 'LFU', 'LRU', 'FIFO'] as const;

export type EvictorType = (typeof evictorTypes)[number];

/** One for each directory, since it knows only of the pages that belong there. */
export function createEvictionPolicy(type: EvictorType, capacityBytes: number): EvictionPolicy {
  switch (type) {
    case 'ADAPTIVE':
      return new AdaptivePolicy({ capacityBytes });
    case 'LFU':
      return new FrequencyPolicy({ capacityBytes });
    case 'LRU':
      return lruPolicy;
    case 'FIFO':
      return fifoPolicy;
    default:
      return type satisfies never;
  }
}
