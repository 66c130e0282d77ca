/** The calls to the database of file records as they pass between threads. */

import type { RecordDatabase } from './record-database.ts';

export type RecordCalls = Pick<
  RecordDatabase,
  | 'fault'
  | 'get'
  | 'pathOfId'
  | 'write'
  | 'page'
  | 'removeBelow'
  | 'oldFiles'
  | 'loadedFiles'
  | 'ids'
  | 'count'
  | 'beginAnew'
  | 'close'
>;
export type RecordCallName = keyof RecordCalls;

/** One call as it passes between threads. */
export interface RecordCall<Name extends RecordCallName = RecordCallName> {
  readonly name: Name;
  readonly argument: Parameters<RecordCalls[Name]>[0];
}

/** Makes the call where the database is. */
export function callDatabase<Name extends RecordCallName>(
  database: RecordDatabase,
  { argument, name }: RecordCall<Name>,
): ReturnType<RecordCalls[Name]> {
  const method = database[name] as (given: typeof argument) => ReturnType<RecordCalls[Name]>;
  return method.call(database, argument);
}
