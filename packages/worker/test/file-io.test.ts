import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { findNativePages } from '@alluxio-ts/transport/hotpath-native';
import { closeFile, openSegmentFile, readAt } from '@alluxio-ts/worker/page-store/file-io';
import t from 'tap';
import { flipOnDevice, residentBytesOf } from '../../../test/soak/direct-file.ts';

t.test(
  'of a segment no more comes from the device than was read',
  { skip: findNativePages() ? false : 'only the addon looks at what lies in memory, and can ask for this' },
  async (t) => {
    const path = join(t.testdir({}), 'segment');
    writeFileSync(path, randomBytes(4 * MIB));
    flipOnDevice(path, []);
    const fd = await openSegmentFile(path, 'r');
    try {
      // In order, as what reads ahead would like it.
      for (let block = 0; block < 8; block++) {
        await readAt(fd, Buffer.alloc(64 * KIB), MIB + block * 64 * KIB);
      }
      t.equal(residentBytesOf(path), 8 * 64 * KIB);
    } finally {
      await closeFile(fd);
    }
  },
);
