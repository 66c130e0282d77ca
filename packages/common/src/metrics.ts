/**
 * Every metric of the project: name, labels and help in one table, from which the registry and docs/metrics.md are made. Names are those of
 * Alluxio 3.x's dashboards where one of theirs means the same. Counters only grow.
 */

import { strict as assert } from 'node:assert';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
}

export const latencyBucketsMs = [
  0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000,
] as const;

const table = {
  alluxio_cached_data_read_bytes_total: {
    kind: 'counter',
    help: 'Bytes of reads that the cache answered (outcomes hit, hit-stale, hit-peer).',
    labels: [],
  },
  alluxio_missed_data_read_bytes_total: {
    kind: 'counter',
    help: 'Bytes of reads that needed the under storage (all other outcomes).',
    labels: [],
  },
  alluxio_read_pages_total: {
    kind: 'counter',
    help: 'Pages read, by what the read did; the outcomes are those of the x-alluxio-cache header.',
    labels: ['outcome'],
  },
  alluxio_cached_storage_bytes: {
    kind: 'gauge',
    help: 'Bytes that the page store occupies on disk.',
    labels: [],
  },
  alluxio_cached_capacity_bytes: {
    kind: 'gauge',
    help: 'Bytes that the page store may occupy.',
    labels: [],
  },
  alluxio_data_cached_pages: { kind: 'gauge', help: 'Pages in the store.', labels: [] },
  alluxio_data_cached_bytes: { kind: 'gauge', help: 'Bytes of the pages in the store.', labels: [] },
  alluxio_cached_evicted_data_bytes_total: {
    kind: 'counter',
    help: 'Bytes of pages that were dropped to make room.',
    labels: [],
  },
  alluxio_ttl_expired_files_total: {
    kind: 'counter',
    help: 'Files that were dropped because their time in the cache was over by a TTL rule.',
    labels: [],
  },
  alluxio_ttl_expired_bytes_total: {
    kind: 'counter',
    help: 'Bytes of the pages of those files.',
    labels: [],
  },
  alluxio_page_store_corrupt_pages_total: {
    kind: 'counter',
    help: 'Pages that failed their check when read or scrubbed: removed, and read again from the under storage.',
    labels: [],
  },
  alluxio_page_store_no_room_total: {
    kind: 'counter',
    help: 'Pages that a cache directory did not take because evictions had not made room yet: read past the cache, or kept by another directory.',
    labels: [],
  },
  alluxio_cache_dir_state: {
    kind: 'gauge',
    help: '1 for the state that a cache directory is in (ok, suspect, out, unused), 0 for the others.',
    labels: ['dir', 'state'],
  },
  alluxio_scrub_read_bytes_total: {
    kind: 'counter',
    help: 'Bytes that the background scrub read from cache directories to check them.',
    labels: [],
  },
  alluxio_scrub_damaged_pages_total: {
    kind: 'counter',
    help: 'Pages that the background scrub found damaged and dropped; alluxio_page_store_corrupt_pages_total counts them too.',
    labels: [],
  },
  alluxio_scrub_last_pass_timestamp_seconds: {
    kind: 'gauge',
    help: 'When the last scrub of all pages of a cache directory ended, as Unix time; absent before the first.',
    labels: ['dir'],
  },
  alluxio_shadow_hit_ratio: {
    kind: 'gauge',
    help: 'Share of page reads that a cache of another size (0.5, 1, 2, 4 times the capacity of today) or policy would hit, by sampled shadow caches; of the latest reads.',
    labels: ['policy', 'size'],
  },
  alluxio_shadow_measured_hit_ratio: {
    kind: 'gauge',
    help: 'What the cache itself hit of the same reads.',
    labels: [],
  },
  alluxio_shadow_sampled_reads_total: {
    kind: 'counter',
    help: 'Page reads that the shadow caches saw.',
    labels: [],
  },
  alluxio_shadow_memory_bytes: {
    kind: 'gauge',
    help: 'Memory of the tables of the shadow caches.',
    labels: [],
  },
  alluxio_fills_running: { kind: 'gauge', help: 'Pages being fetched now.', labels: [] },
  alluxio_load_level: {
    kind: 'gauge',
    help: 'Pages at a time that load jobs may have under way on this worker; below 1, while files are read, the share of the time in which they may have one.',
    labels: [],
  },
  alluxio_read_ahead_bytes_total: {
    kind: 'counter',
    help: 'Bytes of pages that were fetched ahead of a reader, before it came to them.',
    labels: [],
  },
  alluxio_read_ahead_unused_bytes_total: {
    kind: 'counter',
    help: 'Of those, bytes of pages that their reader never came to: known a minute after it was seen last.',
    labels: [],
  },
  alluxio_fill_threads_restarted_total: {
    kind: 'counter',
    help: 'Threads for fetching pages that died and were replaced; their fills failed and may be asked for again.',
    labels: [],
  },
  alluxio_direct_memory_used_bytes: {
    kind: 'gauge',
    help: 'Memory of the slots that fills and their readers hold.',
    labels: [],
  },
  alluxio_metadata_cache_hit_calls_total: {
    kind: 'counter',
    help: 'Lookups of a file that needed no call to the under storage.',
    labels: [],
  },
  alluxio_metadata_cache_miss_calls_total: {
    kind: 'counter',
    help: 'Lookups of a file that asked the under storage.',
    labels: [],
  },
  alluxio_data_throughput_bytes_total: {
    kind: 'counter',
    help: 'Bytes of bodies sent to clients, by interface.',
    labels: ['method', 'destination'],
  },
  alluxio_s3_api_call_latency_ms: {
    kind: 'histogram',
    help: 'S3 calls, from the request to the last byte of the answer.',
    labels: ['method', 'success', 'status'],
    buckets: latencyBucketsMs,
  },
  alluxio_rest_api_call_latency_ms: {
    kind: 'histogram',
    help: 'REST calls of the worker, from the request to the last byte of the answer.',
    labels: ['method', 'success', 'status'],
    buckets: latencyBucketsMs,
  },
  alluxio_hotpath_answers_total: {
    kind: 'counter',
    help: 'Answers that the native hot path gave by itself, by interface and kind: from its table (get, head, not-modified), and those of other workers passed on (relayed). Those of the table are in the latencies and in the count of pages too.',
    labels: ['destination', 'kind'],
  },
  alluxio_hotpath_reports_dropped_total: {
    kind: 'counter',
    help: 'Uses of pages that the native hot path did not tell for want of room, and lines of the access log that are missing for that reason.',
    labels: [],
  },
  alluxio_ufs_total: {
    kind: 'counter',
    help: 'Calls to under storages.',
    labels: ['method', 'ufs_type'],
  },
  alluxio_ufs_error_total: {
    kind: 'counter',
    help: 'Calls to under storages that failed, by the code of docs/errors.md.',
    labels: ['ufs_type', 'error_code'],
  },
  alluxio_ufs_retries_total: {
    kind: 'counter',
    help: 'Failed calls to under storages that were repeated, and those that were not because a tenth of all calls had been (outcomes repeated, refused).',
    labels: ['ufs_type', 'outcome'],
  },
  alluxio_ufs_hedged_reads_total: {
    kind: 'counter',
    help: 'Reads of under storages that did not begin in time and were asked for a second time, by which request began to answer first (outcomes first, second), and those that were not because one in fifty had been (refused).',
    labels: ['ufs_type', 'outcome'],
  },
  alluxio_ufs_read_rate_limit_wait_ms_total: {
    kind: 'counter',
    help: 'Milliseconds that bodies of under storages waited for alluxio.worker.data.ufs.read.rate.limit.mb, all of them together.',
    labels: ['ufs_type'],
  },
  alluxio_ufs_circuits_open: {
    kind: 'gauge',
    help: 'Under storages that are left alone now because they do not answer: calls to them fail at once. The log says which (event ufs-circuit-opened).',
    labels: ['ufs_type'],
  },
  alluxio_ufs_circuit_openings_total: {
    kind: 'counter',
    help: 'How often an under storage was left alone because it did not answer.',
    labels: ['ufs_type'],
  },
  alluxio_ufs_data_access_bytes_total: {
    kind: 'counter',
    help: 'Bytes read from under storages.',
    labels: ['method'],
  },
  alluxio_ufs_latency_ms: {
    kind: 'histogram',
    help: 'Calls to under storages, until the answer begins.',
    labels: ['method', 'ufs_type'],
    buckets: latencyBucketsMs,
  },
  alluxio_distributed_load_data_loaded_from_ufs_bytes_total: {
    kind: 'counter',
    help: 'Bytes that load jobs had this worker fetch from under storages.',
    labels: [],
  },
  alluxio_active_job_count: {
    kind: 'gauge',
    help: 'Jobs that this coordinator runs, and jobs that wait in the state store.',
    labels: ['type'],
  },
  alluxio_distributed_load_job_scanned_total: {
    kind: 'counter',
    help: 'Files that load jobs of this coordinator found.',
    labels: [],
  },
  alluxio_distributed_load_job_processed_total: {
    kind: 'counter',
    help: 'Files that load jobs of this coordinator were done with, failed ones too.',
    labels: [],
  },
  alluxio_distributed_load_job_loaded_bytes_total: {
    kind: 'counter',
    help: 'Bytes that workers fetched for load jobs of this coordinator.',
    labels: [],
  },
  alluxio_distributed_load_job_skipped_total: {
    kind: 'counter',
    help: 'Bytes that load jobs of this coordinator found in the cache already.',
    labels: [],
  },
  alluxio_distributed_load_job_dispatched_size_total: {
    kind: 'counter',
    help: 'Files that were handed to workers, again after each failure.',
    labels: [],
  },
  alluxio_distributed_load_job_failure_total: {
    kind: 'counter',
    help: 'Failures of files and calls in load jobs of this coordinator, by the code of docs/errors.md and the worker.',
    labels: ['reason', 'worker'],
  },
  alluxio_worker_job_task_count: {
    kind: 'gauge',
    help: 'Batches of load jobs that a worker has from this coordinator.',
    labels: ['worker'],
  },
  alluxio_version_info: {
    kind: 'gauge',
    help: 'Always 1; the label is the version that runs.',
    labels: ['version'],
  },
} as const satisfies Record<string, MetricRow>;

