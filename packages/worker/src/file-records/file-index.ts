/**
 * What a read needs to know of a file, for ten million files in memory without an object each: 52 bytes a row, 5.3 to 10.7 in the hash, and the texts, 24 for an S3 object.
 * Paths are not kept: a file is found by 96 bits of a sha256 of its path. Statuses whose texts do not fit (user metadata, long headers) lie beside as
 * objects, fewer of them.
 *
 * Over its bound a file goes that was not asked for lately (CLOCK).
 */

import { type FileKey, hashedName } from '@alluxio-ts/common/page';
import { noRow, RowTable } from '@alluxio-ts/common/row-table';
import { type FileRecord, isSameFileKey } from './file-record.ts';
import { decodeTexts, encodeTexts, type StatusTexts, textsMaxBytes } from './status-texts.ts';
import { granulesOf, TextArena } from './text-arena.ts';

const rowWords = 13;
const hashWord = 0;
const keyWord = 3;
const sizeWord = 6;
/** Upper 16 bits of the size, then granules of the texts (0: they lie beside), then flags. */
const flagsWord = 7;
const modifiedWord = 8;
const checkedWord = 10;
const textWord = 12;

const sizeHighMask = 0xffff;
const granulesShift = 16;
const granulesMask = 0xff;
const inUseFlag = 1 << 24;
const usedLatelyFlag = 1 << 25;
const hasFileKeyFlag = 1 << 26;
/** It was told that pages of this version came. */
const isLoadedFlag = 1 << 27;

const twoTo32 = 0x1_0000_0000;

export interface FileIndexOptions {
  readonly filesMax: number;
  /** Of those, so many whose texts lie beside. */
  readonly oddFilesMax: number;
  /** Told of a version that is no longer known: another took its place, it was deleted, or there was no room. Not told by `clear`. */
  readonly onDropped?: ((fileKey: FileKey) => void) | undefined;
}

/** How a file is named here: the same path in another scope is another file. */
export interface ScopedPath {
  readonly scope: number;
  readonly ufsPath: string;
  /** Becomes the `key` of the status. */
  readonly key: string;
}

interface RecentName {
  readonly scope: number;
  readonly name: FileKey;
}

/** Names that were made last, by their paths: whoever loads a file asks for it four times within milliseconds, and making the name takes longer than all else. */
const recentNamesMax = 1024;

export class FileIndex {
  readonly #options: FileIndexOptions;
  #rows: RowTable;
  #texts: TextArena;
  /** Texts that do not fit, by row, the eldest first. */
  readonly #oddTexts = new Map<number, StatusTexts>();
  /** What is looked for. */
  #sought: FileKey = { a: 0, b: 0, c: 0 };
  readonly #recentNames = new Map<string, RecentName>();
  readonly #double = new Float64Array(1);
  readonly #doubleWords = new Uint32Array(this.#double.buffer);
  #count = 0;
  #hand = 0;

