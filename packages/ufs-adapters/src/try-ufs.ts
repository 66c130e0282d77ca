/**
 * Tries what a cache needs of a storage, for real: an ordered listing, versions that can be held to, parts of files, a clear word for what is missing, and names that
 * come back as they were. Reading alone changes nothing; writing makes files of its own and removes them.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode, toAlluxioError } from '@alluxio-ts/common/errors';
import { KIB } from '@alluxio-ts/common/units';
import { commonPrefixOf, compareKeys } from './byte-order.ts';
import type { FileStatus, ListOptions, Ufs } from './ufs.ts';

export interface UfsTrial {
  readonly name: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly durationMs: number;
  readonly finding: string;
}

export interface TryUfsOptions {
  readonly clock: Clock;
  /** Names that nobody else has: part of those that are written, and of one that must not be there. */
  readonly id: string;
  readonly writes: boolean;
  readonly signal?: AbortSignal;
}

/** What of a listing is looked at. */
const keysMax = 1000;
const partMaxBytes = 64 * KIB;

/** One after the other, each as it is done. Never throws for what the storage does. */
export async function* tryUfs(ufs: Ufs, options: TryUfsOptions): AsyncGenerator<UfsTrial> {
  const attempt = trialOf(options.clock);
  const seen: FileStatus[] = [];
  const listed = await attempt('list', async () => {
    seen.push(...(await listFiles(ufs, { prefix: '', limit: keysMax, ...signalOf(options) })));
    if (seen.length === 0) throw new Doubt('there is no file to read; put one there, or give --write');
    return `${seen.length} files${seen.length === keysMax ? ', and maybe more' : ''}`;
  });
  yield listed;
  // What cannot be listed fails everywhere, in the same words.
  if (listed.level === 'error') return;
  yield await attempt('missing file', () => tryMissing(ufs, options));
  if (seen.length > 0) yield* tryReading(ufs, seen, options);
  if (options.writes) yield* tryWriting(ufs, options);
}

/** Works, but not as well as it should. */
class Doubt extends Error {}

type Attempt = (name: string, run: () => Promise<string>) => Promise<UfsTrial>;

function trialOf(clock: Clock): Attempt {
  return async (name, run) => {
    const begunMs = clock.monotonic();
    const done = (level: UfsTrial['level'], finding: string): UfsTrial => {
      return { name, level, durationMs: Math.round(clock.monotonic() - begunMs), finding };
    };
    try {
      return done('ok', await run());
    } catch (thrown) {
      if (thrown instanceof Doubt) return done('warning', thrown.message);
      return done('error', toAlluxioError(thrown).message);
    }
  };
}

/** The files of a listing, and what it is to be: without a delimiter there is nothing else. */
async function listFiles(ufs: Ufs, options: ListOptions): Promise<readonly FileStatus[]> {
  const files: FileStatus[] = [];
  for await (const page of ufs.list(options)) {
    for (const entry of page) if (entry.kind === 'file') files.push(entry.file);
  }
  return files;
}

async function* tryReading(
  ufs: Ufs,
  seen: readonly FileStatus[],
  options: TryUfsOptions,
): AsyncGenerator<UfsTrial> {
  const attempt = trialOf(options.clock);
  yield await attempt('order', async () => {
    if (!ufs.capability.orderedList)
      throw new Doubt('listings are in no order, so a directory is held whole');
    checkOrder(seen.map(({ key }) => key));
    return 'listings are in byte order';
  });
  yield await attempt('resume', () => tryResume(ufs, seen, options));
  if (ufs.capability.orderedList) yield await attempt('delimiter', () => tryDelimiter(ufs, seen, options));
  const file = seen.find(({ sizeBytes }) => sizeBytes > 1) ?? seen[0];
  if (!file) return;
  yield await attempt('status', () => tryStatus(ufs, file, options));
  yield await attempt('part of a file', () => tryParts(ufs, file, options));
  yield await attempt('version', () => tryVersion(ufs, file, options));
}

function checkOrder(keys: readonly string[]): void {
  for (let index = 1; index < keys.length; index++) {
    const [before = '', key = ''] = [keys[index - 1], keys[index]];
    if (compareKeys(before, key) >= 0) throw wrong(`"${key}" is listed behind "${before}"`);
  }
}

