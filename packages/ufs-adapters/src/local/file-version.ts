/** What tells one state of a local file from another. */

import { createHash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import type { FileStatus } from '../ufs.ts';

/** A file system whose times have no fraction may hide a second change within the same second; so long it is not trusted. */
const settleTimeMs = 2000;
const nsPerSecond = 1_000_000_000n;
const nsPerMs = 1_000_000n;

/** Differs whenever the bytes may differ. The device number is left out: it changes when a file system is mounted anew. */
export function identityOf(stats: BigIntStats): string {
  return [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].map((part) => part.toString(16)).join('-');
}

/**
 * Whether a later change is bound to show. With times in whole seconds a write can follow within the second of the last one
 * and leave no trace, so a file that young has no version yet. Only ctime counts for the age: mtime can be set at will.
 */
export function isSettled(stats: Pick<BigIntStats, 'mtimeNs' | 'ctimeNs'>, nowMs: number): boolean {
  const hasFraction = stats.mtimeNs % nsPerSecond !== 0n || stats.ctimeNs % nsPerSecond !== 0n;
  return hasFraction || nowMs - Number(stats.ctimeNs / nsPerMs) >= settleTimeMs;
}

export function localStatus(key: string, stats: BigIntStats, nowMs: number): FileStatus {
  const identity = identityOf(stats);
  return {
    key,
    sizeBytes: Number(stats.size),
    modifiedMs: Number(stats.mtimeNs / nsPerMs),
    version: isSettled(stats, nowMs) ? `local:${identity}` : undefined,
    etag: etagOf(identity, stats.size),
    headers: {},
    isPartial: false,
  };
}

/** Contains a `-`, so that no client takes it for the MD5 of the bytes. */
function etagOf(identity: string, size: bigint): string {
  return `"${createHash('sha256').update(identity).digest('hex').slice(0, 32)}-${size.toString(16)}"`;
}
