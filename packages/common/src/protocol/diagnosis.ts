/**
 * What processes tell of their health, for `alluxio info doctor`: plain facts, which the command judges. There is no secret in them: anyone who reaches the
 * coordinator may ask. A newer process may say more; what is not known here is passed over.
 */

import { z } from 'zod';
import { toAlluxioError } from '../errors.ts';
import { cacheDirStatsSchema, workerStatuses, workerTransportSchema } from './coordinator-api.ts';
import type { Unchanging } from './operation.ts';
import { workerNetAddressSchema } from './worker-address.ts';

/** A failure as the other side had it. */
export const faultSchema = z.object({ code: z.string(), message: z.string() });

export type Fault = Unchanging<z.infer<typeof faultSchema>>;

export function faultOf(thrown: unknown): Fault {
  const { code, message } = toAlluxioError(thrown);
  return { code, message };
}

/** How the under storage of a mount answered. */
export const mountProbeSchema = z.object({
  path: z.string(),
  ufsUri: z.string(),
  durationMs: z.number(),
  /** Absent when it answered well. */
  fault: faultSchema.optional(),
  /** For so long reads through this worker have failed without asking it. Absent when they ask. */
  leftAloneMs: z.number().optional(),
});

export type MountProbe = Unchanging<z.infer<typeof mountProbeSchema>>;

export const storedMountProbeSchema = mountProbeSchema.extend({
  /** Whether the state store has a secret of it that is not sealed. */
  hasClearSecrets: z.boolean(),
});

export type StoredMountProbe = Unchanging<z.infer<typeof storedMountProbeSchema>>;

export const processFactsSchema = z.object({
  version: z.string(),
  nodeVersion: z.string(),
  /** Its wall clock when it answered. */
  nowMs: z.number(),
  /** The soft limit; absent where the system does not tell. */
  openFilesMax: z.int().optional(),
  /** Lines of its configuration that name no option. */
  notices: z.array(z.string()),
});

export type ProcessFacts = Unchanging<z.infer<typeof processFactsSchema>>;

export const memorySumSchema = z.object({
  parts: z.array(z.object({ name: z.string(), bytes: z.number() })),
  sumBytes: z.number(),
  /** Of the control group or the machine, whichever is less. */
  limitBytes: z.number(),
});

export type MemorySum = Unchanging<z.infer<typeof memorySumSchema>>;

export const cacheDirDiagnosisSchema = cacheDirStatsSchema.extend({
  /** Free for us on its file system; absent when that cannot be told. */
  freeBytes: z.number().optional(),
  /** Absent unless it was measured. */
  speed: z
    .object({ writeBytesPerSecond: z.number(), readBytesPerSecond: z.number() })
    .or(z.object({ fault: faultSchema }))
    .optional(),
});

export type CacheDirDiagnosis = Unchanging<z.infer<typeof cacheDirDiagnosisSchema>>;

export const workerDiagnosisSchema = processFactsSchema.extend({
  /** Of the options that must be the same on all workers, each with its value. */
  configuration: z.record(z.string(), z.string()),
  /** How many connections it takes, which all need an open file. */
  connectionsMax: z.int(),
  memory: memorySumSchema,
  /** Older workers do not tell. */
  transport: workerTransportSchema.optional(),
  dirs: z.array(cacheDirDiagnosisSchema),
  /** Those that it serves. */
  mounts: z.array(mountProbeSchema),
});

export type WorkerDiagnosis = Unchanging<z.infer<typeof workerDiagnosisSchema>>;

export const stateMemberSchema = z.object({
  /** The endpoint, or the directory of an embedded store. */
  name: z.string(),
  latencyMs: z.number().optional(),
  version: z.string().optional(),
  sizeBytes: z.number().optional(),
  fault: faultSchema.optional(),
});

export type StateMember = Unchanging<z.infer<typeof stateMemberSchema>>;

export const stateStoreDiagnosisSchema = z.object({
  kind: z.enum(['etcd', 'embedded']),
  /** Of a read that the members have to agree on. */
  latencyMs: z.number().optional(),
  fault: faultSchema.optional(),
  members: z.array(stateMemberSchema),
  /** `Nospace`, `Corrupt`. */
  alarms: z.array(z.string()),
});

export type StateStoreDiagnosis = Unchanging<z.infer<typeof stateStoreDiagnosisSchema>>;

export const workerReportSchema = z.object({
  id: z.string(),
  status: z.enum(workerStatuses),
  address: workerNetAddressSchema,
  /** How far its clock is ahead of the coordinator's, but for the way of the answer. */
  clockAheadMs: z.number().optional(),
  /** Of one that is online: either of these. */
  diagnosis: workerDiagnosisSchema.optional(),
  fault: faultSchema.optional(),
});

export type WorkerReport = Unchanging<z.infer<typeof workerReportSchema>>;

export const clusterDiagnosisSchema = z.object({
  coordinator: processFactsSchema.extend({
    /** Whether anyone who reaches it may change things. */
    isAdminOpen: z.boolean(),
  }),
  stateStore: stateStoreDiagnosisSchema,
  /** As the coordinator reaches their storages. Empty, like the workers, when the state store does not answer. */
  mounts: z.array(storedMountProbeSchema),
  workers: z.array(workerReportSchema),
});

export type ClusterDiagnosis = Unchanging<z.infer<typeof clusterDiagnosisSchema>>;
