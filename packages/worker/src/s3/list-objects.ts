/** ListObjects and ListObjectsV2: one listing of the under storage, in its own order, cut to what was asked. */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { ListEntry } from '@alluxio-ts/ufs-adapters/ufs';
import type { FileCache } from '../cache/file-cache.ts';
import type { ServedMount } from '../cache/mount-table.ts';
import type { S3Target } from './s3-target.ts';
import type { XmlElement } from './s3-xml.ts';
import { s3Namespace, xmlDocument } from './s3-xml.ts';

/** S3's own bound on what one answer lists; a larger wish is cut to it. */
const keysMax = 1000;

interface ListRequest {
  readonly prefix: string;
  readonly delimiter: string | undefined;
  readonly keysMax: number;
  readonly isUrlEncoded: boolean;
  readonly startAfter: string | undefined;
}

interface Listed {
  readonly entries: readonly ListEntry[];
  readonly isTruncated: boolean;
}

export async function listObjects(
  target: S3Target,
  mount: ServedMount,
  cache: FileCache,
  options: { readonly signal: AbortSignal },
): Promise<string> {
  const { query } = target;
  const isV2 = query.get('list-type') === '2';
  const token = query.get('continuation-token');
  const request: ListRequest = {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') || undefined,
    keysMax: parseKeysMax(query.get('max-keys')),
    isUrlEncoded: parseEncodingType(query.get('encoding-type')),
    startAfter: isV2 ? (parseToken(token) ?? query.get('start-after')) : query.get('marker'),
  };
  const listed = await takeEntries(request, mount, cache, options.signal);
  const encode = request.isUrlEncoded ? encodeKey : (text: string): string => text;
  const last = listed.entries.at(-1);
  const lastKey = last && (last.kind === 'file' ? last.file.key : last.key);
  const elements: XmlElement[] = [
    ['Name', target.bucket],
    ['Prefix', encode(request.prefix)],
    ['MaxKeys', request.keysMax],
    ...optional('Delimiter', request.delimiter && encode(request.delimiter)),
    ...optional('EncodingType', request.isUrlEncoded ? 'url' : undefined),
    ['IsTruncated', listed.isTruncated],
  ];
  if (isV2) {
    elements.push(
      ['KeyCount', listed.entries.length],
      ...optional('ContinuationToken', token),
      ...optional(
        'StartAfter',
        query.has('start-after') ? encode(query.get('start-after') ?? '') : undefined,
      ),
      ...optional('NextContinuationToken', listed.isTruncated && lastKey ? makeToken(lastKey) : undefined),
    );
  } else {
    elements.push(
      ['Marker', encode(query.get('marker') ?? '')],
      ...optional(
        'NextMarker',
        listed.isTruncated && request.delimiter && lastKey ? encode(lastKey) : undefined,
      ),
    );
  }
  for (const entry of listed.entries) {
    if (entry.kind === 'file') elements.push(['Contents', contents(entry, encode)]);
  }
  for (const entry of listed.entries) {
    if (entry.kind === 'prefix') elements.push(['CommonPrefixes', [['Prefix', encode(entry.key)]]]);
  }
  return xmlDocument(['ListBucketResult', elements], { namespace: s3Namespace });
}

/** One entry more than asked for, to know whether there is one. */
async function takeEntries(
  request: ListRequest,
  mount: ServedMount,
  cache: FileCache,
  signal: AbortSignal,
): Promise<Listed> {
  const entries: ListEntry[] = [];
  if (request.keysMax === 0) return { entries, isTruncated: false };
  const listing = cache.list(mount, {
    prefix: request.prefix,
    limit: request.keysMax + 1,
    signal,
    ...(request.delimiter === undefined ? {} : { delimiter: request.delimiter }),
    ...(request.startAfter === undefined ? {} : { startAfter: request.startAfter }),
  });
  for await (const page of listing) entries.push(...page);
  return { entries: entries.slice(0, request.keysMax), isTruncated: entries.length > request.keysMax };
}

function contents(
  entry: Extract<ListEntry, { readonly kind: 'file' }>,
  encode: (text: string) => string,
): readonly XmlElement[] {
  const { file } = entry;
  return [
    ['Key', encode(file.key)],
    ['LastModified', new Date(file.modifiedMs).toISOString()],
    ...optional('ETag', file.etag),
    ['Size', file.sizeBytes],
    ['StorageClass', 'STANDARD'],
  ];
}

function optional(name: string, value: string | undefined): readonly XmlElement[] {
  return value === undefined || value === '' ? [] : [[name, value]];
}

function parseKeysMax(text: string | undefined): number {
  if (text === undefined || text === '') return keysMax;
  const wanted = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(wanted) || wanted > 2 ** 31 - 1) {
    throw new AlluxioError(
      'InvalidArgument',
      `max-keys must be a whole number from 0 to 2147483647, not "${text}"`,
    );
  }
  return Math.min(keysMax, wanted);
}

function parseEncodingType(text: string | undefined): boolean {
  if (text === undefined || text === '') return false;
  if (text !== 'url')
    throw new AlluxioError('InvalidArgument', `encoding-type may only be "url", not "${text}"`);
  return true;
}

/** A token is the last entry given, so that any worker can go on from it. */
function makeToken(key: string): string {
  return `1${Buffer.from(key).toString('base64url')}`;
}

function parseToken(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  if (!/^1[A-Za-z0-9_-]+$/.test(token)) {
    throw new AlluxioError('InvalidArgument', 'the continuation token is not one that was given here');
  }
  return Buffer.from(token.slice(1), 'base64url').toString();
}

/** As S3 encodes keys in a listing: what RFC 3986 reserves becomes %XX, the slash stays. */
function encodeKey(key: string): string {
  return encodeURIComponent(key.toWellFormed())
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
