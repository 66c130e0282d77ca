type Defined<T> = { [Name in keyof T]: Exclude<T[Name], undefined> };

/** Without the fields that are undefined. */
export function definedFields<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}