export type MetricName = keyof typeof table;

export const metricTable: Readonly<Record<MetricName, MetricRow>> = table;

type NamesOf<K extends MetricRow['kind']> = {
  [N in MetricName]: (typeof table)[N]['kind'] extends K ? N : never;
}[MetricName];

type LabelsOf<N extends MetricName> = Readonly<Record<(typeof table)[N]['labels'][number], string>>;

/** The metrics of one process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #totals = new Map<string, number>();
  readonly #raised = new Map<string, number>();
  readonly #readers: (() => void)[] = [];

  constructor() {
    collectDefaultMetrics({ register: this.#registry });
    for (const [name, row] of Object.entries<MetricRow>(table)) {
      const base = { name, help: row.help, labelNames: [...row.labels], registers: [this.#registry] };
      if (row.kind === 'counter') this.#counters.set(name, new Counter(base));
      else if (row.kind === 'gauge') this.#gauges.set(name, new Gauge(base));
      else this.#histograms.set(name, new Histogram({ ...base, buckets: [...(row.buckets ?? [])] }));
    }
  }

  add<N extends NamesOf<'counter'>>(name: N, labels: LabelsOf<N>, count: number): void {
    if (count <= 0) return;
    this.#counters.get(name)?.inc(labels, count);
    this.#totals.set(name, (this.#totals.get(name) ?? 0) + count);
  }

  /** What was added to a counter since the start, over all its labels. */
  totalOf(name: NamesOf<'counter'>): number {
    return this.#totals.get(name) ?? 0;
  }

  /** Brings a counter up to a total that is counted elsewhere; a smaller one is ignored, since counters only grow. */
  raise(name: NamesOf<'counter'>, total: number): void {
    const before = this.#raised.get(name) ?? 0;
    if (total <= before) return;
    this.#raised.set(name, total);
    this.#counters.get(name)?.inc(total - before);
  }

  set<N extends NamesOf<'gauge'>>(name: N, labels: LabelsOf<N>, value: number): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  observe<N extends NamesOf<'histogram'>>(name: N, labels: LabelsOf<N>, value: number): void {
    this.#histograms.get(name)?.observe(labels, value);
  }

  /** Adds many values at once: how many lie in each bucket, above all of them at the end, and their sum. */
  observeMany<N extends NamesOf<'histogram'>>(
    name: N,
    labels: LabelsOf<N>,
    many: { readonly bucketCounts: readonly number[]; readonly sum: number },
  ): void {
    const histogram = this.#histograms.get(name);
    if (histogram) addMany(histogram, labels, many);
  }

  /** Calls `read` before each scrape, to set gauges that nobody keeps up to date. */
  onScrape(read: () => void): void {
    this.#readers.push(read);
  }

  /** The text that Prometheus scrapes, and its content type. */
  async scrape(): Promise<{ readonly contentType: string; readonly text: string }> {
    for (const read of this.#readers) read();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }
}

/** What prom-client's histogram has counted, in a field that its types do not name. */
interface Counted {
  readonly labels: Readonly<Record<string, string>>;
  readonly bucketValues: Record<number, number>;
  sum: number;
  count: number;
}

function addMany(
  histogram: Histogram,
  labels: Readonly<Record<string, string>>,
  { bucketCounts, sum }: { readonly bucketCounts: readonly number[]; readonly sum: number },
): void {
  const counted = countedOf(histogram, labels);
  Object.keys(counted.bucketValues)
    .map(Number)
    .sort((one, other) => one - other)
    .forEach((bound, index) => {
      counted.bucketValues[bound] = (counted.bucketValues[bound] ?? 0) + (bucketCounts[index] ?? 0);
    });
  counted.sum += sum;
  counted.count += bucketCounts.reduce((all, count) => all + count, 0);
}

function countedOf(histogram: Histogram, labels: Readonly<Record<string, string>>): Counted {
  const find = (): Counted | undefined => {
    const counted = Object.values(Reflect.get(histogram, 'hashMap') as Record<string, Counted>);
    return counted.find((one) => Object.entries(labels).every(([name, value]) => one.labels[name] === value));
  };
  const before = find();
  if (before) return before;
  histogram.zero(labels);
  const made = find();
  assert(made, 'a histogram that was set to zero has counts');
  return made;
}
