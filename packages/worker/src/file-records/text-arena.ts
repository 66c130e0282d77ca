/**
 * Short byte strings by the million in few large buffers. What is freed is used again by the next of the same length, counted in granules of 8 bytes;
 * memory never goes back, as an index that once was large will be again.
 */

const granuleBytes = 8;
const chunkGranules = 1 << 17;
const chunkShift = 17;
const chunkMask = chunkGranules - 1;
const noPlace = 0xffff_ffff;

export class TextArena {
  readonly #chunks: Buffer[] = [];
  /** The first free place of each length; a free place begins with the number of the next. */
  readonly #free: Uint32Array;
  #nextGranule = 0;

  constructor(options: { readonly lengthMaxBytes: number }) {
    this.#free = new Uint32Array(granulesOf(options.lengthMaxBytes) + 1).fill(noPlace);
  }

  get memoryBytes(): number {
    return this.#chunks.length * chunkGranules * granuleBytes;
  }

  /** Copies the bytes, at most `lengthMaxBytes`; gives their place, which with their length in granules frees them. */
  put(bytes: Uint8Array): number {
    const granules = granulesOf(bytes.length);
    const place = this.#take(granules);
    this.chunkOf(place).set(bytes, this.offsetOf(place));
    return place;
  }

  delete(place: number, granules: number): void {
    this.chunkOf(place).writeUInt32LE(this.#free[granules] ?? noPlace, this.offsetOf(place));
    this.#free[granules] = place;
  }

  chunkOf(place: number): Buffer {
    return this.#chunks[place >>> chunkShift] as Buffer;
  }

  offsetOf(place: number): number {
    return (place & chunkMask) * granuleBytes;
  }

  #take(granules: number): number {
    const free = this.#free[granules] ?? noPlace;
    if (free !== noPlace) {
      this.#free[granules] = this.chunkOf(free).readUInt32LE(this.offsetOf(free));
      return free;
    }
    const left = this.#chunks.length * chunkGranules - this.#nextGranule;
    if (left < granules) {
      // What is left of the chunk is less than one string: lost.
      this.#nextGranule = this.#chunks.length * chunkGranules;
      this.#chunks.push(Buffer.alloc(chunkGranules * granuleBytes));
    }
    const place = this.#nextGranule;
    this.#nextGranule += granules;
    return place;
  }
}

export function granulesOf(lengthBytes: number): number {
  return Math.max(1, Math.ceil(lengthBytes / granuleBytes));
}
