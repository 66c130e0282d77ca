/**
 * Doubt about many departures at once: when more than half of the members seem to be gone within one lease time, that is rather etcd (emptied, restored, cut off)
 * than the members. They are kept for one lease time more, in which those who live register again. Arrivals are never held.
 */

export interface GuardedMembers<Member> {
  readonly members: ReadonlyMap<string, Member>;
  /** Names that are kept although they seem to be gone. */
  readonly held: readonly string[];
  /** When to ask again, if any are held. */
  readonly heldUntil: number | undefined;
}

export class DepartureGuard<Member> {
  readonly #holdMs: number;
  #members: ReadonlyMap<string, Member> = new Map();
  /** When each departure of the last lease time was believed. */
  #departures: readonly number[] = [];
  #heldSince: number | undefined;

  constructor(holdMs: number) {
    this.#holdMs = holdMs;
  }

  /** `found` is what the state store shows at `now`; the answer is what to go by. */
  update(found: ReadonlyMap<string, Member>, now: number): GuardedMembers<Member> {
    const gone = [...this.#members.keys()].filter((name) => !found.has(name));
    this.#departures = this.#departures.filter((at) => now - at < this.#holdMs);
    const isMany = gone.length + this.#departures.length > (this.#members.size + this.#departures.length) / 2;
    if (gone.length === 0 || !isMany) this.#heldSince = undefined;
    else this.#heldSince ??= now;
    const heldUntil = this.#heldSince === undefined ? undefined : this.#heldSince + this.#holdMs;
    if (heldUntil !== undefined && now < heldUntil) {
      const kept = gone.flatMap((name) => {
        const member = this.#members.get(name);
        return member === undefined ? [] : [[name, member] as const];
      });
      this.#members = new Map([...found, ...kept]);
      return { members: this.#members, held: gone, heldUntil };
    }
    // What was held for its time is believed, and is no reason to doubt the next departure.
    this.#departures = heldUntil === undefined ? [...this.#departures, ...gone.map(() => now)] : [];
    this.#heldSince = undefined;
    this.#members = found;
    return { members: found, held: [], heldUntil: undefined };
  }
}
