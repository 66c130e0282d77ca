/**
 * A TTL rule as the state store keeps it and as the API speaks of it: how long the files below a directory of the namespace may stay in the cache, counted from
 * when they were loaded. Of rules for directories within each other the one of the innermost counts.
 */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';
import { parseDuration } from '../units.ts';
import { asIssue, ruleNameSchema } from './rules.ts';

/** Under this prefix lies one entry a rule, named by its directory. */
export function ttlRulesPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/rules/ttl/`;
}

/** Put by every change of a rule that adds one. */
export function ttlRulesGuardKeyOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/locks/ttl-rules`;
}

const timeMinMs = 1000;
const timeMaxMs = 36_500 * 86_400_000;

/** The time of a rule in milliseconds. Throws InvalidArgument or InvalidOptions for what is none, or out of bounds. */
export function ttlMsOf(text: string): number {
  const timeMs = parseDuration(text);
  if (timeMs < timeMinMs) throw new AlluxioError('InvalidArgument', `"${text}" is below 1s`);
  if (timeMs > timeMaxMs) throw new AlluxioError('InvalidArgument', `"${text}" is above 36500d`);
  return timeMs;
}

/** One spelling for a directory, however many slashes end it: `/s3/data/`. */
export function ttlPathOf(path: string): string {
  return `${path.replace(/\/+$/, '')}/`;
}

/** Of one directory within another the path begins with that of the other. */
const pathSchema = ruleNameSchema
  .refine((text) => text.startsWith('/'), { error: 'is not a directory of the namespace such as /s3/data/' })
  .describe('A directory of the namespace');

const timeSchema = z
  .string()
  .superRefine(asIssue(ttlMsOf))
  .describe('From 1s to 36500d, counted from when a file was loaded');

export const ttlRuleSchema = z.strictObject({ path: pathSchema, time: timeSchema });

export type TtlRule = Readonly<z.infer<typeof ttlRuleSchema>>;

/** The body of a call that puts a rule. */
export const putTtlRuleBodySchema = ttlRuleSchema
  .extend({
    mustExist: z.boolean().default(false).describe('True changes the rule of a directory and adds none'),
  })
  .meta({ examples: [{ path: '/s3/data/', time: '1h' }] });

export const ttlRuleListSchema = z.object({ rules: z.array(ttlRuleSchema) });

/** Version N reads what N−1 wrote, and N−1 what N wrote: it leaves out what it does not know. */
const storedSchema = z.object({ schema: z.literal(1), path: pathSchema, time: timeSchema });

export function encodeTtlRule({ path, time }: TtlRule): string {
  return JSON.stringify({ schema: 1, path, time });
}

/** Throws Internal naming the key when the value is not a rule that this version reads. */
export function decodeTtlRule(key: string, value: string): TtlRule {
  const parsed = storedSchema.safeParse(parseJson(value));
  if (parsed.success) return { path: parsed.data.path, time: parsed.data.time };
  throw new AlluxioError('Internal', `the state store's value at ${key} is not a TTL rule of schema 1`);
}
