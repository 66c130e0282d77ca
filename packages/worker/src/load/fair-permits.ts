/** A bounded number of permits that several parties share: a free one goes to the party that holds the fewest. */

export interface FairPermitsOptions {
  readonly permitsMax: number;
}

interface Party {
  heldCount: number;
  readonly waiting: (() => void)[];
}

export class FairPermits {
  readonly #permitsMax: number;
  readonly #parties = new Map<string, Party>();
  #heldCount = 0;

  constructor({ permitsMax }: FairPermitsOptions) {
    this.#permitsMax = permitsMax;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /**
   * Resolves with the permit, given back by calling it once. There is no bound to those who wait: each party waits with few. Rejects with the signal's
   * reason.
   */
  async acquire(name: string, { signal }: { readonly signal: AbortSignal }): Promise<() => void> {
    signal.throwIfAborted();
    const party = this.#parties.get(name) ?? { heldCount: 0, waiting: [] };
    this.#parties.set(name, party);
    if (this.#heldCount < this.#permitsMax) {
      this.#take(party);
    } else {
      await this.#wait(party, signal);
    }
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#giveBack(name, party);
    };
  }

  #take(party: Party): void {
    this.#heldCount++;
    party.heldCount++;
  }

  #wait(party: Party, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const grant = (): void => {
      signal.removeEventListener('abort', leave);
      this.#take(party);
      resolve();
    };
    const leave = (): void => {
      party.waiting.splice(party.waiting.indexOf(grant), 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true });
    party.waiting.push(grant);
    return promise;
  }

  #giveBack(name: string, party: Party): void {
    this.#heldCount--;
    party.heldCount--;
    let next: Party | undefined;
    for (const each of this.#parties.values()) {
      if (each.waiting.length > 0 && (!next || each.heldCount < next.heldCount)) next = each;
    }
    next?.waiting.shift()?.();
    if (party.heldCount === 0 && party.waiting.length === 0) this.#parties.delete(name);
  }
}
