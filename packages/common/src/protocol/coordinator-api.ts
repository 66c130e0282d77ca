/** What the coordinator's REST API speaks of, for the table of its operations (`coordinator-operations.ts`). Ours: Alluxio's own paths for mounts are not public. */

import { z } from 'zod';
import { logLevels } from '../log-level.ts';
import type { Unchanging } from './operation.ts';
import { ruleSchema } from './rules.ts';
import { hostAndPortOf, workerNetAddressSchema } from './worker-address.ts';

export const requestIdHeader = 'x-request-id';

export const addMountBodySchema = z
  .strictObject({
    path: z.string().describe('A direct child of the root'),
    ufsUri: z.string(),
    options: z
      .record(z.string(), z.string())
      .default({})
      .describe('Of the under storage: docs/options.md and the names of Alluxio; secrets are sealed'),
    check: z
      .boolean()
      .default(true)
      .describe('False stores the mount without asking the under storage first'),
  })
  .meta({
    examples: [
      { path: '/s3', ufsUri: 's3://bucket/dir', options: { 'alluxio.underfs.s3.region': 'eu-west-1' } },
    ],
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

export const rulePatternQuerySchema = z.strictObject({
  pattern: z.string().min(1).max(4096).describe('The pattern as it was put'),
});

/** Every call that names a path does so in the query. */
export const pathQuerySchema = z.strictObject({
  path: z
    .string()
    .min(1)
    .meta({ examples: ['/s3'] }),
});

const oneWorkerSchema = z.strictObject({
  worker: z.string().min(1).describe('By id, host, or host and port'),
});
const allWorkersSchema = z.strictObject({ all: z.literal('true').describe('All workers') });

/** What of the cache is freed: below a path, or everything of one worker, or of all. Exactly one. */
export const freeQuerySchema = z.union([pathQuerySchema, oneWorkerSchema, allWorkersSchema]);

export const freeResultSchema = z.object({
  fileCount: z.int().describe("How many files' metadata was dropped"),
  pageCount: z.int(),
  freedBytes: z.int(),
});

export type FreeResult = z.infer<typeof freeResultSchema>;

export const cacheDirStates = [
  'ok',
  /** Its pages are read; it takes no new ones until it has been probed. */
  'suspect',
  /** Neither read nor written until it has been probed; its pages count as misses. */
  'out',
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
  /** Pages that were found damaged since the start, by readers or by the scrub. Older workers do not tell. */
  corruptPageCount: z.int().default(0),
  /** When every page had last been checked, as wall time. */
  scrubbedMs: z.number().optional(),
  /** Why it is not `ok`. */
  reason: z.string().optional(),
});

export type CacheDirStats = Unchanging<z.infer<typeof cacheDirStatsSchema>>;

/** What caches of other sizes and policies would hit, by sampled shadow caches; shares of page reads. */
export const whatIfSchema = z.object({
  pagesPerSample: z.number().describe('One page in so many is sampled'),
  readCount: z.number().describe('Reads that the ratios stand on, fewer with their age'),
  hitRatio: z.number().describe('What the cache itself hit'),
  points: z.array(
    z.object({
      policy: z.string(),
      sizeFactor: z.number().describe('Of the capacity of today'),
      hitRatio: z.number(),
    }),
  ),
});

export type WhatIf = Unchanging<z.infer<typeof whatIfSchema>>;

/** What answers the reads of a worker. */
export const workerTransportSchema = z.object({
  kind: z.enum(['plain', 'hotpath']),
  configured: z
    .enum(['auto', 'plain', 'hotpath'])
    .describe('`auto` is the fastest that is there; what else is not there does not run either'),
  reason: z.string().optional().describe('Why the configured one does not run'),
});

export type WorkerTransport = Unchanging<z.infer<typeof workerTransportSchema>>;

export const workerStatsSchema = z.object({
  pageSizeBytes: z.int(),
  capacityBytes: z.int(),
  usedBytes: z.int(),
  pageCount: z.int(),
  hitBytes: z.int().describe('Bytes of reads since its start that the cache had'),
  missBytes: z.int(),
  /** Older workers do not tell. */
  dirs: z.array(cacheDirStatsSchema).default([]),
  /** Absent while little was read. */
  whatIf: whatIfSchema.optional(),
  /** Older workers do not tell. */
  transport: workerTransportSchema.optional(),
});

export type WorkerStats = Unchanging<z.infer<typeof workerStatsSchema>>;

export const workerStatuses = ['ONLINE', 'OFFLINE'] as const;

export const workerViewSchema = z.object({
  id: z.string().describe('`worker-<uuid>`: stays the same when the worker starts again'),
  status: z.enum(workerStatuses),
  address: workerNetAddressSchema,
  stats: workerStatsSchema.optional().describe('As far as the worker has told; an offline one does not'),
});

export type WorkerView = Unchanging<z.infer<typeof workerViewSchema>>;

/** Whether a worker is meant by this name: its id, its host, or host and port of its REST API. */
export function isWorkerNamed(name: string, { id, address }: Pick<WorkerView, 'id' | 'address'>): boolean {
  return [id, address.Host, hostAndPortOf(address)].includes(name);
}

export const workerQuerySchema = z.strictObject({ id: z.string().min(1).describe('`worker-<uuid>`') });

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
  hitBytes: z.int().describe("Since the workers' start; 0 before the first read"),
  missBytes: z.int(),
  /** Older coordinators do not tell. */
  transports: z
    .object({ plain: z.int(), hotpath: z.int(), missing: z.int() })
    .optional()
    .describe('How many workers each answers reads of; `missing`: those that are configured to another one'),
});

export type ClusterInfo = z.infer<typeof clusterInfoSchema>;

export const healthSchema = z.object({ status: z.literal('ok') });

/** Whose log: that of the coordinator, of one worker, or of all that are online. */
export const logLevelQuerySchema = z.union([oneWorkerSchema, allWorkersSchema, z.strictObject({})]);

export type LogLevelQuery = Readonly<z.infer<typeof logLevelQuerySchema>>;

export const logLevelSchema = z.strictObject({
  level: z.enum(logLevels).describe('The least serious events that are logged'),
});

/** Of the coordinator, or of the workers that were asked. */
export const logLevelsSchema = z.union([
  logLevelSchema,
  z.object({ workers: z.array(z.object({ id: z.string(), level: z.enum(logLevels) })) }),
]);

export type LogLevels = Unchanging<z.infer<typeof logLevelsSchema>>;
