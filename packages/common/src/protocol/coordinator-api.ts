/** What the coordinator's REST API says, for the server and its client. Ours: Alluxio's own paths for mounts are not public. */

import { z } from 'zod';

export const mountsPath = '/api/v1/mounts';
export const cachePath = '/api/v1/cache';
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

/** Every call that names a path does so in the query. */
export const pathQuerySchema = z.strictObject({ path: z.string().min(1) });

export const freeResultSchema = z.object({
  /** How many files' metadata was dropped and how many pages went. */
  fileCount: z.int(),
  pageCount: z.int(),
});

export type FreeResult = z.infer<typeof freeResultSchema>;

export const healthSchema = z.object({ status: z.literal('ok') });

export const errorBodySchema = z.object({ code: z.string(), message: z.string(), requestId: z.string() });
