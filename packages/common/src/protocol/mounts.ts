/** A mount as the state store keeps it and as the API speaks of it. */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';

/** Under this prefix lies one entry a mount, named by its path without the slash. */
export function mountsPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/mounts/`;
}

/** Put by every addition of a mount, so that two which each see no conflict cannot both succeed. */
export function mountsGuardKeyOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/locks/mounts`;
}

const mountSchema = z.object({
  /** Version N reads what N−1 wrote. */
  schema: z.literal(1),
  /** `/s3`: a direct child of the root, without a trailing slash. */
  path: z.string().regex(/^\/[^/]+$/),
  /** As given at `mount add`. */
  ufsUri: z.string().min(1),
  options: z.record(z.string(), z.string()),
});

export type Mount = z.infer<typeof mountSchema>;

export function encodeMount(mount: Mount): string {
  return JSON.stringify(mount);
}

/** Throws Internal naming the key when the value is not a mount of a schema that this version reads. */
export function decodeMount(key: string, value: string): Mount {
  const parsed = mountSchema.safeParse(parseJson(value));
  if (!parsed.success) {
    throw new AlluxioError('Internal', `the state store's value at ${key} is not a mount of schema 1`, {
      cause: parsed.error,
    });
  }
  return parsed.data;
}
