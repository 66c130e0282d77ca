/** Caches that evict one page at a time, as the literature describes them, to compare with: none of them has to live in a log of segments. */

export interface PageCache {
  /** Whether it was a hit; a miss takes the page in. */
  use(page: number): boolean;
}

export const referenceCaches: Readonly<Record<string, (pagesMax: number) => PageCache>> = {
  none: (pagesMax) => new NeverEvict(pagesMax),
  FIFO: (pagesMax) => new Fifo(pagesMax),
  LRU: (pagesMax) => new Lru(pagesMax),
  LFU: (pagesMax) => new Lfu(pagesMax),
  SIEVE: (pagesMax) => new Sieve(pagesMax),
  'S3-FIFO': (pagesMax) => new S3Fifo(pagesMax),
};

/** Keeps a set, the eldest first. */
abstract class SetCache implements PageCache {
  protected readonly pages = new Set<number>();
  protected readonly pagesMax: number;

  constructor(pagesMax: number) {
    this.pagesMax = pagesMax;
  }

  abstract use(page: number): boolean;

  protected takeIn(page: number): void {
    this.pages.add(page);
    if (this.pages.size > this.pagesMax) deleteFirst(this.pages);
  }
}

class NeverEvict extends SetCache {
  use(page: number): boolean {
    if (this.pages.has(page)) return true;
    if (this.pages.size < this.pagesMax) this.pages.add(page);
    return false;
  }
}

class Fifo extends SetCache {
  use(page: number): boolean {
    if (this.pages.has(page)) return true;
    this.takeIn(page);
    return false;
  }
}

class Lru extends SetCache {
  use(page: number): boolean {
    const isHit = this.pages.delete(page);
    this.takeIn(page);
    return isHit;
  }
}

/** Of those that were used equally often the one that came first goes. Counts of pages that went are lost. */
class Lfu implements PageCache {
  readonly #countOf = new Map<number, number>();
  readonly #byCount: Set<number>[] = [];
  readonly #pagesMax: number;

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
  }

  use(page: number): boolean {
    const count = this.#countOf.get(page);
    if (count === undefined && this.#countOf.size >= this.#pagesMax) this.#evict();
    if (count !== undefined) this.#byCount[count]?.delete(page);
    const next = (count ?? 0) + 1;
    this.#countOf.set(page, next);
    (this.#byCount[next] ??= new Set()).add(page);
    return count !== undefined;
  }

  #evict(): void {
    const least = this.#byCount.find((pages) => pages !== undefined && pages.size > 0);
    if (least) this.#countOf.delete(deleteFirst(least));
  }
}

/** NSDI '24: a hand goes from the eldest to the youngest and takes the first page that was not visited since. */
class Sieve implements PageCache {
  readonly #visited = new Map<number, boolean>();
  readonly #newer = new Map<number, number | undefined>();
  readonly #older = new Map<number, number | undefined>();
  readonly #pagesMax: number;
  #head: number | undefined;
  #tail: number | undefined;
  #hand: number | undefined;

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
  }

  use(page: number): boolean {
    if (this.#visited.has(page)) {
      this.#visited.set(page, true);
      return true;
    }
    if (this.#visited.size >= this.#pagesMax) this.#evict();
    this.#visited.set(page, false);
    this.#older.set(page, this.#head);
    this.#newer.set(page, undefined);
    if (this.#head !== undefined) this.#newer.set(this.#head, page);
    this.#head = page;
    this.#tail ??= page;
    return false;
  }

  #evict(): void {
    let hand = this.#hand ?? this.#tail;
    while (hand !== undefined && this.#visited.get(hand)) {
      this.#visited.set(hand, false);
      hand = this.#newer.get(hand) ?? this.#tail;
    }
    if (hand === undefined) return;
    const newer = this.#newer.get(hand);
    const older = this.#older.get(hand);
    this.#hand = newer;
    if (newer === undefined) this.#head = older;
    else this.#older.set(newer, older);
    if (older === undefined) this.#tail = newer;
    else this.#newer.set(older, newer);
    this.#visited.delete(hand);
    this.#newer.delete(hand);
    this.#older.delete(hand);
  }
}

