/** The value of a JSON text; undefined for what is none. Whoever asks checks the value against a schema in either case. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
