/**
 * The one place that writes the full name of a file. The ring key and the file id are hashes of this string, and
 * clients build it by themselves, so every letter counts: the mount's URI as it was given (scheme in lower case, one
 * slash between prefix and key) + the raw key. Keys are never normalised: `a//b`, `./` and `%2F` stay themselves.
 */

import { AlluxioError } from './errors.ts';

export interface MountUri {
  readonly scheme: string;
  /** `bucket` of `s3://bucket/prefix`; empty for `file:///path`. */
  readonly authority: string;
  /** Without the slashes around it; empty for the root. For `file:` the path without its leading slash. */
  readonly prefix: string;
  /** The URI in the form that file names begin with, without a trailing slash. */
  readonly text: string;
}

const schemeAliases: Readonly<Record<string, string>> = { s3a: 's3', s3n: 's3', cosn: 'cos' };

/** Reads the URI of a mount. `/path` stands for `file:///path`. Throws InvalidArgument with what is wrong. */
export function parseMountUri(uri: string): MountUri {
  const full = uri.startsWith('/') ? `file://${uri}` : uri;
  const match = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/]*)(\/.*)?$/.exec(full);
  if (!match?.[1]) {
    throw new AlluxioError(
      'InvalidArgument',
      `"${uri}" is not a UFS URI; write s3://bucket/prefix, file:///directory or /directory`,
    );
  }
  const scheme = match[1].toLowerCase();
  const authority = match[2] ?? '';
  const prefix = (match[3] ?? '').replace(/^\/+/, '').replace(/\/+$/, '');
  if (scheme === 'file' && authority !== '') {
    throw new AlluxioError(
      'InvalidArgument',
      `"${uri}" names a host; a local directory is written file:///directory`,
    );
  }
  if (scheme !== 'file' && authority === '') {
    throw new AlluxioError('InvalidArgument', `"${uri}" names no bucket; write ${scheme}://bucket/prefix`);
  }
  const root = `${scheme}://${authority}`;
  return { scheme, authority, prefix, text: prefix === '' ? root : `${root}/${prefix}` };
}

/** The full UFS path of a key below a mount. */
export function ufsPathOf(mount: MountUri, key: string): string {
  return `${mount.text}/${key}`;
}

/**
 * The key of a full UFS path below a mount, or undefined when the path is not below it. A client may write an alias of the
 * scheme (`s3a` for `s3`) or a bare path for `file:`; keys are compared and returned as they stand. The mount itself has the key ''.
 */
export function keyBelowMount(mount: MountUri, path: string): string | undefined {
  const full = path.startsWith('/') ? `file://${path}` : path;
  const colon = full.indexOf('://');
  if (colon < 0) return undefined;
  const scheme = full.slice(0, colon).toLowerCase();
  if (canonicalScheme(scheme) !== canonicalScheme(mount.scheme)) return undefined;
  const rest = full.slice(colon);
  const mountRest = mount.text.slice(mount.scheme.length);
  if (rest === mountRest) return '';
  return rest.startsWith(`${mountRest}/`) ? rest.slice(mountRest.length + 1) : undefined;
}

export function canonicalScheme(scheme: string): string {
  return schemeAliases[scheme] ?? scheme;
}

/** Whether one of two mounts lies within the other (or is the same) in the under storage. */
export function areNested(one: MountUri, other: MountUri): boolean {
  return keyBelowMount(one, other.text) !== undefined || keyBelowMount(other, one.text) !== undefined;
}
