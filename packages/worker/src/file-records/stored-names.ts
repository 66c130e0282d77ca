/**
 * Which files the database may have a record of, by the ids of their paths: whoever looks for another need not ask its thread. A Bloom filter: it never denies a file that was
 * added, and takes one in two hundred others for one. It forgets nothing, so that it wears out, and is made anew from what the database has then.
 */

import { fileIdOf } from '@alluxio-ts/common/page';

/** Of the ids that `addIds` takes, the begin of a sha256. */
export const storedIdBytes = 8;

const bitsPerName = 13;
const probeCount = 4;

/** For so many names, and twice that while it is made anew. */
export function storedNamesBytes(namesMax: number): number {
  return 2 ** Math.ceil(Math.log2(namesMax * bitsPerName)) / 8;
}

export class StoredNames {
  readonly #namesMax: number;
  /** Undefined until all was added once: then any file may be there. */
  #filter: Filter | undefined;
  /** The one that is being made. */
  #next: Filter | undefined;

  constructor(options: { readonly namesMax: number }) {
    this.#namesMax = options.namesMax;
  }

  mayHave(ufsPath: string): boolean {
    return this.#filter?.has(idOf(ufsPath)) ?? true;
  }

  add(ufsPath: string): void {
    if (!this.#filter && !this.#next) return;
    const id = idOf(ufsPath);
    this.#filter?.add(id);
    this.#next?.add(id);
  }

  /** Twice as many were added as it is made for: one in 25 others is taken for one of them. */
  get isWorn(): boolean {
    return (this.#filter?.addedCount ?? 0) > 2 * this.#namesMax;
  }

  get isBegun(): boolean {
    return this.#next !== undefined;
  }

  /** Begins a new filter. What is added from now on is in it; what was there before is to be added by `addIds`. */
  begin(): void {
    this.#next = new Filter(storedNamesBytes(this.#namesMax));
  }

  /** Ids one behind the other, of names that were there before `begin`. */
  addIds(ids: Uint8Array): void {
    const view = new DataView(ids.buffer, ids.byteOffset, ids.byteLength);
    for (let at = 0; at + storedIdBytes <= ids.length; at += storedIdBytes) {
      this.#next?.add({ a: view.getUint32(at), b: view.getUint32(at + 4) });
    }
  }

  /** All that was there before has been added. */
  complete(): void {
    this.#filter = this.#next;
    this.#next = undefined;
  }

  /** It is not known what was there before: what has begun is of no use. */
  giveUp(): void {
    this.#next = undefined;
  }
}

interface ShortId {
  readonly a: number;
  readonly b: number;
}

function idOf(ufsPath: string): ShortId {
  const id = fileIdOf(ufsPath);
  return { a: Number.parseInt(id.slice(0, 8), 16), b: Number.parseInt(id.slice(8, 16), 16) };
}

class Filter {
  readonly #words: Uint32Array;
  readonly #mask: number;
  addedCount = 0;

  /** A power of two, at most 2^29. */
  constructor(bytes: number) {
    this.#words = new Uint32Array(bytes / 4);
    this.#mask = bytes * 8 - 1;
  }

  add(id: ShortId): void {
    this.addedCount++;
    for (let probe = 0; probe < probeCount; probe++) {
      const bit = this.#bitOf(id, probe);
      this.#words[bit >>> 5] = (this.#words[bit >>> 5] ?? 0) | (1 << (bit & 31));
    }
  }

  has(id: ShortId): boolean {
    for (let probe = 0; probe < probeCount; probe++) {
      const bit = this.#bitOf(id, probe);
      if (((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false;
    }
    return true;
  }

  /** Two hashes make as many as are wanted (Kirsch and Mitzenmacher); an odd step meets every bit. */
  #bitOf({ a, b }: ShortId, probe: number): number {
    return (a + Math.imul(probe, b | 1)) & this.#mask;
  }
}
