/** How often the pages of each segment were used in the last one to two periods: one counter a segment, whatever lies in it. */

interface Uses {
  /** In which the latest was. */
  period: number;
  count: number;
  /** In the period before. */
  countBefore: number;
  readonly firstPeriod: number;
}

export class SegmentUses {
  readonly #usesOf = new Map<number, Uses>();
  #period = 0;
  #usesLeft = 0;

  /** Counts a use; `periodUses` is how many uses of all segments the period has that begins next. */
  add(segmentId: number | undefined, periodUses: number): void {
    if (segmentId !== undefined) this.#count(segmentId);
    if (--this.#usesLeft > 0) return;
    this.#usesLeft = periodUses;
    this.#period++;
  }

  /** Undefined for a segment that is younger than a whole period, of which little can be said. */
  countOf(segmentId: number): number | undefined {
    const uses = this.#usesOf.get(segmentId);
    if (!uses || this.#period - uses.firstPeriod < 2) return undefined;
    if (uses.period === this.#period) return uses.count + uses.countBefore;
    return uses.period === this.#period - 1 ? uses.count : 0;
  }

  /** Forgets the segments that are no more. */
  retain(isThere: (segmentId: number) => boolean): void {
    for (const id of this.#usesOf.keys()) if (!isThere(id)) this.#usesOf.delete(id);
  }

  #count(segmentId: number): void {
    const uses = this.#usesOf.get(segmentId);
    if (!uses) {
      const period = this.#period;
      this.#usesOf.set(segmentId, { period, count: 1, countBefore: 0, firstPeriod: period });
    } else if (uses.period === this.#period) {
      uses.count++;
    } else {
      uses.countBefore = uses.period === this.#period - 1 ? uses.count : 0;
      uses.period = this.#period;
      uses.count = 1;
    }
  }
}
