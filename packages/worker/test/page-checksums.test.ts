import { randomBytes } from 'node:crypto';
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '@alluxio-ts/common/errors';
import { blockSizeBytes } from '@alluxio-ts/common/page';
import { findNativePages } from '@alluxio-ts/transport/hotpath-native';
import {
  type BlockChecksums,
  ReceivedChecksums,
  blockCountOf,
  checksumOf,
  nativeBlockChecksums,
  portableBlockChecksums,
} from '@alluxio-ts/worker/page-store/page-checksums';
import t from 'tap';

const native = findNativePages();
const kinds: readonly (readonly [string, BlockChecksums])[] = [
  ['portable', portableBlockChecksums],
  ...(native ? ([['native', nativeBlockChecksums(native)]] as const) : []),
];
const lengths = [
  0,
  1,
  15,
  4096,
  blockSizeBytes - 1,
  blockSizeBytes,
  blockSizeBytes + 1,
  5 * blockSizeBytes + 77,
];

for (const [kind, { blocksMatch, checkFile, sumBlocks }] of kinds) {
  const checksumBlocks = (bytes: Uint8Array): Uint32Array => {
    const checksums = new Uint32Array(blockCountOf(bytes.length));
    sumBlocks(bytes, checksums);
    return checksums;
  };

  t.test(`checksums of blocks, ${kind}`, async (t) => {
    t.same(
      [...checksumBlocks(Buffer.from('123456789'))],
      [0xcb_f4_39_26],
      'the check value of CRC-32 (IEEE)',
    );
    for (const length of lengths) {
      // In shared memory and at an odd place, as pages are.
      const bytes = new Uint8Array(new SharedArrayBuffer(length + 3), 3, length);
      bytes.set(randomBytes(length));
      const checksums = checksumBlocks(bytes);
      const expected: number[] = [];
      for (let at = 0; at < length; at += blockSizeBytes)
        expected.push(checksumOf(bytes.subarray(at, at + blockSizeBytes)));
      t.same([...checksums], expected, `one a block of ${length} bytes`);

      const among = Uint32Array.of(1, 2, ...checksums);
      t.ok(blocksMatch(bytes, among, 2));
      if (length === 0) continue;
      t.notOk(blocksMatch(bytes, among, 1), 'those of other blocks');
      t.notOk(blocksMatch(bytes, among, 3), 'the last block has none');
      t.notOk(blocksMatch(bytes, among, 100), 'none has one');
      for (const at of [0, length - 1, length >> 1]) {
        bytes[at] = (bytes[at] ?? 0) ^ 0x40;
        t.notOk(blocksMatch(bytes, checksums, 0), `a flip in byte ${at} of ${length}`);
        bytes[at] ^= 0x40;
      }
    }
  });

  t.test(`checksums of a file, ${kind}`, async (t) => {
    const path = join(t.testdir({}), 'file');
    const bytes = randomBytes(9 * blockSizeBytes + 5);
    const start = 123;
    writeFileSync(path, Buffer.concat([Buffer.alloc(start), bytes]));
    const fd = openSync(path, 'r+');
    t.teardown(() => closeSync(fd));
    const checksums = checksumBlocks(bytes);
    const range = { position: start, lengthBytes: bytes.length, checksums };
    t.same(await checkFile(fd, [range]), [true]);
    t.same(await checkFile(fd, [{ ...range, position: start - 1 }]), [false], 'other bytes');
    for (const at of [0, 3 * blockSizeBytes + 7, bytes.length - 1]) {
      writeSync(fd, Buffer.of((bytes[at] ?? 0) ^ 1), 0, 1, start + at);
      t.same(await checkFile(fd, [range]), [false], `a flip in byte ${at}`);
      writeSync(fd, bytes, at, 1, start + at);
    }
    t.same(await checkFile(fd, [range]), [true]);
    t.same(await checkFile(fd, [{ ...range, checksums: checksums.subarray(0, 9) }]), [false], 'too few');
    truncateSync(path, start + bytes.length - 1);
    t.same(await checkFile(fd, [range]), [false], 'cut short');
    t.same(await checkFile(fd, []), [], 'nothing');
  });

  t.test(`ranges that are checked together have each its own result, ${kind}`, async (t) => {
    const path = join(t.testdir({}), 'file');
    const bytes = randomBytes(60 * blockSizeBytes + 5);
    writeFileSync(path, bytes);
    const fd = openSync(path, 'r');
    t.teardown(() => closeSync(fd));
    const expected: boolean[] = [];
    const ranges = Array.from({ length: 20 }, (_, index) => {
      const position = index * 3 * blockSizeBytes;
      const lengthBytes = 2 * blockSizeBytes + index;
      const checksums = checksumBlocks(bytes.subarray(position, position + lengthBytes));
      expected.push(index % 3 !== 1 && index !== 11);
      if (index % 3 === 1) checksums[index % 2] = 7;
      // One has too few, which is nothing to those behind it.
      return { position, lengthBytes, checksums: index === 11 ? checksums.subarray(0, 1) : checksums };
    });
    t.same(await checkFile(fd, ranges), expected);
  });

  t.test(`a file that cannot be read, ${kind}`, async (t) => {
    const dir = openSync('/proc/self/task', 'r');
    t.teardown(() => closeSync(dir));
    const range = { position: 0, lengthBytes: 10, checksums: Uint32Array.of(0) };
    for (const error of await checkFile(dir, [range, range])) {
      t.equal(errnoOf(error), 'EISDIR');
      t.match(error, { message: 'EISDIR: illegal operation on a directory, read' });
    }
  });
}

t.test('checksums of a page as it comes', async (t) => {
  const length = 5 * blockSizeBytes + 77;
  const bytes = randomBytes(length);
  const expected = Array.from({ length: 6 }, (_, block) =>
    checksumOf(bytes.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes)),
  );
  const steps = [1, 1000, blockSizeBytes - 1, blockSizeBytes, blockSizeBytes + 1, 3 * blockSizeBytes, length];
  for (const split of [0, blockSizeBytes, 3 * blockSizeBytes, 5 * blockSizeBytes]) {
    for (const step of steps) {
      const page = new Uint8Array(length);
      const checksums = new ReceivedChecksums(page);
      for (const [from, to] of [
        [split, length],
        [0, split],
      ] as const) {
        checksums.begin(from);
        for (let at = from; at < to; at += step) {
          const end = Math.min(to, at + step);
          page.set(bytes.subarray(at, end), at);
          checksums.reach(end);
        }
      }
      t.same([...checksums.values], expected, `from ${split} on first, ${step} at a time`);
    }
  }
});
