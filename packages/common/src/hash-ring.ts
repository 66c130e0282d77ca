/**
 * Which members of a cluster own a key. The placements are those of Alluxio's clients, bit for bit: a client that builds
 * its own ring from the same members asks the worker that we would name.
 *
 * - DEFAULT: `virtualNodeCount` points a member, murmur(identifier, le32(version), le32(index)). A key's n-th choice is the
 *   member of the first point at or after murmur(key, le32(n)).
 * - KETAMA: 200 points a member, one next to the other from murmur(identifier, le32(version)) on; keys by murmur(key + "n").
 * - MULTI_PROBE: one point a member; of 21 points of a key (murmur(key + "n" + "i")) the one nearest to the member after it decides.
 *
 * Points are ordered as signed integers and the ring closes behind the largest. Of two members with the same point the
 * later one has it, so everybody must list the members in the same order: by their names, as etcd does.
 */

import { createHash } from 'node:crypto';
import { murmur3 } from './murmur3.ts';

export interface RingMember {
  /** The raw bytes of the worker's identity: 16 for version 1, 8 for version 0. */
  readonly identifier: Uint8Array;
  readonly version: number;
}

export const ringProviders = ['DEFAULT', 'KETAMA', 'MULTI_PROBE'] as const;
export type RingProvider = (typeof ringProviders)[number];

export interface HashRingOptions {
  readonly provider: RingProvider;
  /** Points of each member, read by DEFAULT only. */
  readonly virtualNodeCount: number;
}

export interface HashRing<Member> {
  /** Different members in the order of preference: `count` of them unless there are fewer or 100 tries did not name as many. */
  getMultiple(key: string, count: number): readonly Member[];
}

/** As many tries as Alluxio's clients make. */
const attemptsMax = 100;
const ketamaReplicaCount = 200;
const probeCount = 21;
/** Alluxio's 0xDEADBEEF as the signed integer that it prints. */
const multiProbeSeed = -559038737;

/** Takes time and memory (8 bytes a point) in proportion to the points; looking up allocates nothing but its answer. */
export function buildHashRing<Member extends RingMember>(
  members: readonly Member[],
  options: HashRingOptions,
): HashRing<Member> {
  const ring = ringOf(members, options);
  const key = new KeyBytes();
  const indexOf = indexByProvider[options.provider];
  return {
    getMultiple: (text, count) => {
      const found: Member[] = [];
      if (ring.points.length === 0) return found;
      key.set(text);
      const wantedCount = Math.min(count, members.length);
      for (let attempt = 1; attempt <= attemptsMax && found.length < wantedCount; attempt++) {
        const member = members[ring.owners[indexOf(ring, key, attempt)] ?? 0];
        if (member && !found.includes(member)) found.push(member);
      }
      return found;
    },
  };
}

/** The identity of a worker that is known by its host name only: version 1, Java's `UUID.nameUUIDFromBytes`. */
export function identityOfHost(host: string): RingMember {
  const identifier = new Uint8Array(createHash('md5').update(host, 'utf8').digest());
  identifier[6] = ((identifier[6] ?? 0) & 0x0f) | 0x30;
  identifier[8] = ((identifier[8] ?? 0) & 0x3f) | 0x80;
  return { identifier, version: 1 };
}

interface Ring {
  /** Ascending, each once. */
  readonly points: Int32Array;
  /** At the same index, the index of the member whose point it is. */
  readonly owners: Uint32Array;
  /** For each value of a point's upper bits, the index of the first point with that value or a larger one. */
  readonly starts: Uint32Array;
}

type OwnedPoints = Pick<Ring, 'points' | 'owners'>;

function ringOf(members: readonly RingMember[], { provider, virtualNodeCount }: HashRingOptions): Ring {
  const each = { DEFAULT: virtualNodeCount, KETAMA: ketamaReplicaCount, MULTI_PROBE: 1 }[provider];
  const points = new Int32Array(members.length * each);
  const owners = new Uint32Array(points.length);
  for (const [index, member] of members.entries()) {
    const own = points.subarray(index * each, (index + 1) * each);
    owners.fill(index, index * each, (index + 1) * each);
    placeByProvider[provider](member, own);
  }
  const ring = withoutDoubles(sorted({ points, owners }));
  return { ...ring, starts: startsOf(ring.points) };
}

/** Fills in the points of one member. */
const placeByProvider: Readonly<Record<RingProvider, (member: RingMember, points: Int32Array) => void>> = {
  DEFAULT: (member, points) => {
    const identity = identityBytes(member, 4);
    for (let index = 0; index < points.length; index++) {
      writeInt32(identity, identity.length - 4, index);
      points[index] = murmur3(identity);
    }
  },
  KETAMA: (member, points) => {
    const base = murmur3(identityBytes(member, 0));
    // The typed array wraps what runs over the largest integer, as Java does.
    for (let index = 0; index < points.length; index++) points[index] = base + index;
  },
  MULTI_PROBE: (member, points) => {
    const name = `${murmur3(identityBytes(member, 0))}${multiProbeSeed}`;
    points[0] = murmur3(Buffer.from(name));
  },
};

function identityBytes(member: RingMember, extraBytes: number): Uint8Array {
  const bytes = new Uint8Array(member.identifier.length + 4 + extraBytes);
  bytes.set(member.identifier);
  writeInt32(bytes, member.identifier.length, member.version);
  return bytes;
}