/** SOSP '23: a small queue of a tenth, a main one, and the names of as many that went. */
class S3Fifo implements PageCache {
  readonly #small = new Map<number, number>();
  readonly #main = new Map<number, number>();
  readonly #ghost = new Set<number>();
  readonly #pagesMax: number;
  readonly #smallMax: number;

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
    this.#smallMax = Math.max(1, Math.floor(pagesMax / 10));
  }

  use(page: number): boolean {
    const queue = this.#small.has(page) ? this.#small : this.#main;
    const count = queue.get(page);
    if (count !== undefined) {
      queue.set(page, Math.min(3, count + 1));
      return true;
    }
    while (this.#small.size + this.#main.size >= this.#pagesMax) this.#evict();
    if (this.#ghost.delete(page)) this.#main.set(page, 0);
    else this.#small.set(page, 0);
    return false;
  }

  #evict(): void {
    if (this.#small.size >= this.#smallMax || this.#main.size === 0) this.#evictSmall();
    else this.#evictMain();
  }

  #evictSmall(): void {
    const [page, count] = firstOf(this.#small);
    this.#small.delete(page);
    if (count > 1) {
      this.#main.set(page, 0);
      return;
    }
    this.#ghost.add(page);
    if (this.#ghost.size > this.#pagesMax) deleteFirst(this.#ghost);
  }

  #evictMain(): void {
    for (;;) {
      const [page, count] = firstOf(this.#main);
      this.#main.delete(page);
      if (count === 0) return;
      this.#main.set(page, count - 1);
    }
  }
}

/** Belady: the page that is used again last goes, or does not come in. Hits of the whole trace. */
export function optimumHits(pages: Uint32Array, pagesMax: number): number {
  const nextUse = new Float64Array(pages.length).fill(Infinity);
  const lastSeen = new Map<number, number>();
  for (let at = pages.length - 1; at >= 0; at--) {
    const page = pages[at] ?? 0;
    nextUse[at] = lastSeen.get(page) ?? Infinity;
    lastSeen.set(page, at);
  }
  const dueOf = new Map<number, number>();
  const queue = new LatestQueue();
  let hits = 0;
  for (let at = 0; at < pages.length; at++) {
    const page = pages[at] ?? 0;
    const due = nextUse[at] ?? Infinity;
    if (dueOf.has(page)) hits++;
    dueOf.set(page, due);
    queue.push(due, page);
    if (dueOf.size > pagesMax) {
      for (;;) {
        const [latest, victim] = queue.pop();
        if (dueOf.get(victim) !== latest) continue;
        dueOf.delete(victim);
        break;
      }
    }
  }
  return hits;
}

/** A heap whose first is the latest. */
class LatestQueue {
  readonly #items: (readonly [number, number])[] = [];

  push(due: number, page: number): void {
    const items = this.#items;
    let at = items.length;
    items.push([due, page]);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (dueAt(items, parent) >= due) break;
      swap(items, at, parent);
      at = parent;
    }
  }

  pop(): readonly [number, number] {
    const items = this.#items;
    const [first] = items;
    const last = items.pop();
    if (!first || !last) throw new Error('the queue is empty');
    if (items.length > 0) items[0] = last;
    for (let at = 0; ; ) {
      let largest = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < items.length && dueAt(items, child) > dueAt(items, largest)) largest = child;
      }
      if (largest === at) return first;
      swap(items, at, largest);
      at = largest;
    }
  }
}

function dueAt(items: readonly (readonly [number, number])[], at: number): number {
  return items[at]?.[0] ?? -Infinity;
}

function swap(items: (readonly [number, number])[], one: number, other: number): void {
  const [first, second] = [items[one], items[other]];
  if (!first || !second) return;
  items[one] = second;
  items[other] = first;
}

function firstOf(queue: ReadonlyMap<number, number>): [number, number] {
  for (const entry of queue) return entry;
  throw new Error('the queue is empty');
}

function deleteFirst(pages: Set<number>): number {
  for (const page of pages) {
    pages.delete(page);
    return page;
  }
  throw new Error('the cache is empty');
}
