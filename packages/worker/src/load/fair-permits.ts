/** A bounded number of permits that several parties share: a free one goes to the party that holds the fewest, of several to the one that got none for longest. */

export interface FairPermitsOptions {
  readonly permitsMax: number;
}

interface Party {
  heldCount: number;
  readonly waiting: (() => void)[];
}

export class FairPermits {
  #permitsMax: number;
  readonly #parties = new Map<string, Party>();
  #heldCount = 0;

  constructor({ permitsMax }: FairPermitsOptions) {
    this.#permitsMax = permitsMax;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  get max(): number {
    return this.#permitsMax;
  }

  /** What is held beyond a smaller number is given back in its time. */
  setMax(permitsMax: number): void {
    this.#permitsMax = permitsMax;
    while (this.#heldCount < this.#permitsMax && this.#grantNext());
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
      this.#take(name, party);
    } else {
      await this.#wait(name, party, signal);
    }
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#giveBack(name, party);
    };
  }

  #take(name: string, party: Party): void {
    this.#heldCount++;
    party.heldCount++;
    // To the end of the line.
    this.#parties.delete(name);
    this.#parties.set(name, party);
  }

  #wait(name: string, party: Party, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const grant = (): void => {
      signal.removeEventListener('abort', leave);
      this.#take(name, party);
      resolve();
    };
    const leave = (): void => {
      party.waiting.splice(party.waiting.indexOf(grant), 1);
      this.#forgetIdle(name, party);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', leave, { once: true });
    party.waiting.push(grant);
    return promise;
  }

  #giveBack(name: string, party: Party): void {
    this.#heldCount--;
    party.heldCount--;
    if (this.#heldCount < this.#permitsMax) this.#grantNext();
    this.#forgetIdle(name, party);
  }

  /** To whoever holds the fewest; false when nobody waits. */
  #grantNext(): boolean {
    let next: Party | undefined;
    for (const each of this.#parties.values()) {
      if (each.waiting.length > 0 && (!next || each.heldCount < next.heldCount)) next = each;
    }
    next?.waiting.shift()?.();
    return next !== undefined;
  }

  #forgetIdle(name: string, party: Party): void {
    if (party.heldCount === 0 && party.waiting.length === 0) this.#parties.delete(name);
  }
}
