/**
 * The texts of a file's status in few bytes, for the index in memory: an S3 object's takes some 24, a local file's 70. Runs of hex digits take half a byte a digit,
 * usual content types one byte.
 *
 * Two bytes of flags, then the fields that are there, each ended by 0. A field is tokens: 0x01–0x1f a content type of the table, 0x20–0x7e itself,
 * 0x80 + n a run of n hex digits, two in a byte, an odd last one with a 0.
 */

import type { FileHeaders, FileStatus } from '@alluxio-ts/ufs-adapters/ufs';

export type StatusTexts = Pick<FileStatus, 'version' | 'etag' | 'headers'>;

/** Only appended to: nothing of it is on disk, but order is cheap to keep. At most 31. */
const usualContentTypes = [
  'application/octet-stream',
  'binary/octet-stream',
  'image/jpeg',
  'image/png',
  'text/plain',
  'text/plain; charset=utf-8',
  'text/csv',
  'application/json',
  'application/x-tar',
  'application/gzip',
  'application/zip',
  'application/vnd.apache.parquet',
  'audio/flac',
  'audio/wav',
  'video/mp4',
] as const;
const codeOfContentType = new Map<string, number>(usualContentTypes.map((type, at) => [type, at + 1]));

const headerFields = [
  'contentType',
  'contentEncoding',
  'contentDisposition',
  'contentLanguage',
  'cacheControl',
  'expires',
] as const satisfies readonly (keyof FileHeaders)[];

const etagFlag = 1;
const versionFlag = 2;
/** The version is `etag:` and the ETag, as the S3 adapter writes it. */
const versionOfEtagFlag = 4;
const emptyMetadataFlag = 8;

const endOfField = 0;
const hexRunFlag = 0x80;
const hexRunMin = 3;
const hexRunMax = 0x7f;

/** The longest that is kept in few bytes. */
export const textsMaxBytes = 128;

const scratch = Buffer.alloc(textsMaxBytes);

/** Valid until the next call; undefined for what does not fit or has user metadata or letters beyond ASCII. */
export function encodeTexts({ etag, headers, version }: StatusTexts): Buffer | undefined {
  const { metadata } = headers;
  if (metadata && Object.keys(metadata).length > 0) return undefined;
  const isVersionOfEtag = etag !== undefined && version === `etag:${etag}`;
  scratch[0] =
    (etag === undefined ? 0 : etagFlag) |
    (version === undefined || isVersionOfEtag ? 0 : versionFlag) |
    (isVersionOfEtag ? versionOfEtagFlag : 0) |
    (metadata ? emptyMetadataFlag : 0);
  scratch[1] = 0;
  let at = 2;
  if (etag !== undefined) at = encodeField(etag, at);
  if (version !== undefined && !isVersionOfEtag) at = encodeField(version, at);
  for (const [number, field] of headerFields.entries()) {
    const value = headers[field];
    if (value === undefined) continue;
    scratch[1] |= 1 << number;
    const code = field === 'contentType' ? codeOfContentType.get(value) : undefined;
    at = code === undefined ? encodeField(value, at) : encodeCode(code, at);
  }
  return at > textsMaxBytes ? undefined : scratch.subarray(0, at);
}

const tooLong = textsMaxBytes + 1;

function encodeCode(code: number, at: number): number {
  if (at + 2 > textsMaxBytes) return tooLong;
  scratch[at] = code;
  scratch[at + 1] = endOfField;
  return at + 2;
}

/** Gives where the next field begins, past the end of the scratch when this one cannot be encoded. */
function encodeField(text: string, from: number): number {
  let at = from;
  for (let next = 0; next < text.length; ) {
    if (at >= textsMaxBytes) return tooLong;
    const run = hexRunAt(text, next);
    if (run >= hexRunMin) {
      scratch[at++] = hexRunFlag | run;
      const digits = text.slice(next, next + run) + (run % 2 === 0 ? '' : '0');
      if (at + digits.length / 2 > textsMaxBytes) return tooLong;
      at += scratch.write(digits, at, 'hex');
      next += run;
    } else {
      const letter = text.charCodeAt(next++);
      if (letter < 0x20 || letter > 0x7e) return tooLong;
      scratch[at++] = letter;
    }
  }
  if (at >= textsMaxBytes) return tooLong;
  scratch[at++] = endOfField;
  return at;
}

function hexRunAt(text: string, from: number): number {
  let to = from;
  while (to < text.length && to - from < hexRunMax && isHexDigit(text.charCodeAt(to))) to++;
  return to - from;
}

function isHexDigit(letter: number): boolean {
  return (letter >= 0x30 && letter <= 0x39) || (letter >= 0x61 && letter <= 0x66);
}

/** What `encodeTexts` was given, of bytes that begin there. */
export function decodeTexts(bytes: Buffer, from: number): StatusTexts {
  const flags = bytes[from] ?? 0;
  const headerFlags = bytes[from + 1] ?? 0;
  const reader = { bytes, at: from + 2 };
  const etag = flags & etagFlag ? decodeField(reader) : undefined;
  let version = flags & versionFlag ? decodeField(reader) : undefined;
  if (flags & versionOfEtagFlag) version = `etag:${etag}`;
  const headers: { -readonly [name in keyof FileHeaders]: FileHeaders[name] } = {};
  if (headerFlags !== 0) {
    for (const [number, field] of headerFields.entries()) {
      if (headerFlags & (1 << number)) headers[field] = decodeField(reader);
    }
  }
  if (flags & emptyMetadataFlag) headers.metadata = {};
  return { version, etag, headers };
}

function decodeField(reader: { readonly bytes: Buffer; at: number }): string {
  const { bytes } = reader;
  let text = '';
  for (;;) {
    const token = bytes[reader.at++] ?? endOfField;
    if (token === endOfField) return text;
    if (token >= hexRunFlag) {
      const run = token & ~hexRunFlag;
      const end = reader.at + ((run + 1) >> 1);
      const digits = bytes.toString('hex', reader.at, end);
      text += run % 2 === 0 ? digits : digits.slice(0, run);
      reader.at = end;
    } else {
      text += token < 0x20 ? usualContentTypes[token - 1] : String.fromCharCode(token);
    }
  }
}