async function tryResume(ufs: Ufs, seen: readonly FileStatus[], options: TryUfsOptions): Promise<string> {
  const at = Math.floor(seen.length / 2);
  const startAfter = seen[at]?.key ?? '';
  const rest = seen.slice(at + 1, at + 11).map(({ key }) => key);
  const listed = await listFiles(ufs, { prefix: '', startAfter, limit: 10, ...signalOf(options) });
  const keys = listed.map(({ key }) => key).slice(0, rest.length);
  if (keys.join('\0') === rest.join('\0')) return `goes on behind "${startAfter}"`;
  throw wrong(`behind "${startAfter}" come ${textOf(keys)} instead of ${textOf(rest)}`);
}

async function tryDelimiter(ufs: Ufs, seen: readonly FileStatus[], options: TryUfsOptions): Promise<string> {
  const cut = { prefix: '', delimiter: '/' };
  const expected = [...new Set(seen.map(({ key }) => commonPrefixOf(key, cut) ?? key))].slice(0, 100);
  const listed: string[] = [];
  for await (const page of ufs.list({ ...cut, limit: expected.length, ...signalOf(options) })) {
    listed.push(...page.map((entry) => (entry.kind === 'file' ? entry.file.key : entry.key)));
  }
  if (listed.join('\0') === expected.join('\0')) return `${listed.length} entries at the top`;
  throw wrong(`the top holds ${textOf(listed)} instead of ${textOf(expected)}`);
}

async function tryMissing(ufs: Ufs, { id, ...options }: TryUfsOptions): Promise<string> {
  const key = `alluxio-ufs-test-${id}-missing`;
  const found = await ufs.stat(key, signalOf(options));
  if (found) throw wrong(`a file that nobody made is there: ${key}`);
  const refused = await ufs.read(key, { offset: 0, lengthBytes: 1, ...signalOf(options) }).then(
    async ({ body }) => {
      await bytesOf(body);
      return undefined;
    },
    (thrown: unknown) => thrown,
  );
  if (hasErrorCode(refused, 'FileNotFound')) return 'is said to be missing';
  throw refused ?? wrong('a file that is not there can be read');
}

async function tryStatus(ufs: Ufs, file: FileStatus, options: TryUfsOptions): Promise<string> {
  const found = await ufs.stat(file.key, signalOf(options));
  if (!found) throw wrong(`"${file.key}" is listed, and said to be missing`);
  if (found.sizeBytes !== file.sizeBytes || found.version !== file.version) {
    throw wrong(`"${file.key}" has another size or version when it is asked for than in the listing`);
  }
  return `"${file.key}", ${found.sizeBytes} bytes`;
}

async function tryParts(ufs: Ufs, file: FileStatus, options: TryUfsOptions): Promise<string> {
  const { key, sizeBytes } = file;
  const offset = Math.floor(sizeBytes / 2);
  const lengthBytes = Math.min(partMaxBytes, sizeBytes - offset);
  if (lengthBytes === 0) throw new Doubt('every file that was listed is empty, so none can be read in part');
  const part = await readPart(ufs, file, { offset, lengthBytes }, options);
  // The same bytes, cut otherwise.
  const from = Math.max(0, offset - 1);
  const wider = await readPart(
    ufs,
    file,
    { offset: from, lengthBytes: lengthBytes + offset - from },
    options,
  );
  if (!wider.subarray(offset - from).equals(part)) throw wrong(`two parts of "${key}" do not agree`);
  return `${part.length} bytes from ${offset} on`;
}

async function tryVersion(ufs: Ufs, file: FileStatus, options: TryUfsOptions): Promise<string> {
  const { pin } = ufs.capability;
  if (pin === 'none' || file.version === undefined) {
    throw new Doubt('files have no version that could be held to, so nothing is cached');
  }
  if (await isRead(ufs, { ...file, version: `${file.version}-not` }, options)) {
    throw wrong(`"${file.key}" is given although another version was asked for`);
  }
  return pin === 'atomic' ? 'another version is refused by the storage' : 'another version is noticed';
}

/** Whether bytes come for this version of the file; false when the version has changed. */
async function isRead(ufs: Ufs, file: FileStatus, options: TryUfsOptions): Promise<boolean> {
  try {
    await readPart(ufs, file, { offset: 0, lengthBytes: 1 }, options);
    return true;
  } catch (thrown) {
    if (hasErrorCode(thrown, 'VersionChanged')) return false;
    throw thrown;
  }
}

