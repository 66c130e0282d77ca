/** The target of an S3 request, path style: `/bucket/key?query`. The key is decoded once and then left alone. */

import { AlluxioError } from '@alluxio-ts/common/errors';

export interface S3Target {
  /** Empty for the service itself. */
  readonly bucket: string;
  /** Empty for the bucket itself. */
  readonly key: string;
  /** A parameter without `=` has the value ''. The first of several counts. */
  readonly query: ReadonlyMap<string, string>;
}

/** Throws InvalidArgument for an escape that is not UTF-8. */
export function parseS3Target(target: string): S3Target {
  // A client that speaks to a proxy may send the absolute form.
  const origin = /^https?:\/\/[^/?]*/i.exec(target)?.[0] ?? '';
  const rest = target.slice(origin.length);
  const questionMark = rest.indexOf('?');
  const path = questionMark < 0 ? rest : rest.slice(0, questionMark);
  const slash = path.indexOf('/', 1);
  const bucket = slash < 0 ? path.slice(1) : path.slice(1, slash);
  const key = slash < 0 ? '' : path.slice(slash + 1);
  return {
    bucket: decode(bucket),
    key: decode(key),
    query: parseQuery(questionMark < 0 ? '' : rest.slice(questionMark + 1)),
  };
}

function parseQuery(text: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = decodeForm(equals < 0 ? pair : pair.slice(0, equals));
    const value = equals < 0 ? '' : decodeForm(pair.slice(equals + 1));
    if (!query.has(name)) query.set(name, value);
  }
  return query;
}

function decodeForm(text: string): string {
  return decode(text.replaceAll('+', ' '));
}

function decode(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch (thrown) {
    throw new AlluxioError('InvalidArgument', 'the URL has an escape that is not UTF-8', { cause: thrown });
  }
}
