/**
 * What a mount may be: Alluxio's rules (a direct child of `/`, never nested with another in either namespace), and the
 * bounds of this project. Pure; each refusal says which rule and, where another mount is in the way, which one.
 */

import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Mount } from '@alluxio-ts/common/protocol/mounts';
import { isSealed } from '@alluxio-ts/common/secret-box';
import { areNested, parseMountUri } from '@alluxio-ts/common/ufs-path';

export const mountsMax = 1000;
export const mountOptionsMax = 100;
export const mountTextMaxBytes = 8 * 1024;

/**
 * The name is a bucket of the S3 API and a directory of the file system, so it is held to what fits into both: up to
 * 63 letters, digits, `-`, `_` and `.`, with a letter or digit first.
 */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** `/s3` from `/s3` or `/s3/`. Fails with InvalidArgument naming the rule. */
export function normaliseMountPath(path: string): string {
  const rule = 'a mount is a direct child of the root, such as /s3';
  if (path === '/') throw refused(`/ itself cannot be mounted: ${rule}`);
  if (!path.startsWith('/')) throw refused(`"${printable(path)}" does not begin with a slash: ${rule}`);
  const name = path.slice(1).replace(/\/$/, '');
  if (name.includes('/')) throw refused(`"${printable(path)}" lies deeper: ${rule}`);
  if (!namePattern.test(name)) {
    throw refused(
      `"${printable(path)}" is no name for a mount: use 1 to 63 letters, digits, "-", "_" and ".", beginning with a letter or digit`,
    );
  }
  return `/${name}`;
}

/** Whether `mount` may stand beside the others. `mount.path` is normalised. */
export function checkMount(mount: Mount, others: readonly Mount[]): void {
  checkBounds(mount);
  const uri = parseMountUri(mount.ufsUri);
  const samePath = others.find((other) => other.path === mount.path);
  if (samePath) {
    throw new AlluxioError(
      'AlreadyExists',
      `${mount.path} is mounted already, from ${samePath.ufsUri}; remove that mount first or choose another path`,
    );
  }
  const nested = others.find((other) => areNested(uri, parseMountUri(other.ufsUri)));
  if (nested) {
    throw new AlluxioError(
      'AlreadyExists',
      `${mount.ufsUri} and ${nested.ufsUri}, mounted at ${nested.path}, contain one another: a file must have one path only`,
    );
  }
  if (others.length >= mountsMax)
    throw refused(`there are ${mountsMax} mounts, their bound; remove one first`);
}

function checkBounds(mount: Mount): void {
  // The values are not in any message: they may be secrets.
  if (Buffer.byteLength(mount.ufsUri) > mountTextMaxBytes) {
    throw refused(`the UFS URI is longer than ${mountTextMaxBytes} bytes`);
  }
  if (/\p{Cc}/u.test(mount.ufsUri)) throw refused('the UFS URI holds control characters');
  if (/^[^/]*:\/\/[^/]*:[^/]*@/.test(mount.ufsUri)) {
    throw refused('the UFS URI holds a password; URIs are shown in lists, so give credentials as options');
  }
  const options = Object.entries(mount.options);
  if (options.length > mountOptionsMax) throw refused(`a mount has at most ${mountOptionsMax} options`);
  for (const [name, value] of options) {
    if (!/^[\x21-\x3c\x3e-\x7e]{1,256}$/.test(name)) {
      throw refused('the name of an option has 1 to 256 printable letters without spaces and "="');
    }
    if (Buffer.byteLength(value) > mountTextMaxBytes) {
      throw refused(`the value of ${name} is longer than ${mountTextMaxBytes} bytes`);
    }
    if (isSealed(value)) throw refused(`the value of ${name} looks like a sealed one; give the plain value`);
  }
}

function printable(text: string): string {
  return text.slice(0, 100).replaceAll(/\p{Cc}/gu, '?');
}

function refused(message: string): AlluxioError {
  return new AlluxioError('InvalidArgument', message);
}