/** Where in the points the key's choice of this attempt lies. */
const indexByProvider: Readonly<
  Record<RingProvider, (ring: Ring, key: KeyBytes, attempt: number) => number>
> = {
  DEFAULT: (ring, key, attempt) => indexAtOrAfter(ring, key.hashWithInt32(attempt)),
  KETAMA: (ring, key, attempt) => indexAtOrAfter(ring, key.hashWithText(String(attempt))),
  MULTI_PROBE: (ring, key, attempt) => {
    let nearest = 0;
    let leastDistance = 0x7fffffff;
    for (let probe = 0; probe < probeCount; probe++) {
      const hash = key.hashWithText(`${attempt}${probe}`);
      // Here a member at the very hash does not count, the next one does.
      const index = hash === 0x7fffffff ? 0 : indexAtOrAfter(ring, hash + 1);
      const distance = wrappedDistance(ring.points[index] ?? 0, hash);
      if (distance < leastDistance) {
        leastDistance = distance;
        nearest = index;
      }
    }
    return nearest;
  },
};

/** In 32 bits, where even the absolute value of the smallest integer is negative: placements depend on it. */
function wrappedDistance(one: number, other: number): number {
  const difference = (one - other) | 0;
  return difference < 0 ? -difference | 0 : difference;
}

/** A table by the upper bits replaces most of the steps of a search, each of which would miss the processor's caches. */
const startBits = 16;
const startShift = 32 - startBits;

function startsOf(points: Int32Array): Uint32Array {
  const starts = new Uint32Array((1 << startBits) + 1);
  let at = 0;
  for (let start = 0; start < starts.length; start++) {
    while (at < points.length && upperBitsOf(points[at] ?? 0) < start) at++;
    starts[start] = at;
  }
  return starts;
}

/** The sign bit is turned over, so that negative points come first. */
function upperBitsOf(point: number): number {
  return (point ^ 0x80000000) >>> startShift;
}

function indexAtOrAfter({ points, starts }: Ring, hash: number): number {
  const upperBits = upperBitsOf(hash);
  let low = starts[upperBits] ?? 0;
  let high = starts[upperBits + 1] ?? 0;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((points[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === points.length ? 0 : low;
}

/** Keys up to this size are encoded without allocating; a longer one costs a buffer of its own. */
const keyBufferBytes = 4096;
const suffixMaxBytes = 16;

/** A key's UTF-8 bytes with room behind them for what tells one attempt from another. */
class KeyBytes {
  readonly #own = Buffer.allocUnsafe(keyBufferBytes + suffixMaxBytes);
  #bytes = this.#own;
  #lengthBytes = 0;

  set(key: string): void {
    const isShort = key.length * 3 <= keyBufferBytes;
    this.#bytes = isShort ? this.#own : Buffer.allocUnsafe(key.length * 3 + suffixMaxBytes);
    this.#lengthBytes = this.#bytes.write(key, 'utf8');
  }

  hashWithInt32(suffix: number): number {
    writeInt32(this.#bytes, this.#lengthBytes, suffix);
    return murmur3(this.#bytes, this.#lengthBytes + 4);
  }

  /** The suffix is ASCII. */
  hashWithText(suffix: string): number {
    for (let at = 0; at < suffix.length; at++) this.#bytes[this.#lengthBytes + at] = suffix.charCodeAt(at);
    return murmur3(this.#bytes, this.#lengthBytes + suffix.length);
  }
}

function writeInt32(bytes: Uint8Array, at: number, value: number): void {
  for (let byte = 0; byte < 4; byte++) bytes[at + byte] = value >>> (8 * byte);
}

const radixBits = 11;
const radixSize = 1 << radixBits;

/**
 * Sorts by point and keeps the last of equal ones. A radix sort, because it is stable and because two million points take it
 * a fraction of the time that a comparison sort needs.
 */
function sorted(unsorted: OwnedPoints): OwnedPoints {
  const count = unsorted.points.length;
  let from = unsorted;
  let to: OwnedPoints = { points: new Int32Array(count), owners: new Uint32Array(count) };
  for (let shift = 0; shift < 32; shift += radixBits) {
    sortByDigit(from, to, shift);
    [from, to] = [to, from];
  }
  return from;
}

function sortByDigit(from: OwnedPoints, to: OwnedPoints, shift: number): void {
  const places = new Uint32Array(radixSize + 1);
  for (const point of from.points) {
    const next = digitOf(point, shift) + 1;
    places[next] = (places[next] ?? 0) + 1;
  }
  for (let digit = 1; digit <= radixSize; digit++) {
    places[digit] = (places[digit] ?? 0) + (places[digit - 1] ?? 0);
  }
  for (let at = 0; at < from.points.length; at++) {
    const point = from.points[at] ?? 0;
    const digit = digitOf(point, shift);
    const place = places[digit] ?? 0;
    places[digit] = place + 1;
    to.points[place] = point;
    to.owners[place] = from.owners[at] ?? 0;
  }
}

function digitOf(point: number, shift: number): number {
  return ((point ^ 0x80000000) >>> shift) & (radixSize - 1);
}

function withoutDoubles({ points, owners }: OwnedPoints): OwnedPoints {
  let count = 0;
  for (let at = 0; at < points.length; at++) {
    if (at + 1 < points.length && points[at] === points[at + 1]) continue;
    points[count] = points[at] ?? 0;
    owners[count] = owners[at] ?? 0;
    count++;
  }
  return { points: points.subarray(0, count), owners: owners.subarray(0, count) };
}
