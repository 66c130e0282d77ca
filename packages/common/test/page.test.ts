import { createHash } from 'node:crypto';
import t from 'tap';
import { fileKeyOf } from '@alluxio-ts/common/page';

t.test('the name of a file version is that which disks have: the first 96 bits of a sha256', async (t) => {
  for (const [ufsPath, version, pageSizeBytes] of [
    ['s3://bucket/a', 'etag:"1"', 4_194_304],
    ['s3://bucket/ä ü€😀', 'etag:"d41d8cd98f00b204e9800998ecf8427e"', 65_536],
    ['file:///x', '', 1],
  ] as const) {
    const digest = createHash('sha256').update(`${ufsPath}\0${version}\0${pageSizeBytes}`).digest();
    const expected = { a: digest.readUInt32LE(0), b: digest.readUInt32LE(4), c: digest.readUInt32LE(8) };
    // The second time it is the one that was made.
    for (const _ of [1, 2]) t.same(fileKeyOf({ ufsPath, version, pageSizeBytes }), expected, ufsPath);
  }
});
