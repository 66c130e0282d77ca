/** The what-if table of `alluxio info cache`: one worker, several taken together, none that tells. */

import type { WorkerView } from '@alluxio-ts/common/protocol/coordinator-api';
import { workerNetAddress } from '@alluxio-ts/common/protocol/worker-address';
import { GIB } from '@alluxio-ts/common/units';
import t from 'tap';
import { whatIfData, whatIfLines } from '../src/what-if.ts';

const address = workerNetAddress({ host: 'one', httpServerPort: 28080, webPort: 1, s3Port: 2 });

function workerWith(readCount: number, hitRatio: number): WorkerView {
  const points = [
    { policy: 'LFU', sizeFactor: 1, hitRatio },
    { policy: 'LFU', sizeFactor: 2, hitRatio: hitRatio + 0.17 },
    { policy: 'LRU', sizeFactor: 1, hitRatio: hitRatio - 0.1 },
  ];
  const whatIf = { pagesPerSample: 64, readCount, hitRatio, points };
  const sums = { usedBytes: 0, pageCount: 0, hitBytes: 0, missBytes: 0, pageSizeBytes: 1, dirs: [] };
  return { id: 'w', status: 'ONLINE', address, stats: { ...sums, capacityBytes: 10 * GIB, whatIf } };
}

void t.test('twice the disk would give 71 % instead of 54 %', async (t) => {
  t.same(whatIfLines([workerWith(1000, 0.54)]), [
    'what another cache would hit (of 1000 page reads; measured now 54.0%):',
    '    LFU   1x (10.00GB)         54.0%  as it is now',
    '    LFU   2x (20.00GB)         71.0%  +17.0 points',
    '    LRU   1x (10.00GB)         44.0%  -10.0 points',
  ]);
});

void t.test('workers count by their reads, and those that tell nothing do not', async (t) => {
  const silent: WorkerView = { id: 'x', status: 'OFFLINE', address };
  const { whatIf } = whatIfData([workerWith(3000, 0.6), workerWith(1000, 0.2), silent]);
  t.match(whatIf, { readCount: 4000, hitRatio: 0.5 });
  t.match(whatIf, {
    points: [{}, { policy: 'LFU', sizeFactor: 2, capacityBytes: 40 * GIB, hitRatio: 0.67 }, {}],
  });
  t.same(whatIfData([silent]), {});
  t.same(whatIfLines([silent]), []);
});
