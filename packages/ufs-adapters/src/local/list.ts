/**
 * Lists a directory tree in the byte order of full keys without reading what the caller does not ask for. A directory takes
 * part in the order as `name/`, so `a-b` comes before what is in `a`, and `a0` after it. Of each directory on
 * the way down the names are in memory, and no more. Subtrees that lie wholly before `startAfter` are not entered.
 */

import { isUtf8 } from 'node:buffer';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrorCode } from '@alluxio-ts/common/errors';
import { commonPrefixOf, compareKeys } from '../byte-order.ts';
import type { FileStatus, ListEntry, ListOptions, ListPage } from '../ufs.ts';
import { isAbsent, localError } from './errors.ts';
import { localStatus } from './file-version.ts';
import { type LocalPaths, temporaryPrefix } from './local-paths.ts';

/** How many files are asked for their status at once: hides the latency of a network file system. */
const statConcurrencyMax = 32;

interface Walk {
  readonly paths: LocalPaths;
  readonly options: ListOptions;
  readonly now: () => number;
  readonly batchSize: number;
}

interface Place {
  /** '' or ends with '/'. */
  readonly key: string;
  readonly realPath: string;
  /** The real paths above, for symbolic links that lead to one of them. */
  readonly above: readonly string[];
}

interface Child {
  /** The full key; a directory's ends with '/'. */
  readonly key: string;
  readonly realPath: string;
  readonly isDirectory: boolean;
}

export async function* listLocal(
  paths: LocalPaths,
  options: ListOptions,
  now: () => number,
): AsyncGenerator<ListPage> {
  let left = options.limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  const batchSize = Math.min(statConcurrencyMax, left);
  const start = options.prefix.slice(0, options.prefix.lastIndexOf('/') + 1);
  const realPath = await findDirectory(paths, start);
  if (realPath === undefined) return;
  const walk: Walk = { paths, options, now, batchSize };
  let last: string | undefined;
  for await (const page of walkDirectory(walk, { key: start, realPath, above: [] })) {
    const entries: ListEntry[] = [];
    for (const entry of page) {
      const cut = entry.kind === 'file' ? commonPrefixOf(entry.file.key, options) : entry.key;
      const name = entry.kind === 'file' ? (cut ?? entry.file.key) : entry.key;
      if (name === last || !isAfter(name, options.startAfter)) continue;
      last = name;
      if (entries.push(cut === undefined ? entry : { kind: 'prefix', key: cut }) === left) break;
    }
    left -= entries.length;
    if (entries.length > 0) yield entries;
    if (left <= 0) return;
  }
}

/** The real path of a directory, given as '' or with its slash at the end; undefined when it is none. */
async function findDirectory(paths: LocalPaths, key: string): Promise<string | undefined> {
  if (key === '') return paths.realRoot();
  if (key === '/') return undefined;
  try {
    return await paths.find(key.slice(0, -1));
  } catch (thrown) {
    if (hasErrorCode(thrown, 'AccessDenied')) return undefined;
    throw thrown;
  }
}

async function* walkDirectory(walk: Walk, place: Place): AsyncGenerator<ListPage> {
  const children = await childrenOf(walk, place);
  let files: Child[] = [];
  for (const child of children) {
    walk.options.signal?.throwIfAborted();
    if (!child.isDirectory) {
      files.push(child);
      if (files.length < walk.batchSize) continue;
    }
    yield await statFiles(walk, files);
    files = [];
    if (child.isDirectory) yield* enterDirectory(walk, place, child);
  }
  yield await statFiles(walk, files);
}

async function* enterDirectory(walk: Walk, place: Place, child: Child): AsyncGenerator<ListPage> {
  if (walk.options.delimiter === '/') {
    // What is in it would be cut alike, so nobody needs to look.
    yield [{ kind: 'prefix', key: child.key }];
    return;
  }
  const above = [...place.above, place.realPath];
  if (above.includes(child.realPath)) return;
  yield* walkDirectory(walk, { key: child.key, realPath: child.realPath, above });
}

/** What of a directory can matter to this listing, in order. */
async function childrenOf(walk: Walk, place: Place): Promise<Child[]> {
  const { prefix, startAfter } = walk.options;
  const children: Child[] = [];
  for (const entry of await readNames(walk.paths, place)) {
    if (!isUtf8(entry.name)) continue;
    const name = entry.name.toString();
    const key = place.key + name;
    // Cheap checks first: a link or an entry of unknown kind costs calls to the file system.
    if (name.startsWith(temporaryPrefix) || !(key.startsWith(prefix) || prefix.startsWith(key))) continue;
    const child = entry.isFile()
      ? { key, realPath: join(place.realPath, name), isDirectory: false }
      : entry.isDirectory()
        ? { key: `${key}/`, realPath: join(place.realPath, name), isDirectory: true }
        : await resolveChild(walk.paths, key);
    if (child && isWanted(child, prefix, startAfter)) children.push(child);
  }
  return children.sort((one, other) => compareKeys(one.key, other.key));
}

function isWanted(child: Child, prefix: string, startAfter: string | undefined): boolean {
  if (!child.key.startsWith(prefix)) return false;
  return isAfter(child.key, startAfter) || (child.isDirectory && startAfter?.startsWith(child.key) === true);
}

async function readNames(paths: LocalPaths, place: Place) {
  try {
    return await readdir(place.realPath, { withFileTypes: true, encoding: 'buffer' });
  } catch (thrown) {
    if (isAbsent(thrown)) return [];
    throw localError(thrown, `list ${paths.pathOf(place.key)}`);
  }
}

/** A link, or an entry whose kind the file system does not tell in its listing. Undefined for what is no file and no directory. */
async function resolveChild(paths: LocalPaths, key: string): Promise<Child | undefined> {
  try {
    const realPath = await paths.find(key);
    if (realPath === undefined) return undefined;
    const stats = await stat(realPath);
    if (stats.isFile()) return { key, realPath, isDirectory: false };
    return stats.isDirectory() ? { key: `${key}/`, realPath, isDirectory: true } : undefined;
  } catch (thrown) {
    if (isAbsent(thrown) || hasErrorCode(thrown, 'AccessDenied')) return undefined;
    throw localError(thrown, `list ${paths.pathOf(key)}`);
  }
}

async function statFiles(walk: Walk, files: readonly Child[]): Promise<ListPage> {
  const statuses = await Promise.all(files.map((file) => statFile(walk, file)));
  return statuses.flatMap((file): ListPage => (file ? [{ kind: 'file', file }] : []));
}

/** Undefined when it was removed meanwhile. */
async function statFile(walk: Walk, file: Child): Promise<FileStatus | undefined> {
  try {
    const stats = await stat(file.realPath, { bigint: true });
    return stats.isFile() ? localStatus(file.key, stats, walk.now()) : undefined;
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined;
    throw localError(thrown, `read the status of ${walk.paths.pathOf(file.key)}`);
  }
}

function isAfter(name: string, startAfter: string | undefined): boolean {
  return startAfter === undefined || compareKeys(name, startAfter) > 0;
}
