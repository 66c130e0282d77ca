/**
 * A page is a fixed-size cut of one version of one file, and its name contains that version. So the bytes under a
 * name never change, data needs no invalidation, and a retry is always safe.
 */

import { hash } from 'node:crypto';
import { KIB, MIB } from './units.ts';

/** The size at which files are cut unless configured otherwise (Alluxio Enterprise's chart sets the same). */
export const pageSizeDefaultBytes = 4 * MIB;

/** The unit of checking: a page carries one CRC-32 for each block of this size, the last one shorter. */
export const blockSizeBytes = 64 * KIB;

/**
 * One version of one file, as the page store names it: the first 96 bits of
 * sha256(ufsPath ‖ 0 ‖ version ‖ 0 ‖ page size), as three words. 96 bits keep the chance that any two of ten million files
 * share a name below 1e-14, and let an index entry be four words with the page's number.
 */
export interface FileKey {
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

/** Name of a page: `index` counts from 0. */
export interface PageId {
  readonly file: FileKey;
  readonly index: number;
}

/** What a page belongs to, in full: goes into its record on disk, where identity is checked to the letter. */
export interface PageOrigin {
  /** The canonical UFS path. */
  readonly ufsPath: string;
  /** The version of the file, as its adapter writes it. */
  readonly version: string;
  readonly pageSizeBytes: number;
}

/** Keys that were made last: whoever fetches a file asks three times for its key within milliseconds, and making one takes longer than all else that is done with it. */
const recentKeys = new Map<string, FileKey>();
const recentKeysMax = 1024;

export function fileKeyOf(origin: PageOrigin): FileKey {
  const text = `${origin.ufsPath}\0${origin.version}\0${origin.pageSizeBytes}`;
  const recent = recentKeys.get(text);
  if (recent) return recent;
  const key = hashedName(text);
  if (recentKeys.size >= recentKeysMax) recentKeys.clear();
  recentKeys.set(text, key);
  return key;
}

/** The first 96 bits of the sha256 of a text, as three words. */
export function hashedName(text: string): FileKey {
  // As a string of bytes: a buffer would cost four times as much, and the garbage collector some more.
  const digest = hash('sha256', text, 'latin1');
  return { a: wordAt(digest, 0), b: wordAt(digest, 4), c: wordAt(digest, 8) };
}

function wordAt(bytes: string, at: number): number {
  const low = bytes.charCodeAt(at) | (bytes.charCodeAt(at + 1) << 8);
  const high = bytes.charCodeAt(at + 2) | (bytes.charCodeAt(at + 3) << 8);
  return (low | (high << 16)) >>> 0;
}

/** A file's id on the wire: sha256 of its UFS path in lower-case hex (Alluxio's `AlluxioURI.hash`, alluxiofs' `_get_path_hash`). */
export function fileIdOf(ufsPath: string): string {
  return hash('sha256', ufsPath);
}

/** How many pages a file of this size has. An empty file has none. */
export function pageCountOf(fileSizeBytes: number, pageSizeBytes: number): number {
  return Math.ceil(fileSizeBytes / pageSizeBytes);
}

/** The bytes that a page of this file holds: the page size, less for the last one. */
export function pageLengthOf(fileSizeBytes: number, pageSizeBytes: number, index: number): number {
  return Math.max(0, Math.min(pageSizeBytes, fileSizeBytes - index * pageSizeBytes));
}
