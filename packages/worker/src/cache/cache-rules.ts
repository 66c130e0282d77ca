/**
 * Which files are kept and for how long their version is trusted, by rules on the full UFS path: Alluxio's cache filter file. A pattern is a
 * regular expression that must match the whole path.
 *
 * `data.skipCache`: bytes are never kept. `metadata.skipCache`: the version is asked for at every use. `maxAge` in either part: the version is
 * asked for again after that age (the shortest of all that match). `immutable`: never again. Where several match, skipCache goes before maxAge before
 * immutable; where none does, `defaultType` of the part decides. Without a file everything is kept and re-checked after the default age.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { parseJson } from '@alluxio-ts/common/parse-json';
import {
  ageOfDuration,
  compilePattern,
  durationSchema,
  regexSchema,
} from '@alluxio-ts/common/protocol/rules';
import { z } from 'zod';

export interface CacheRule {
  /** False: bytes go past the cache. */
  readonly isKept: boolean;
  /** How long a version is trusted after it was confirmed; Infinity for ever, 0 never. */
  readonly maxAgeMs: number;
}

export interface CacheRules {
  ruleOf(ufsPath: string): CacheRule;
}

/** Without a rules file. */
export function defaultRules(maxAgeMs: number): CacheRules {
  const rule = { isKept: true, maxAgeMs };
  return { ruleOf: () => rule };
}

const partSchema = z
  .strictObject({
    immutable: z.array(regexSchema).default([]),
    skipCache: z.array(regexSchema).default([]),
    maxAge: z.record(regexSchema, durationSchema).default({}),
    defaultType: z.enum(['immutable', 'skipCache']).default('immutable'),
  })
  .prefault({});

const fileSchema = z.strictObject({ apiVersion: z.literal(1), data: partSchema, metadata: partSchema });

/** For how long the version of a file is trusted that matches a pattern. */
export interface AgeByPattern {
  readonly pattern: RegExp;
  /** 0 for skipCache, Infinity for immutable. */
  readonly ageMs: number;
}

/** The shortest age of the patterns that match: skipCache goes before maxAge before immutable. Undefined when none does. */
export function ageOf(rules: Iterable<AgeByPattern>, ufsPath: string): number | undefined {
  let shortest: number | undefined;
  for (const { pattern, ageMs } of rules) {
    if (shortest !== undefined && shortest <= ageMs) continue;
    if (pattern.test(ufsPath)) shortest = ageMs;
  }
  return shortest;
}

/** Reads the text of a rules file. Throws InvalidOptions that names the file, the field, and what is wrong in it. */
export function parseCacheRules(text: string, fileName: string): CacheRules {
  const value = parseJson(text);
  if (value === undefined) throw invalid(fileName, 'not JSON');
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(fileName, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a rules file'}`);
  }
  const data = agesOf(parsed.data.data);
  const metadata = agesOf(parsed.data.metadata);
  const dataDefaultMs = defaultAgeOf(parsed.data.data);
  const metadataDefaultMs = defaultAgeOf(parsed.data.metadata);
  return {
    ruleOf: (ufsPath) => {
      const dataAgeMs = ageOf(data, ufsPath) ?? dataDefaultMs;
      const metadataAgeMs = ageOf(metadata, ufsPath) ?? metadataDefaultMs;
      return { isKept: dataAgeMs > 0, maxAgeMs: Math.min(dataAgeMs, metadataAgeMs) };
    },
  };
}

function agesOf(part: z.infer<typeof partSchema>): readonly AgeByPattern[] {
  const all = (patterns: readonly string[], ageMs: number): AgeByPattern[] =>
    patterns.map((text) => ({ pattern: compilePattern(text), ageMs }));
  return [
    ...all(part.skipCache, 0),
    ...Object.entries(part.maxAge).flatMap(([text, age]) => all([text], ageOfDuration(age))),
    ...all(part.immutable, Number.POSITIVE_INFINITY),
  ];
}

function defaultAgeOf({ defaultType }: z.infer<typeof partSchema>): number {
  return defaultType === 'skipCache' ? 0 : Number.POSITIVE_INFINITY;
}

function invalid(fileName: string, what: string): AlluxioError {
  return new AlluxioError('InvalidOptions', `cache rules in ${fileName}: ${what}`);
}
