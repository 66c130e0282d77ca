/** Keeps what is used often (`FrequencyPolicy`), or what was used last, as long as that would hit more: a working set that moves on steadily is better served so. */

import type { PageId } from '@alluxio-ts/common/page';
import { MIB } from '@alluxio-ts/common/units';
import type { EvictionPolicy, PageView, SegmentView, StoreView } from './eviction-policy.ts';
import { FrequencyPolicy } from './frequency-policy.ts';
import { lruPolicy } from './lru-policy.ts';
import { PolicyDuel } from './policy-duel.ts';

/** Until it is known how many pages there are. */
const pageBytesExpected = 4 * MIB;

export class AdaptivePolicy implements EvictionPolicy {
  readonly #frequency: FrequencyPolicy;
  #duel: PolicyDuel;
  #leader: EvictionPolicy;

  constructor(options: { readonly capacityBytes: number }) {
    this.#frequency = new FrequencyPolicy(options);
    this.#leader = this.#frequency;
    this.#duel = newDuel(options.capacityBytes / pageBytesExpected);
  }

  used(page: PageId, segmentId: number | undefined): void {
    this.#frequency.used(page, segmentId);
    this.#duel.used(page);
  }

  chooseSegment(segments: readonly SegmentView[], store: StoreView): SegmentView {
    const { pageCount } = this.#duel;
    if (store.pageCount > 2 * pageCount || store.pageCount < pageCount / 2) {
      this.#duel = newDuel(store.pageCount);
    }
    this.#frequency.notice(store);
    this.#leader = this.#duel.isSecondAhead ? lruPolicy : this.#frequency;
    return this.#leader.chooseSegment(segments, store);
  }

  choosePages(
    pages: readonly PageView[],
    options: { readonly budgetBytes: number; readonly store: StoreView },
  ): readonly PageView[] {
    return this.#leader.choosePages(pages, options);
  }
}

function newDuel(pageCount: number): PolicyDuel {
  return new PolicyDuel({
    pageCount: Math.max(1, pageCount),
    first: (modelPages) => new FrequencyPolicy({ capacityBytes: modelPages * pageBytesExpected }),
    second: () => lruPolicy,
  });
}
