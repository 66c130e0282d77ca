import { silentLogger } from '@alluxio-ts/common/logger';
import { Metrics, latencyBucketsMs } from '@alluxio-ts/common/metrics';
import { fileKeyOf } from '@alluxio-ts/common/page';
import t from 'tap';
import { MemoryPageStore } from '../src/page-store/memory-page-store.ts';
import { ShadowCaches } from '../src/page-store/shadow-caches.ts';
import { recordTableReport } from '../src/worker-observation.ts';

const pageSizeBytes = 4096;
const origin = { ufsPath: 'file:///a', version: 'v1', pageSizeBytes };
const file = fileKeyOf(origin);

t.test('a page that only the table reads is not the one that makes room', async (t) => {
  const store = new MemoryPageStore({ capacityBytes: 2 * pageSizeBytes, pageSizeBytes });
  const put = async (index: number): Promise<void> => {
    const writer = store.openWriter({ file, index }, origin, pageSizeBytes);
    await writer?.write(new Uint8Array(pageSizeBytes));
    writer?.finish();
  };
  const metrics = new Metrics();
  const shadows = new ShadowCaches({ capacityBytes: 2 * pageSizeBytes, pageSizeBytes, policy: 'LRU' });
  await put(0);
  await put(1);
  recordTableReport(
    {
      calls: [
        {
          listener: 's3',
          method: 'GET',
          status: 206,
          isPiece: false,
          isComplete: true,
          bucketCounts: [3, 1, ...latencyBucketsMs.slice(2).map(() => 0), 1],
          durationSumMs: 40_002,
        },
      ],
      listeners: [{ listener: 's3', bodyBytes: 50, relayedCount: 0, relayedBytes: 0 }],
      pages: [{ page: { file, index: 0 }, lengthBytes: pageSizeBytes, count: 5 }],
      answers: [],
      droppedCount: 2,
    },
    { metrics, logger: silentLogger, store, shadows },
  );
  await put(2);
  t.strictSame(
    [0, 1, 2].map((index) => store.has({ file, index })),
    [true, false, true],
  );
  metrics.observe(
    'alluxio_s3_api_call_latency_ms',
    { method: 'GetObject', success: 'true', status: '206' },
    0.7,
  );
  const { text } = await metrics.scrape();
  const labels = 'method="GetObject",success="true",status="206"';
  for (const line of [
    'alluxio_read_pages_total{outcome="hit"} 5',
    `alluxio_s3_api_call_latency_ms_bucket{le="0.5",${labels}} 3`,
    `alluxio_s3_api_call_latency_ms_bucket{le="1",${labels}} 5`,
    `alluxio_s3_api_call_latency_ms_bucket{le="30000",${labels}} 5`,
    `alluxio_s3_api_call_latency_ms_bucket{le="+Inf",${labels}} 6`,
    `alluxio_s3_api_call_latency_ms_sum{${labels}} 40002.7`,
    `alluxio_s3_api_call_latency_ms_count{${labels}} 6`,
    'alluxio_hotpath_answers_total{destination="s3",kind="get"} 5',
    'alluxio_cached_data_read_bytes_total 50',
    'alluxio_hotpath_reports_dropped_total 2',
  ]) {
    t.ok(text.split('\n').includes(line), line);
  }
});
