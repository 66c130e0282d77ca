/**
 * Which files are kept and for how long their version is trusted, by rules on the full UFS path: Alluxio's cache filter file. A pattern is a
 * regular expression that must match the whole path.
 *
 * `data.skipCache`: bytes are never kept. `metadata.skipCache`: the version is asked for at every use. `maxAge` in either part: the version is
 * asked for again after that age (the shorter of both). `immutable`: never again. Where several match, skipCache goes before maxAge before immutable;
 * where none does, `defaultType` of the part decides. Without a file everything is kept and re-checked after the default age.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { parseJson } from '@alluxio-ts/common/parse-json';
import { parseDuration } from '@alluxio-ts/common/units';
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
    immutable: z.array(z.string()).default([]),
    skipCache: z.array(z.string()).default([]),
    maxAge: z.record(z.string(), z.string()).default({}),
    defaultType: z.enum(['immutable', 'skipCache']).default('immutable'),
  })
  .prefault({});

const fileSchema = z.strictObject({ apiVersion: z.literal(1), data: partSchema, metadata: partSchema });

interface Part {
  readonly skipCache: readonly RegExp[];
  readonly maxAge: readonly { readonly pattern: RegExp; readonly ageMs: number }[];
  readonly immutable: readonly RegExp[];
  /** Of a path that no rule matches. */
  readonly defaultAgeMs: number;
}

/** Reads the text of a rules file. Throws InvalidOptions that names the file and what is wrong in it. */
export function parseCacheRules(text: string, fileName: string): CacheRules {
  const value = parseJson(text);
  if (value === undefined) throw invalid(fileName, 'not JSON');
  const parsed = fileSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(fileName, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not a rules file'}`);
  }
  const data = compilePart(parsed.data.data, fileName);
  const metadata = compilePart(parsed.data.metadata, fileName);
  return {
    ruleOf: (ufsPath) => {
      const dataAgeMs = ageOf(data, ufsPath);
      const metadataAgeMs = ageOf(metadata, ufsPath);
      return { isKept: dataAgeMs > 0, maxAgeMs: Math.min(dataAgeMs, metadataAgeMs) };
    },
  };
}

function ageOf(part: Part, ufsPath: string): number {
  if (part.skipCache.some((pattern) => pattern.test(ufsPath))) return 0;
  const aged = part.maxAge.find(({ pattern }) => pattern.test(ufsPath));
  if (aged) return aged.ageMs;
  if (part.immutable.some((pattern) => pattern.test(ufsPath))) return Number.POSITIVE_INFINITY;
  return part.defaultAgeMs;
}

function compilePart(part: z.infer<typeof partSchema>, fileName: string): Part {
  return {
    skipCache: part.skipCache.map((text) => compile(text, fileName)),
    maxAge: Object.entries(part.maxAge).map(([text, age]) => ({
      pattern: compile(text, fileName),
      // An age of 0 asks at every use and still keeps the bytes: only skipCache drops them.
      ageMs: Math.max(Number.MIN_VALUE, parseDuration(age)),
    })),
    immutable: part.immutable.map((text) => compile(text, fileName)),
    defaultAgeMs: part.defaultType === 'skipCache' ? 0 : Number.POSITIVE_INFINITY,
  };
}

function compile(text: string, fileName: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`, 'u');
  } catch (thrown) {
    throw invalid(fileName, `"${text}" is not a regular expression`, thrown);
  }
}

function invalid(fileName: string, what: string, cause?: unknown): AlluxioError {
  return new AlluxioError('InvalidOptions', `cache rules in ${fileName}: ${what}`, { cause });
}
