import t from 'tap';
import { systemClock, systemRandom } from '@alluxio-ts/common/clock';
import { silentLogger } from '@alluxio-ts/common/logger';
import { DiskPageStore } from '../src/page-store/disk-page-store.ts';
import { lruPolicy } from '../src/page-store/lru-policy.ts';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import { pageStoreConformance } from './page-store-conformance.ts';

pageStoreConformance(t, {
  name: 'MemoryPageStore',
  open: async (_t, options) => new MemoryPageStore(options),
});

pageStoreConformance(t, {
  name: 'DiskPageStore',
  open: (t, { capacityBytes, pageSizeBytes }) =>
    DiskPageStore.open({
      dir: t.testdir(),
      sizeBytes: capacityBytes,
      pageSizeBytes,
      segmentSizeBytes: 1 << 20,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      policy: lruPolicy,
    }),
});
