/** What the coordinator's REST API says, for the server and its client. Ours: Alluxio's own paths for mounts are not public. */

import { z } from 'zod';
import { ruleSchema } from './rules.ts';
import { workerNetAddressSchema } from './worker-address.ts';

export const mountsPath = '/api/v1/mounts';
export const rulesPath = '/api/v1/rules';
export const cachePath = '/api/v1/cache';
export const workersPath = '/api/v1/workers';
export const infoPath = '/api/v1/info';
export const diagnosisPath = '/api/v1/diagnosis';
export const metricsPath = '/metrics';
export const healthPath = '/health';
export const readyPath = '/ready';

export const requestIdHeader = 'x-request-id';

export const addMountBodySchema = z.strictObject({
  path: z.string(),
  ufsUri: z.string(),
  options: z.record(z.string(), z.string()).default({}),
  /** False stores the mount without asking the under storage first. */
  check: z.boolean().default(true),
});

/** A mount as the API shows it: secrets are `xxx`. */
export const mountViewSchema = z.object({
  path: z.string(),
  ufsUri: z.string(),
  options: z.record(z.string(), z.string()),
});

export type MountView = z.infer<typeof mountViewSchema>;

export const mountListSchema = z.object({ mounts: z.array(mountViewSchema) });

export const ruleListSchema = z.object({ rules: z.array(ruleSchema) });

export const rulePatternQuerySchema = z.strictObject({ pattern: z.string().min(1).max(4096) });

/** Every call that names a path does so in the query. */
export const pathQuerySchema = z.strictObject({ path: z.string().min(1) });

/** What of the cache is freed: below a path, or everything of one worker, or of all. Exactly one. */
export const freeQuerySchema = z.union([
  pathQuerySchema,
  z.strictObject({ worker: z.string().min(1) }),
  z.strictObject({ all: z.literal('true') }),
]);

export const freeResultSchema = z.object({
  /** How many files' metadata was dropped and how many pages went. */
  fileCount: z.int(),
  pageCount: z.int(),
  freedBytes: z.int(),
});

export type FreeResult = z.infer<typeof freeResultSchema>;

export const cacheDirStates = [
  'ok',
  /** The disk does not take pages at the moment, or does not answer at all. */
  'not-writable',
  'silent',
  /** Left out at the start of the worker. */
  'unused',
] as const;

export type CacheDirState = (typeof cacheDirStates)[number];

/** One of the directories that hold the pages of a worker. */
export const cacheDirStatsSchema = z.object({
  dir: z.string(),
  state: z.enum(cacheDirStates),
  capacityBytes: z.int(),
  usedBytes: z.int(),
  pageCount: z.int(),
  segmentCount: z.int(),
  /** Since the start. */
  failedReadCount: z.int(),
  failedWriteCount: z.int(),
  /** Why it is unused. */
  reason: z.string().optional(),
});

export type CacheDirStats = z.infer<typeof cacheDirStatsSchema>;

export const workerStatsSchema = z.object({
  pageSizeBytes: z.int(),
  capacityBytes: z.int(),
  usedBytes: z.int(),
  pageCount: z.int(),
  /** Bytes of reads since its start, by whether the cache had them. */
  hitBytes: z.int(),
  missBytes: z.int(),
  /** Older workers do not tell. */
  dirs: z.array(cacheDirStatsSchema).default([]),
});

export type WorkerStats = z.infer<typeof workerStatsSchema>;

export const workerStatuses = ['ONLINE', 'OFFLINE'] as const;

export const workerViewSchema = z.object({
  /** `worker-<uuid>`: stays the same when the worker starts again. */
  id: z.string(),
  status: z.enum(workerStatuses),
  address: workerNetAddressSchema,
  /** As far as the worker has told; an offline one does not. */
  stats: workerStatsSchema.optional(),
});

export type WorkerView = z.infer<typeof workerViewSchema>;

/** `worker-<uuid>`. */
export const workerQuerySchema = z.strictObject({ id: z.string().min(1) });

export const workerListSchema = z.object({ workers: z.array(workerViewSchema) });

export const clusterInfoSchema = z.object({
  version: z.string(),
  startMs: z.number(),
  uptimeMs: z.number(),
  webPort: z.int(),
  liveWorkerCount: z.int(),
  lostWorkerCount: z.int(),
  capacityBytes: z.int(),
  usedBytes: z.int(),
  pageCount: z.int(),
  mountCount: z.int(),
  /** Since the workers' start; both 0 before the first read. */
  hitBytes: z.int(),
  missBytes: z.int(),
});

export type ClusterInfo = z.infer<typeof clusterInfoSchema>;

export const healthSchema = z.object({ status: z.literal('ok') });

export const errorBodySchema = z.object({ code: z.string(), message: z.string(), requestId: z.string() });
