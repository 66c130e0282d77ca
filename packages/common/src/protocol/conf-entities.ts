/**
 * Configuration entities: what Alluxio's coordinator keeps by key for whoever reads it (`PUT /api/v1/conf`). An entity is JSON text, whose shape follows from its
 * key. The keys are those of this table, which so bounds their number.
 */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { parseJson } from '../parse-json.ts';

/** Under this prefix lies one entry an entity, named by its key. */
export function confPrefixOf(clusterName: string): string {
  return `/alluxio-ts/${clusterName}/conf/`;
}

const confMaxBytes = 64 * 1024;

const absolutePathSchema = z.string().startsWith('/');

/** What more they have is kept and not looked at: a newer client may know it. */
const entitySchemas = {
  /** How a client maps the paths of its users: the first rule counts whose `src`, a regular expression of Java, matches. */
  VirtualPathMappingEntity: z.looseObject({
    mappingRules: z.looseObject({
      rules: z.array(z.looseObject({ src: z.string().min(1), dst: absolutePathSchema })),
      virtualDirectories: z.array(absolutePathSchema).optional(),
    }),
  }),
} as const;

type ConfKey = keyof typeof entitySchemas;

const confKeys = Object.keys(entitySchemas) as readonly ConfKey[];

const confKeySchema = z.enum(confKeys, {
  error: () => `no configuration entity has this key; known: ${confKeys.join(', ')}`,
});

/** The body of a call that puts an entity. */
export const confEntitySchema = z
  .strictObject({
    key: confKeySchema,
    conf: z
      .string()
      .refine((text) => Buffer.byteLength(text) <= confMaxBytes, {
        error: `longer than ${confMaxBytes} bytes`,
      })
      .describe('The entity as JSON text'),
  })
  .superRefine(({ key, conf }, context) => {
    const value = parseJson(conf);
    if (value === undefined) {
      context.addIssue({ code: 'custom', path: ['conf'], message: 'is not JSON' });
      return;
    }
    for (const { path, message } of entitySchemas[key].safeParse(value).error?.issues ?? []) {
      context.addIssue({ code: 'custom', path: ['conf', ...path], message });
    }
  })
  .meta({
    examples: [
      {
        key: 'VirtualPathMappingEntity',
        conf: '{"mappingRules":{"rules":[{"src":"^/a/b/c/(.*)$","dst":"/x/y/z/{{ var1 }}"}],"virtualDirectories":["/a/b"]}}',
      },
    ],
  });

/** An entity as it is shown: the key may be one that only a newer coordinator knows. */
export const confEntityViewSchema = z.object({ key: z.string(), conf: z.string() });

export type ConfEntity = Readonly<z.infer<typeof confEntityViewSchema>>;

export const confListSchema = z.object({ entities: z.array(confEntityViewSchema) });

export const confKeyQuerySchema = z.strictObject({ key: z.string().min(1).max(200) });

/** Version N reads what N−1 wrote. */
const storedSchema = z.object({ schema: z.literal(1), conf: z.string() });

export function encodeConf({ conf }: ConfEntity): string {
  return JSON.stringify({ schema: 1, conf });
}

/** `storeKey` begins with `prefix`. Throws Internal naming the key when the value is not of a schema that this version reads. */
export function decodeConf(prefix: string, storeKey: string, value: string): ConfEntity {
  const parsed = storedSchema.safeParse(parseJson(value));
  if (parsed.success) return { key: storeKey.slice(prefix.length), conf: parsed.data.conf };
  throw new AlluxioError(
    'Internal',
    `the state store's value at ${storeKey} is not a configuration entity of schema 1`,
  );
}
