/**
 * The target of a REST request: `/v1/<call>/<more…>?name=value`. Clients build it in two ways. Those that format strings send a UFS path nearly as
 * it stands (`ufsFullPath=s3://b/a+b`); those that encode a form send `path=s3%3A%2F%2Fb%2Fa%2Bb`, where `+` is a space. A form never has a bare slash in
 * a value, so a bare slash tells them apart.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface RestTarget {
  /** What follows `/v1/`, decoded, e.g. `['file', '<id>', 'page', '0']`. */
  readonly segments: readonly string[];
  readonly query: ReadonlyMap<string, string>;
}

/** Undefined for a path that is not below `/v1/`. */
export function parseRestTarget(target: string): RestTarget | undefined {
  const questionMark = target.indexOf('?');
  const path = questionMark < 0 ? target : target.slice(0, questionMark);
  const segments = path.split('/').slice(1).map(decode);
  if (segments[0] !== 'v1' || segments.length < 2) return undefined;
  const query = new Map<string, string>();
  for (const pair of questionMark < 0 ? [] : target.slice(questionMark + 1).split('&')) {
    const equals = pair.indexOf('=');
    if (equals <= 0) continue;
    query.set(pair.slice(0, equals), decodeValue(pair.slice(equals + 1)));
  }
  return { segments: segments.slice(1), query };
}

function decodeValue(text: string): string {
  return decode(text.includes('/') ? text : text.replaceAll('+', ' '));
}

/** A percent sign that begins no escape stands for itself: a client that formats strings may send one. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replace(/%(?![0-9A-Fa-f]{2})/g, '%25'));
  } catch (thrown) {
    throw new AlluxioError('InvalidArgument', 'the URL has an escape that is not UTF-8', { cause: thrown });
  }
}

/** The value of a parameter that must be there; InvalidArgument names it otherwise. */
export function requiredParameter(target: RestTarget, name: string): string {
  const value = target.query.get(name);
  if (value === undefined || value === '') {
    throw new AlluxioError('InvalidArgument', `the query parameter "${name}" is missing`);
  }
  return value;
}

/** A whole number ≥ 0, or the default. */
export function countParameter(target: RestTarget, name: string): number | undefined {
  const value = target.query.get(name);
  if (value === undefined || value === '') return undefined;
  if (!/^\d{1,15}$/.test(value)) {
    throw new AlluxioError('InvalidArgument', `"${name}" must be a whole number of bytes, not "${value}"`);
  }
  return Number(value);
}
