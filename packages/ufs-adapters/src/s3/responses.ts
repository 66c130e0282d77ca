/** Reads what S3 says of an object: headers of HEAD and GET, and the document of a listing. */

import { definedFields } from '@alluxio-ts/common/defined-fields';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { KIB } from '@alluxio-ts/common/units';
import type { FileHeaders, FileStatus } from '../ufs.ts';
import { childText, parseXml, type XmlElement } from './xml.ts';

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** What AWS lets a writer attach at most; what goes beyond is left out. */
const metadataMaxBytes = 2 * KIB;
const metadataPrefix = 'x-amz-meta-';

export function headerOf(headers: ResponseHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/**
 * The version is the ETag alone: it changes with the bytes. The id of a versioned bucket is left out, because listings do not tell it, and one
 * file would have two names. A weak ETag does not speak of bytes, and none is no version.
 */
export function versionOf(etag: string | undefined): string | undefined {
  return etag === undefined || !/^".*"$/.test(etag) ? undefined : `etag:${etag}`;
}

/** The ETag that a version was made of, for If-Match. */
export function etagOfVersion(version: string): string | undefined {
  return version.startsWith('etag:') ? version.slice('etag:'.length) : undefined;
}

export function statusOf(key: string, sizeBytes: number, headers: ResponseHeaders): FileStatus {
  const etag = headerOf(headers, 'etag');
  return {
    key,
    sizeBytes,
    modifiedMs: timeOf(headerOf(headers, 'last-modified')),
    version: versionOf(etag),
    etag,
    headers: fileHeadersOf(headers),
    isPartial: false,
  };
}

function fileHeadersOf(headers: ResponseHeaders): FileHeaders {
  return definedFields({
    contentType: headerOf(headers, 'content-type'),
    contentEncoding: headerOf(headers, 'content-encoding'),
    contentDisposition: headerOf(headers, 'content-disposition'),
    contentLanguage: headerOf(headers, 'content-language'),
    cacheControl: headerOf(headers, 'cache-control'),
    expires: headerOf(headers, 'expires'),
    metadata: metadataOf(headers),
  });
}

/** Undefined where there is none. */
function metadataOf(headers: ResponseHeaders): Record<string, string> | undefined {
  let metadata: Record<string, string> | undefined;
  let sizeBytes = 0;
  for (const name of Object.keys(headers)) {
    if (!name.startsWith(metadataPrefix)) continue;
    const value = headerOf(headers, name) ?? '';
    sizeBytes += name.length - metadataPrefix.length + Buffer.byteLength(value);
    if (sizeBytes > metadataMaxBytes) break;
    metadata ??= {};
    metadata[name.slice(metadataPrefix.length)] = value;
  }
  return metadata;
}

/** 0 where the store tells no time. */
function timeOf(text: string | undefined): number {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? 0 : time;
}

export interface S3ListPage {
  /** With full keys, in the order of the document. */
  readonly files: readonly FileStatus[];
  /** With full keys, in the order of the document. */
  readonly prefixes: readonly string[];
  /** Where the next page begins; undefined at the end. */
  readonly nextToken: string | undefined;
}

/** Throws UfsBadResponse for anything that is not a listing. */
export function parseListPage(document: string): S3ListPage {
  const root = parseXml(document);
  if (root.name !== 'ListBucketResult') throw badList(`<${root.name}>`);
  const decode = childText(root, 'EncodingType') === 'url' ? decodeUrl : (text: string) => text;
  const files: FileStatus[] = [];
  const prefixes: string[] = [];
  for (const child of root.children) {
    if (child.name === 'Contents') files.push(listedFile(child, decode));
    if (child.name === 'CommonPrefixes') prefixes.push(decode(childText(child, 'Prefix') ?? ''));
  }
  const isTruncated = childText(root, 'IsTruncated')?.trim() === 'true';
  const nextToken = childText(root, 'NextContinuationToken');
  if (isTruncated && !nextToken) throw badList('a page that says there is more, but not where');
  return { files, prefixes, nextToken: isTruncated ? nextToken : undefined };
}

function listedFile(element: XmlElement, decode: (text: string) => string): FileStatus {
  const key = childText(element, 'Key');
  const sizeText = childText(element, 'Size') ?? '';
  if (key === undefined || !/^\d+$/.test(sizeText)) throw badList('an object without name or size');
  const etag = quoted(childText(element, 'ETag'));
  return {
    key: decode(key),
    sizeBytes: Number(sizeText),
    modifiedMs: timeOf(childText(element, 'LastModified')),
    version: versionOf(etag),
    etag,
    headers: {},
    isPartial: true,
  };
}

/** Some stores leave the quotes out of listings. */
function quoted(etag: string | undefined): string | undefined {
  if (etag === undefined || etag === '') return undefined;
  return etag.startsWith('"') || etag.startsWith('W/') ? etag : `"${etag}"`;
}

/** As S3 encodes: `+` is a space, a plus is `%2B`. */
function decodeUrl(text: string): string {
  if (!/[%+]/.test(text)) return text;
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw badList('a name that is not encoded as announced');
  }
}

function badList(what: string): AlluxioError {
  return new AlluxioError('UfsBadResponse', `the under storage answered a listing with ${what}`);
}
