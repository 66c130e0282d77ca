/** What a worker tells of itself: its metrics, its access log, and what the coordinator asks for. */

import { loggableTarget } from '@alluxio-ts/common/loggable-target';
import type { Logger } from '@alluxio-ts/common/logger';
import type { Metrics } from '@alluxio-ts/common/metrics';
import {
  cacheDirStates,
  type WorkerStats,
  type WorkerTransport,
} from '@alluxio-ts/common/protocol/coordinator-api';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';
import type { AnsweredRequest } from '@alluxio-ts/transport/page-transport';
import type { TableCalls, TableReport } from '@alluxio-ts/transport/table-report';
import type { FileCacheEvents } from './cache/file-reader.ts';
import type { ReadAheadEvents } from './cache/read-ahead.ts';
import type { PageFiller } from './cache/page-filler.ts';
import type { FileLoader } from './load/file-loader.ts';
import { type CacheDir, cacheDirStats } from './page-store/cache-dir.ts';
import type { ShadowCaches } from './page-store/shadow-caches.ts';
import type { PageStore } from './page-store/page-store.ts';
import { operationOf } from './s3/s3-surface.ts';
import { parseS3Target } from './s3/s3-target.ts';

export function cacheEvents(metrics: Metrics, shadows: ShadowCaches): FileCacheEvents {
  return {
    read: (outcome, lengthBytes) => {
      metrics.add('alluxio_read_pages_total', { outcome }, 1);
      const isHit = outcome === 'hit' || outcome === 'hit-stale' || outcome === 'hit-peer';
      metrics.add(
        isHit ? 'alluxio_cached_data_read_bytes_total' : 'alluxio_missed_data_read_bytes_total',
        {},
        lengthBytes,
      );
    },
    pageRead: (page, lengthBytes, outcome) =>
      shadows.onAccess(page, lengthBytes, outcome === 'hit' || outcome === 'hit-stale'),
    looked: (wasChecked) => {
      metrics.add(
        wasChecked ? 'alluxio_metadata_cache_miss_calls_total' : 'alluxio_metadata_cache_hit_calls_total',
        {},
        1,
      );
    },
  };
}

export function readAheadEvents(metrics: Metrics): ReadAheadEvents {
  return {
    started: (lengthBytes) => metrics.add('alluxio_read_ahead_bytes_total', {}, lengthBytes),
    unused: (lengthBytes) => metrics.add('alluxio_read_ahead_unused_bytes_total', {}, lengthBytes),
  };
}

/** What the hot path's table answered by itself counts as what comes up does. */
export function recordTableReport(
  report: TableReport,
  parts: {
    readonly metrics: Metrics;
    readonly logger: Logger;
    readonly store: PageStore;
    readonly shadows: ShadowCaches;
  },
): void {
  const { logger, metrics, shadows, store } = parts;
  for (const calls of report.calls) recordTableCalls(calls, metrics);
  for (const { bodyBytes, listener, relayedBytes, relayedCount } of report.listeners) {
    const sentBytes = bodyBytes + relayedBytes;
    metrics.add('alluxio_cached_data_read_bytes_total', {}, bodyBytes);
    metrics.add('alluxio_data_throughput_bytes_total', { method: 'read', destination: listener }, sentBytes);
    metrics.add('alluxio_hotpath_answers_total', { destination: listener, kind: 'relayed' }, relayedCount);
  }
  for (const { count, lengthBytes, page } of report.pages) {
    metrics.add('alluxio_read_pages_total', { outcome: 'hit' }, count);
    shadows.onAccess(page, lengthBytes, true, count);
    // However often it was read in the meantime, it is one use: no policy tells much more of them apart.
    store.get(page)?.release();
  }
  for (const answered of report.answers) logger.info(accessFields(answered), 'access');
  metrics.raise('alluxio_hotpath_reports_dropped_total', report.droppedCount);
}

function recordTableCalls(calls: TableCalls, metrics: Metrics): void {
  const { bucketCounts, durationSumMs: sum, isComplete, isPiece, listener, method, status } = calls;
  const count = bucketCounts.reduce((all, one) => all + one, 0);
  const isGet = method === 'GET';
  const kind = status === 304 ? 'not-modified' : isGet ? 'get' : 'head';
  metrics.add('alluxio_hotpath_answers_total', { destination: listener, kind }, count);
  metrics.add('alluxio_metadata_cache_hit_calls_total', {}, count);
  const isS3 = listener === 's3';
  // Of the REST interface only pages are in the table, and what other workers relay.
  const operation = isS3 ? (isGet ? 'GetObject' : 'HeadObject') : isPiece ? 'file' : 'peer';
  metrics.observeMany(
    isS3 ? 'alluxio_s3_api_call_latency_ms' : 'alluxio_rest_api_call_latency_ms',
    { method: operation, success: String(isComplete), status: String(status) },
    { bucketCounts, sum },
  );
}

export function recordAnswer(
  answered: AnsweredRequest,
  parts: { readonly metrics: Metrics; readonly logger: Logger; readonly logsAccess: boolean },
): void {
  const { metrics, logger, logsAccess } = parts;
  const isS3 = answered.listener === 's3';
  const isSuccess = answered.isComplete && answered.status < 400;
  const fields = accessFields(answered);
  metrics.observe(
    isS3 ? 'alluxio_s3_api_call_latency_ms' : 'alluxio_rest_api_call_latency_ms',
    { method: fields.operation, success: String(isSuccess), status: String(answered.status) },
    answered.durationMs,
  );
  metrics.add(
    'alluxio_data_throughput_bytes_total',
    { method: 'read', destination: answered.listener },
    answered.sentBytes,
  );
  if (logsAccess) logger.info(fields, 'access');
  else logger.debug(fields, 'access');
}

