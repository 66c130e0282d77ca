/** Plain data as JSON or YAML text. */

export const structuredFormats = ['json', 'yaml'] as const;
export type StructuredFormat = (typeof structuredFormats)[number];

export type Structured =
  | string
  | number
  | boolean
  | null
  | readonly Structured[]
  | { readonly [name: string]: Structured };

export function formatStructured(value: Structured, format: StructuredFormat): string {
  return format === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : `${yamlLines(value).join('\n')}\n`;
}

/** Texts are written as JSON writes them, which YAML reads as they are. */
function yamlLines(value: Structured): readonly string[] {
  if (isList(value)) {
    if (value.length === 0) return ['[]'];
    return value.flatMap((item) =>
      yamlLines(item).map((line, index) => `${index === 0 ? '- ' : '  '}${line}`),
    );
  }
  if (typeof value !== 'object' || value === null) return [JSON.stringify(value)];
  const entries = Object.entries(value);
  if (entries.length === 0) return ['{}'];
  return entries.flatMap(([name, inner]) => {
    const key = /^[A-Za-z_][\w.-]*$/.test(name) ? name : JSON.stringify(name);
    const lines = yamlLines(inner);
    const isBlock = typeof inner === 'object' && inner !== null && Object.keys(inner).length > 0;
    return isBlock ? [`${key}:`, ...lines.map((line) => `  ${line}`)] : [`${key}: ${lines.join('')}`];
  });
}

function isList(value: Structured): value is readonly Structured[] {
  return Array.isArray(value);
}