async function readPart(
  ufs: Ufs,
  { key, version }: Pick<FileStatus, 'key' | 'version'>,
  part: { readonly offset: number; readonly lengthBytes: number },
  options: TryUfsOptions,
): Promise<Buffer> {
  const pinned = version === undefined ? {} : { version };
  const { body } = await ufs.read(key, { ...part, ...pinned, ...signalOf(options) });
  const bytes = await bytesOf(body);
  if (bytes.length === part.lengthBytes) return bytes;
  throw wrong(`"${key}" gave ${bytes.length} bytes instead of ${part.lengthBytes}`);
}

/** What clients and storages get wrong. Flat, so that no directory is left behind. */
const oddNames = [
  'plain',
  'sp ace+plus',
  "t~!*'()",
  'percent%2Fslash',
  'query?x=1&y#z',
  'ünï-cödé',
  '\u{ff5e}',
  '\u{1f600}',
];

async function* tryWriting(ufs: Ufs, options: TryUfsOptions): AsyncGenerator<UfsTrial> {
  const attempt = trialOf(options.clock);
  const prefix = `alluxio-ufs-test-${options.id}-`;
  const keys = oddNames.map((name) => prefix + name);
  yield await attempt('write', async () => {
    if (!ufs.capability.write) throw new Doubt('this kind of storage cannot be written to');
    for (const key of keys) await ufs.write(key, Buffer.from(key), signalOf(options));
    return `${keys.length} files`;
  });
  if (!ufs.capability.write) return;
  yield await attempt('odd names', () => tryNames(ufs, keys, options));
  yield await attempt('overwrite', () => tryOverwrite(ufs, keys[0] ?? '', options));
  yield await attempt('remove', async () => {
    for (const key of keys) await ufs.remove(key, signalOf(options));
    const left = await listFiles(ufs, { prefix, limit: keysMax, ...signalOf(options) });
    if (left.length > 0) throw wrong(`${textOf(left.map(({ key }) => key))} are still there`);
    return 'what was written is gone';
  });
}

async function tryNames(ufs: Ufs, keys: readonly string[], options: TryUfsOptions): Promise<string> {
  const prefix = `alluxio-ufs-test-${options.id}-`;
  const listed = await listFiles(ufs, { prefix, limit: keysMax, ...signalOf(options) });
  const names = listed.map(({ key }) => key);
  const expected = keys.toSorted(compareKeys);
  if (ufs.capability.orderedList) checkOrder(names);
  if (names.toSorted(compareKeys).join('\0') !== expected.join('\0')) {
    throw wrong(`the listing has ${textOf(names)} instead of ${textOf(expected)}`);
  }
  for (const key of keys) {
    const lengthBytes = Buffer.byteLength(key);
    const bytes = await readPart(ufs, { key, version: undefined }, { offset: 0, lengthBytes }, options);
    if (bytes.toString() !== key) throw wrong(`"${key}" gives the bytes of another file`);
  }
  return `${keys.length} names come back as they were, in order`;
}

async function tryOverwrite(ufs: Ufs, key: string, options: TryUfsOptions): Promise<string> {
  const before = await ufs.stat(key, signalOf(options));
  await ufs.write(key, Buffer.from('other bytes'), signalOf(options));
  const after = await ufs.stat(key, signalOf(options));
  if (!before || !after) throw wrong(`"${key}" was written and is missing`);
  if (before.version === after.version) throw wrong('an overwritten file keeps its version');
  if (await isRead(ufs, before, options)) throw wrong('an overwritten file is read under its old version');
  return 'gives another version, and the old one is refused';
}

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // A chunk is valid until the next one is asked for.
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function wrong(message: string): AlluxioError {
  return new AlluxioError('UfsBadResponse', message);
}

/** The first few of them. */
function textOf(keys: readonly string[]): string {
  const shown = keys.slice(0, 3).map((key) => JSON.stringify(key));
  return `${shown.join(', ')}${keys.length > 3 ? ` and ${keys.length - 3} more` : ''}` || 'nothing';
}

function signalOf({ signal }: Pick<TryUfsOptions, 'signal'>): { readonly signal?: AbortSignal } {
  return signal ? { signal } : {};
}
