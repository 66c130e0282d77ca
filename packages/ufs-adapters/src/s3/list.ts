/**
 * Lists a bucket page by page. S3 gives objects and common prefixes of a page apart, so they are merged here. That the store keeps to
 * the byte order is checked, not assumed: a caller who resumes from a key would otherwise lose names without a sign.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import { compareKeys } from '../byte-order.ts';
import type { ListEntry, ListOptions, ListPage } from '../ufs.ts';
import type { S3Call, S3Connection } from './connection.ts';
import { badAnswer } from './errors.ts';
import type { S3UfsOptions } from './options.ts';
import { parseListPage, type S3ListPage } from './responses.ts';

/** The most that S3 gives in a page. */
const pageEntriesMax = 1000;

interface NamedEntry {
  readonly name: string;
  readonly entry: ListEntry;
}

export async function* listS3(
  connection: S3Connection,
  options: S3UfsOptions,
  asked: ListOptions,
): AsyncGenerator<ListPage> {
  const { startAfter } = asked;
  let left = asked.limit ?? Number.POSITIVE_INFINITY;
  let last: string | undefined;
  let token: string | undefined;
  while (left > 0) {
    const page = await askPage(connection, { options, asked, token, limit: Math.min(pageEntriesMax, left) });
    const entries: ListEntry[] = [];
    for (const { name, entry } of mergePage(options, asked.prefix, page)) {
      // A prefix may come on two pages, and once more after a start at it or within it.
      if (entry.kind === 'prefix' && (name === last || isReached(name, startAfter))) continue;
      if (options.isListOrdered && (isReached(name, last) || isReached(name, startAfter))) {
        throw outOfOrder(options, name, last ?? startAfter ?? '');
      }
      last = name;
      if (entries.push(entry) === left) break;
    }
    left -= entries.length;
    if (entries.length > 0) yield entries;
    if (page.nextToken === undefined) return;
    if (page.nextToken === token) throw badAnswer(options.origin, 'the listing does not go on');
    token = page.nextToken;
  }
}

interface PageQuestion {
  readonly options: S3UfsOptions;
  readonly asked: ListOptions;
  readonly token: string | undefined;
  readonly limit: number;
}

async function askPage(connection: S3Connection, question: PageQuestion): Promise<S3ListPage> {
  const { keyPrefix } = question.options;
  const { prefix, startAfter, delimiter, signal } = question.asked;
  const query = {
    'list-type': '2',
    'encoding-type': 'url',
    'max-keys': String(question.limit),
    prefix: keyPrefix + prefix,
    ...(delimiter ? { delimiter } : {}),
    ...(startAfter ? { 'start-after': keyPrefix + startAfter } : {}),
    ...(question.token === undefined ? {} : { 'continuation-token': question.token }),
  };
  const call: S3Call = { action: 'list', request: { method: 'GET', key: undefined, query }, signal };
  const response = await connection.send(call);
  if (response.statusCode === 200) return parseListPage(await connection.text(call, response));
  const error = await connection.errorOf(call, response);
  throw error.code === 'FileNotFound' ? missingBucket(question.options, error) : error;
}

/** The entries of a page with their keys below the mount, in order. */
function mergePage(options: S3UfsOptions, prefix: string, page: S3ListPage): NamedEntry[] {
  const files: NamedEntry[] = [];
  for (const file of page.files) {
    const name = relativeKey(options, prefix, file.key);
    // The empty name is the marker of the mount's own directory.
    if (name !== '') files.push({ name, entry: { kind: 'file', file: { ...file, key: name } } });
  }
  const prefixes = page.prefixes.map((key): NamedEntry => {
    const name = relativeKey(options, prefix, key);
    return { name, entry: { kind: 'prefix', key: name } };
  });
  if (!options.isListOrdered) return [...files, ...prefixes];
  checkOrder(options, files);
  checkOrder(options, prefixes);
  if (prefixes.length === 0) return files;
  return [...files, ...prefixes].sort((one, other) => compareKeys(one.name, other.name));
}

function checkOrder(options: S3UfsOptions, entries: readonly NamedEntry[]): void {
  for (const [index, entry] of entries.entries()) {
    const before = entries[index - 1];
    if (before && compareKeys(before.name, entry.name) > 0)
      throw outOfOrder(options, entry.name, before.name);
  }
}

/** A store that reads `a//` as `a/` answers another question than was asked. */
function relativeKey(options: S3UfsOptions, prefix: string, key: string): string {
  const asked = options.keyPrefix + prefix;
  if (key.startsWith(asked)) return key.slice(options.keyPrefix.length);
  throw badAnswer(options.origin, `"${key}" in a listing of "${asked}"`);
}

function isReached(name: string, mark: string | undefined): boolean {
  return mark !== undefined && compareKeys(name, mark) <= 0;
}

function outOfOrder(options: S3UfsOptions, name: string, before: string): AlluxioError {
  return new AlluxioError(
    'UfsUnsupported',
    `${options.origin} does not list s3://${options.bucket} in the byte order of names ("${name}" comes after "${before}"); ` +
      'set alluxio.underfs.s3.list.ordered=false for this mount',
  );
}

/** Some stores answer a listing of a missing bucket with a bare 404. */
function missingBucket(options: S3UfsOptions, error: AlluxioError): AlluxioError {
  return new AlluxioError(
    'UfsBucketNotFound',
    `the bucket ${options.bucket} does not exist at ${options.origin}; check the URI and the endpoint of the mount`,
    { cause: error, context: error.context },
  );
}
