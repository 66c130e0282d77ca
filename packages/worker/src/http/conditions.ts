/** If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since and If-Range, in the precedence of RFC 9110 §13.2.2, which S3 follows. */

import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';

export type ConditionResult = 'proceed' | 'not-modified' | 'precondition-failed';

type Headers = ReadonlyMap<string, string>;

export function evaluateConditions(headers: Headers, file: FileStatus): ConditionResult {
  const ifMatch = headers.get('if-match');
  const ifUnmodifiedSince = parseDate(headers.get('if-unmodified-since'));
  if (ifMatch !== undefined) {
    if (!matchesAny(ifMatch, file.etag, 'strong')) return 'precondition-failed';
  } else if (ifUnmodifiedSince !== undefined && secondsOf(file.modifiedMs) > ifUnmodifiedSince) {
    return 'precondition-failed';
  }
  const ifNoneMatch = headers.get('if-none-match');
  const ifModifiedSince = parseDate(headers.get('if-modified-since'));
  if (ifNoneMatch !== undefined) {
    if (matchesAny(ifNoneMatch, file.etag, 'weak')) return 'not-modified';
  } else if (ifModifiedSince !== undefined && secondsOf(file.modifiedMs) <= ifModifiedSince) {
    return 'not-modified';
  }
  return 'proceed';
}

const conditionNames = ['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'if-range'];

/** Whether the answer may be another than the file's bytes, as the request says. */
export function hasConditions(headers: Headers): boolean {
  return conditionNames.some((name) => headers.has(name));
}

/** Whether the Range header counts: without If-Range always, with it only for this very version. */
export function isRangeWanted(headers: Headers, file: FileStatus): boolean {
  const ifRange = headers.get('if-range');
  if (ifRange === undefined) return true;
  const date = parseDate(ifRange);
  if (date !== undefined) return secondsOf(file.modifiedMs) === date;
  return matchesAny(ifRange, file.etag, 'strong');
}

/** Clients send entity tags with and without quotes; both are understood. */
function matchesAny(list: string, etag: string | undefined, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  if (etag === undefined) return false;
  if (comparison === 'strong' && etag.startsWith('W/')) return false;
  const wanted = bare(etag);
  return list.split(',').some((item) => {
    const tag = item.trim();
    if (comparison === 'strong' && tag.startsWith('W/')) return false;
    return bare(tag) === wanted;
  });
}

function bare(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
}

/** Seconds since the epoch; undefined for what is no date. */
function parseDate(text: string | undefined): number | undefined {
  if (text === undefined || !/^[A-Z][a-z]{2,8},? /.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}