  constructor(options: FileIndexOptions) {
    this.#options = options;
    this.#rows = this.#newRows();
    this.#texts = new TextArena({ lengthMaxBytes: textsMaxBytes });
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes that the index takes, but for the texts beside. */
  get memoryBytes(): number {
    return this.#rows.memoryBytes + this.#texts.memoryBytes;
  }

  /** Counts as a use. */
  get(path: ScopedPath): FileRecord | undefined {
    const row = this.#find(path);
    if (row === noRow) return undefined;
    const flags = this.#rows.get(row, flagsWord);
    this.#rows.set(row, flagsWord, flags | usedLatelyFlag);
    return this.#recordOf(row, path.key);
  }

  set(path: ScopedPath, record: FileRecord): void {
    let row = this.#find(path);
    let loadedFlag = 0;
    if (row === noRow) {
      while (this.#count >= this.#options.filesMax) this.#dropOne();
      row = this.#rows.take();
      this.#rows.set(row, hashWord, this.#sought.a);
      this.#rows.set(row, hashWord + 1, this.#sought.b);
      this.#rows.set(row, hashWord + 2, this.#sought.c);
      this.#rows.hashIn(row);
      this.#count++;
    } else {
      const before = this.#fileKeyOf(row);
      if (isSameFileKey(before, record.fileKey)) loadedFlag = this.#rows.get(row, flagsWord) & isLoadedFlag;
      else if (before) this.#options.onDropped?.(before);
      this.#dropTexts(row);
    }
    this.#fill(row, record, loadedFlag);
  }

  /** The record as it is was confirmed at this time; without effect where there is none. */
  confirmed(path: ScopedPath, checkedAtMs: number): void {
    const row = this.#find(path);
    if (row !== noRow) this.#setDouble(row, checkedWord, checkedAtMs);
  }

  /** Notes that pages of this version came; false when that is noted already, or the file is not known in this version. */
  markLoaded(path: ScopedPath, version: FileKey): boolean {
    const row = this.#find(path);
    if (row === noRow || !isSameFileKey(this.#fileKeyOf(row), version)) return false;
    const flags = this.#rows.get(row, flagsWord);
    this.#rows.set(row, flagsWord, flags | isLoadedFlag);
    return (flags & isLoadedFlag) === 0;
  }

  delete(path: ScopedPath): void {
    const row = this.#find(path);
    if (row !== noRow) this.#drop(row);
  }

  clear(): void {
    this.#rows = this.#newRows();
    this.#texts = new TextArena({ lengthMaxBytes: textsMaxBytes });
    this.#oddTexts.clear();
    this.#count = 0;
    this.#hand = 0;
  }

  #newRows(): RowTable {
    return new RowTable({ rowWords, hashOf: (row) => this.#rows.get(row, hashWord) });
  }

  #find(path: ScopedPath): number {
    this.#sought = this.#nameOf(path);
    return this.#rows.find(this.#sought.a, this.#isSought);
  }

  #nameOf({ scope, ufsPath }: ScopedPath): FileKey {
    const recent = this.#recentNames.get(ufsPath);
    if (recent?.scope === scope) return recent.name;
    const name = hashedName(`${scope}\0${ufsPath}`);
    if (this.#recentNames.size >= recentNamesMax) this.#recentNames.clear();
    this.#recentNames.set(ufsPath, { scope, name });
    return name;
  }

  readonly #isSought = (row: number): boolean => {
    const chunk = this.#rows.chunkOf(row);
    const at = this.#rows.offsetOf(row) + hashWord;
    const { a, b, c } = this.#sought;
    return chunk[at] === a && chunk[at + 1] === b && chunk[at + 2] === c;
  };

  #fill(row: number, { checkedAtMs, fileKey, status }: FileRecord, loadedFlag: number): void {
    const texts = encodeTexts(status);
    const granules = texts ? granulesOf(texts.length) : 0;
    this.#rows.set(row, keyWord, fileKey?.a ?? 0);
    this.#rows.set(row, keyWord + 1, fileKey?.b ?? 0);
    this.#rows.set(row, keyWord + 2, fileKey?.c ?? 0);
    this.#rows.set(row, sizeWord, status.sizeBytes % twoTo32);
    this.#setDouble(row, modifiedWord, status.modifiedMs);
    this.#setDouble(row, checkedWord, checkedAtMs);
    const sizeHigh = Math.floor(status.sizeBytes / twoTo32) & sizeHighMask;
    const keyFlag = fileKey ? hasFileKeyFlag : 0;
    const flags = sizeHigh | (granules << granulesShift) | inUseFlag | usedLatelyFlag | keyFlag | loadedFlag;
    this.#rows.set(row, flagsWord, flags);
    if (texts) this.#rows.set(row, textWord, this.#texts.put(texts));
    else this.#keepBeside(row, status);
  }

  #keepBeside(row: number, { etag, headers, version }: StatusTexts): void {
    this.#oddTexts.set(row, { version, etag, headers });
    if (this.#oddTexts.size <= this.#options.oddFilesMax) return;
    for (const eldest of this.#oddTexts.keys()) {
      this.#drop(eldest);
      return;
    }
  }

  #recordOf(row: number, key: string): FileRecord {
    const rows = this.#rows;
    const flags = rows.get(row, flagsWord);
    const place = rows.get(row, textWord);
    const isBeside = ((flags >>> granulesShift) & granulesMask) === 0;
    const beside = isBeside ? this.#oddTexts.get(row) : undefined;
    const texts = beside ?? decodeTexts(this.#texts.chunkOf(place), this.#texts.offsetOf(place));
    return {
      status: {
        key,
        sizeBytes: (flags & sizeHighMask) * twoTo32 + rows.get(row, sizeWord),
        modifiedMs: this.#double64(row, modifiedWord),
        version: texts.version,
        etag: texts.etag,
        headers: texts.headers,
        isPartial: false,
      },
      fileKey: this.#fileKeyOf(row),
      checkedAtMs: this.#double64(row, checkedWord),
    };
  }

  #fileKeyOf(row: number): FileKey | undefined {
    const rows = this.#rows;
    if ((rows.get(row, flagsWord) & hasFileKeyFlag) === 0) return undefined;
    return { a: rows.get(row, keyWord), b: rows.get(row, keyWord + 1), c: rows.get(row, keyWord + 2) };
  }

  /** Drops one that was not used since the hand last passed it. */
  #dropOne(): void {
    for (;;) {
      if (this.#hand >= this.#rows.rowCount) this.#hand = 0;
      const row = this.#hand++;
      const flags = this.#rows.get(row, flagsWord);
      if ((flags & inUseFlag) === 0) continue;
      if ((flags & usedLatelyFlag) === 0) {
        this.#drop(row);
        return;
      }
      this.#rows.set(row, flagsWord, flags & ~usedLatelyFlag);
    }
  }

  #drop(row: number): void {
    const fileKey = this.#fileKeyOf(row);
    this.#dropTexts(row);
    this.#rows.hashOut(row);
    this.#rows.set(row, flagsWord, 0);
    this.#rows.give(row);
    this.#count--;
    if (fileKey) this.#options.onDropped?.(fileKey);
  }

  #dropTexts(row: number): void {
    const granules = (this.#rows.get(row, flagsWord) >>> granulesShift) & granulesMask;
    if (granules === 0) this.#oddTexts.delete(row);
    else this.#texts.delete(this.#rows.get(row, textWord), granules);
  }

  #setDouble(row: number, word: number, value: number): void {
    this.#double[0] = value;
    this.#rows.set(row, word, this.#doubleWords[0] ?? 0);
    this.#rows.set(row, word + 1, this.#doubleWords[1] ?? 0);
  }

  #double64(row: number, word: number): number {
    this.#doubleWords[0] = this.#rows.get(row, word);
    this.#doubleWords[1] = this.#rows.get(row, word + 1);
    return this.#double[0] ?? 0;
  }
}
