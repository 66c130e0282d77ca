/**
 * A cache rule as the state store keeps it and as the API speaks of it: for the files whose full UFS path matches a pattern, what holds for their bytes (`data`)
 * and for what is known of them (`metadata`). The words are those of Alluxio's cache filter file.
 */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';
import { parseDuration } from '../units.ts';

/** Under this prefix lies one entry a rule, named by its pattern. */
export function rulesPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/rules/cache/`;
}

/** Put by every change of a rule that adds one. */
export function rulesGuardKeyOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/locks/rules`;
}

const nameMaxBytes = 1024;

/** Must match the whole UFS path. Throws InvalidArgument. */
export function compilePattern(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`, 'u');
  } catch (thrown) {
    throw new AlluxioError('InvalidArgument', `"${text}" is not a regular expression`, { cause: thrown });
  }
}

/** For how long a version is trusted: Infinity for ever, 0 never. Throws InvalidArgument. */
export function ageOfPolicy(policy: string): number {
  if (policy === 'immutable') return Number.POSITIVE_INFINITY;
  if (policy === 'skipCache') return 0;
  if (policy.startsWith('maxAge=')) return ageOfDuration(policy.slice('maxAge='.length));
  throw new AlluxioError('InvalidArgument', `"${policy}" is not immutable, skipCache or maxAge=<duration>`);
}

/** An age of 0 asks at every use and still keeps the bytes: only skipCache drops them. */
export function ageOfDuration(text: string): number {
  return Math.max(Number.MIN_VALUE, parseDuration(text));
}

export const regexSchema = z.string().min(1).superRefine(asIssue(compilePattern));

export const durationSchema = z.string().superRefine(asIssue(ageOfDuration));

/** Of an entry in the state store. */
export const ruleNameSchema = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= nameMaxBytes, { error: `longer than ${nameMaxBytes} bytes` })
  .refine((text) => !/\p{Cc}/u.test(text) && text.isWellFormed(), { error: 'holds control characters' });

const patternSchema = ruleNameSchema.superRefine(asIssue(compilePattern));

const policySchema = z.string().superRefine(asIssue(ageOfPolicy));

/** The body of a call that puts a rule. At least one of the two is there. */
export const ruleSchema = z
  .strictObject({
    pattern: patternSchema,
    data: policySchema.optional(),
    metadata: policySchema.optional(),
  })
  .refine(({ data, metadata }) => data !== undefined || metadata !== undefined, {
    error: 'a rule says something of data, of metadata, or of both',
  })
  .meta({
    description: 'Says something of data, of metadata, or of both: immutable, skipCache or maxAge=<duration>',
    examples: [{ pattern: 's3://bucket/hourly/.*', metadata: 'maxAge=1h' }],
  });

export type Rule = Readonly<z.infer<typeof ruleSchema>>;

/** Version N reads what N−1 wrote, and N−1 what N wrote: it leaves out what it does not know. */
const storedSchema = z.object({
  schema: z.literal(1),
  pattern: patternSchema,
  data: policySchema.optional(),
  metadata: policySchema.optional(),
});

export function encodeRule(rule: Rule): string {
  return JSON.stringify({ schema: 1, ...rule });
}

/** Throws Internal naming the key and the field when the value is not a rule that this version reads. */
export function decodeRule(key: string, value: string): Rule {
  const parsed = storedSchema.safeParse(parseJson(value));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const fault = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`;
    throw new AlluxioError(
      'Internal',
      `the state store's value at ${key} is not a rule of schema 1 (${fault})`,
    );
  }
  const { schema: _, ...rule } = parsed.data;
  return rule;
}

/** The failure of a reader as an issue of the schema. */
export function asIssue(read: (text: string) => unknown): (text: string, context: z.RefinementCtx) => void {
  return (text, context) => {
    try {
      read(text);
    } catch (thrown) {
      context.addIssue({
        code: 'custom',
        message: thrown instanceof Error ? thrown.message : String(thrown),
      });
    }
  };
}
