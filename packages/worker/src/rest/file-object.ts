/** A file or directory as the REST API writes it: the fields of both generations of Alluxio's Python client together. */

import { formatSize } from '@alluxio-ts/common/units';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import type { ServedMount } from '../cache/mount-table.ts';
import { fileNameOf } from '../cache/mount-table.ts';

export interface FileObject {
  readonly mType: 'file' | 'directory';
  readonly mName: string;
  /** In Alluxio's namespace: `/s3/dir/a.csv`. */
  readonly mPath: string;
  readonly mUfsPath: string;
  readonly mLastModificationTimeMs: number;
  readonly mCreationTimeMs: number;
  readonly mLastAccessTimeMs: number;
  readonly mLength: number;
  readonly mHumanReadableFileSize: string;
  readonly mCompleted: boolean;
  readonly mOwner: string;
  readonly mGroup: string;
  readonly mMode: number;
  readonly mPersisted: boolean;
  readonly mInAlluxioPercentage: number;
  /** An addition of ours; only where the share was asked for. */
  readonly mInAlluxioBytes?: number;
  readonly mContentHash: string;
}

/** How much of a file is cached here. */
export interface CachedShare {
  readonly bytes: number;
  /** Rounded down. */
  readonly percentage: number;
}

/** Mode of a file whose storage knows none: Alluxio's `alluxio.underfs.s3.default.mode`, 0700. */
const defaultMode = 0o700;

export function fileObject(
  mount: ServedMount,
  status: FileStatus,
  cached: CachedShare | undefined,
): FileObject {
  return {
    ...named(mount, status.key, 'file'),
    mLastModificationTimeMs: status.modifiedMs,
    mCreationTimeMs: status.modifiedMs,
    mLastAccessTimeMs: status.modifiedMs,
    mLength: status.sizeBytes,
    mHumanReadableFileSize: formatSize(status.sizeBytes),
    mInAlluxioPercentage: cached?.percentage ?? 0,
    ...(cached ? { mInAlluxioBytes: cached.bytes } : {}),
    mContentHash: status.etag ?? '',
  };
}

/** `key` without a trailing slash; '' is the mount itself. */
export function directoryObject(mount: ServedMount, key: string): FileObject {
  return {
    ...named(mount, key, 'directory'),
    mLastModificationTimeMs: 0,
    mCreationTimeMs: 0,
    mLastAccessTimeMs: 0,
    mLength: 0,
    mHumanReadableFileSize: formatSize(0),
    mInAlluxioPercentage: 0,
    mContentHash: '',
  };
}

function named(
  mount: ServedMount,
  key: string,
  type: 'file' | 'directory',
): Pick<
  FileObject,
  'mType' | 'mName' | 'mPath' | 'mUfsPath' | 'mCompleted' | 'mOwner' | 'mGroup' | 'mMode' | 'mPersisted'
> {
  return {
    mType: type,
    mName: key === '' ? mount.path.slice(1) : (key.split('/').at(-1) ?? key),
    mPath: key === '' ? mount.path : `${mount.path}/${key}`,
    mUfsPath: key === '' ? mount.uri.text : fileNameOf(mount, key).ufsPath,
    mCompleted: true,
    mOwner: '',
    mGroup: '',
    mMode: defaultMode,
    mPersisted: true,
  };
}
