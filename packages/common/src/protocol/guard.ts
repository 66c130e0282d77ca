/**
 * The guard of a set of entries in the state store (mounts, rules). Every addition to the set puts it, so that two which each see no conflict cannot both
 * succeed. Its id is drawn with the first addition: a store that has another guard, or none, is not the one that was known before.
 */

import { z } from 'zod';
import { parseJson } from '../parse-json.ts';

const guardSchema = z.object({
  schema: z.literal(1),
  /** Empty where an older version made the guard. */
  id: z.string().default(''),
  /** The set was put back into an emptied store, from what was known under that id at that revision. */
  restored: z.object({ id: z.string(), revision: z.int() }).optional(),
});

export type Guard = z.infer<typeof guardSchema>;

export function encodeGuard(guard: Guard): string {
  return JSON.stringify(guard);
}

/** A value that is not a guard counts as one of an unknown id: that it is there is what matters most. */
export function decodeGuard(value: string): Guard {
  const parsed = guardSchema.safeParse(parseJson(value));
  return parsed.success ? parsed.data : { schema: 1, id: '' };
}

/** Under this prefix lies, each under a lease, one claim of every worker that would put the set back. */
export function claimsPrefixOf(guardKey: string): string {
  return `${guardKey}/restore/`;
}

const claimSchema = z.object({
  schema: z.literal(1),
  /** Of the guard of the store that was lost. */
  id: z.string(),
  /** Up to which of its revisions the worker knows the set. */
  revision: z.int(),
});

export type RestoreClaim = z.infer<typeof claimSchema>;

export function encodeClaim(claim: RestoreClaim): string {
  return JSON.stringify(claim);
}

/** Undefined for what is not a claim. */
export function decodeClaim(value: string): RestoreClaim | undefined {
  return claimSchema.safeParse(parseJson(value)).data;
}
