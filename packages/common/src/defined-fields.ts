type Defined<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

/** Without the fields that are undefined. */
export function definedFields<T extends object>(fields: T): Defined<T> {
  const defined: Partial<T> = {};
  for (const name of Object.keys(fields) as (keyof T)[]) {
    if (fields[name] !== undefined) defined[name] = fields[name];
  }
  return defined as Defined<T>;
}