function accessFields(answered: AnsweredRequest) {
  return {
    listener: answered.listener,
    operation: answered.listener === 's3' ? s3OperationOf(answered) : restCallOf(answered.target),
    path: loggableTarget(answered.target),
    status: answered.status,
    bytes: answered.sentBytes,
    durationMs: Math.round(answered.durationMs * 10) / 10,
    outcome: answered.outcome,
    isComplete: answered.isComplete,
    requestId: answered.requestId,
    remoteAddress: answered.remoteAddress,
  };
}

function s3OperationOf(answered: AnsweredRequest): string {
  try {
    return operationOf(answered.method, parseS3Target(answered.target));
  } catch {
    return 'Unsupported';
  }
}

/** Label values are ours, never the client's. */
const restCalls = [
  'health',
  'node',
  'ufsInfo',
  'files',
  'info',
  'chunk',
  'range',
  'head',
  'tail',
  'file',
  'peer',
];

function restCallOf(target: string): string {
  const call = target.split(/[/?]/, 3)[2] ?? '';
  return restCalls.includes(call) ? call : 'unknown';
}

export function readGauges(
  metrics: Metrics,
  parts: {
    readonly pageStore: PageStore;
    readonly cacheDirs: readonly CacheDir[];
    readonly shadows: ShadowCaches;
    readonly slots: SlotPool;
    readonly filler: PageFiller;
    readonly loader: FileLoader;
  },
): void {
  const stats = parts.pageStore.stats();
  metrics.set('alluxio_cached_storage_bytes', {}, stats.usedBytes);
  metrics.set('alluxio_cached_capacity_bytes', {}, stats.capacityBytes);
  metrics.set('alluxio_data_cached_pages', {}, stats.pageCount);
  metrics.set('alluxio_data_cached_bytes', {}, stats.pageBytes);
  metrics.raise('alluxio_page_store_corrupt_pages_total', stats.corruptCount);
  metrics.raise('alluxio_page_store_no_room_total', stats.noRoomCount);
  metrics.raise('alluxio_cached_evicted_data_bytes_total', stats.evictedBytes);
  metrics.set('alluxio_fills_running', {}, parts.filler.runningCount);
  metrics.set('alluxio_load_level', {}, parts.loader.level);
  const usedSlots = parts.slots.slotCount - parts.slots.freeCount;
  metrics.set('alluxio_direct_memory_used_bytes', {}, usedSlots * parts.slots.slotSizeBytes);
  readScrub(metrics, parts.cacheDirs);
  readShadows(metrics, parts.shadows);
  for (const { dir, state } of parts.cacheDirs.map(cacheDirStats)) {
    for (const each of cacheDirStates) {
      metrics.set('alluxio_cache_dir_state', { dir, state: each }, each === state ? 1 : 0);
    }
  }
}

function readShadows(metrics: Metrics, shadows: ShadowCaches): void {
  metrics.raise('alluxio_shadow_sampled_reads_total', shadows.sampledCount);
  metrics.set('alluxio_shadow_memory_bytes', {}, shadows.memoryBytes);
  const curve = shadows.curve();
  if (!curve) return;
  metrics.set('alluxio_shadow_measured_hit_ratio', {}, curve.hitRatio);
  for (const { hitRatio, policy, sizeFactor } of curve.points) {
    metrics.set('alluxio_shadow_hit_ratio', { policy, size: String(sizeFactor) }, hitRatio);
  }
}

function readScrub(metrics: Metrics, dirs: readonly CacheDir[]): void {
  let readBytes = 0;
  let damagedCount = 0;
  for (const { dir, use } of dirs) {
    const scrub = 'store' in use ? use.store.scrubStats() : undefined;
    readBytes += scrub?.readBytes ?? 0;
    damagedCount += scrub?.damagedCount ?? 0;
    if (scrub?.passEndedMs === undefined) continue;
    metrics.set('alluxio_scrub_last_pass_timestamp_seconds', { dir }, scrub.passEndedMs / 1000);
  }
  metrics.raise('alluxio_scrub_read_bytes_total', readBytes);
  metrics.raise('alluxio_scrub_damaged_pages_total', damagedCount);
}

export function statsOf(parts: {
  readonly pageStore: PageStore;
  readonly cacheDirs: readonly CacheDir[];
  readonly metrics: Metrics;
  readonly shadows: ShadowCaches;
  readonly transport: WorkerTransport;
  readonly pageSizeBytes: number;
}): WorkerStats {
  const { cacheDirs, metrics, pageSizeBytes, pageStore, transport } = parts;
  const { capacityBytes, usedBytes, pageCount } = pageStore.stats();
  return {
    pageSizeBytes,
    capacityBytes,
    usedBytes,
    pageCount,
    hitBytes: metrics.totalOf('alluxio_cached_data_read_bytes_total'),
    missBytes: metrics.totalOf('alluxio_missed_data_read_bytes_total'),
    dirs: cacheDirs.map(cacheDirStats),
    transport,
    ...whatIfOf(parts.shadows),
  };
}

function whatIfOf(shadows: ShadowCaches): Pick<WorkerStats, 'whatIf'> {
  const curve = shadows.curve();
  return curve ? { whatIf: { ...curve, points: [...curve.points] } } : {};
}
