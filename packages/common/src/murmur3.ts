/** MurmurHash3 x86 32-bit with seed 0, as Guava's `murmur3_32_fixed` and Python's `mmh3` compute it. */

/** The hash of the first `lengthBytes` of `bytes`, as a signed 32-bit integer. */
export function murmur3(bytes: Uint8Array, lengthBytes: number = bytes.length): number {
  const blocksEnd = lengthBytes & ~3;
  let hash = 0;
  for (let at = 0; at < blocksEnd; at += 4) {
    hash ^= scramble(
      byteAt(bytes, at) |
        (byteAt(bytes, at + 1) << 8) |
        (byteAt(bytes, at + 2) << 16) |
        (byteAt(bytes, at + 3) << 24),
    );
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = lengthBytes - 1; at >= blocksEnd; at--) tail = (tail << 8) | byteAt(bytes, at);
  hash ^= scramble(tail) ^ lengthBytes;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** A tail of no bytes scrambles to 0, which changes nothing. */
function scramble(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}
