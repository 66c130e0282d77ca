/** What is known of one file. */

import type { FileKey } from '@alluxio-ts/common/page';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';

export interface FileRecord {
  readonly status: FileStatus;
  /** Names the pages of this version; undefined when the file has no version, so that nothing of it may be kept. */
  readonly fileKey: FileKey | undefined;
  /** On the monotonic clock: when the under storage last confirmed this version. */
  readonly checkedAtMs: number;
}

export function isSameFileKey(one: FileKey | undefined, other: FileKey | undefined): boolean {
  return one !== undefined && one.a === other?.a && one.b === other.b && one.c === other.c;
}
