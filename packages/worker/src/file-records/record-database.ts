/**
 * The table of file records in SQLite. Every method blocks on the disk, so it lives in a thread of its own (`record-thread.ts`), which alone has the database open.
 *
 * It may lose anything: a database that is damaged is begun anew. What it gives was once confirmed by the under storage.
 */

import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { type FileKey, fileIdOf, fileKeyOf, pageCountOf } from '@alluxio-ts/common/page';
import { parseJson } from '@alluxio-ts/common/parse-json';
import { storedIdBytes } from './stored-names.ts';

/** A record as it lies there; `status` is JSON. */
export interface RecordRow {
  readonly ufsPath: string;
  readonly status: string;
  /** Wall time, milliseconds since the epoch. */
  readonly checkedAtMs: number;
}

/** One after the other. */
export type RecordChange =
  | { readonly kind: 'put'; readonly row: RecordRow }
  | { readonly kind: 'loaded'; readonly load: Load }
  | { readonly kind: 'remove'; readonly ufsPath: string };

/** A page of this version is here since then at the latest. */
export interface Load {
  readonly ufsPath: string;
  readonly version: string;
  /** Wall time, milliseconds since the epoch. */
  readonly loadedAtMs: number;
}

interface StoredRow extends RecordRow {
  /** NaN when it is not known. */
  readonly loadedAtMs: number;
}

/** Which records: those whose path begins so, behind `after`. */
export interface RecordRange {
  readonly ufsPathPrefix: string;
  readonly after: string | undefined;
}

/** Which records: behind row `after`, confirmed before `checkedBeforeMs`. */
export interface OldRange {
  readonly after: number;
  readonly checkedBeforeMs: number;
  readonly pageSizeBytes: number;
}

/** Which records: those of the range that were loaded at `loadedUntilMs` or before, or after `nowMs`, which cannot be, or nobody knows when. */
export interface LoadedRange extends RecordRange {
  readonly loadedUntilMs: number;
  readonly nowMs: number;
  readonly pageSizeBytes: number;
}

export interface LoadedFiles {
  readonly files: readonly LoadedFile[];
  /** The path to go on behind; undefined at the end. */
  readonly last: string | undefined;
}

/** A version of a file, with what names its pages. */
export interface LoadedFile {
  readonly ufsPath: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly fileKey: FileKey;
  /** When the first of its pages came; undefined when that is not known, or lies in the future. */
  readonly loadedAtMs: number | undefined;
}

export interface OldFiles {
  readonly files: readonly OldFile[];
  /** The row to go on behind; undefined at the end. */
  readonly last: number | undefined;
}

export interface StoredIds {
  readonly ids: Uint8Array;
  /** The row to go on behind; undefined at the end. */
  readonly last: number | undefined;
}

export interface RecordDatabaseOptions {
  /** The database's file. */
  readonly path: string;
  /** Over it, the records that were confirmed longest ago go. */
  readonly recordsMax: number;
}

/** A file whose record was not confirmed for long, with what names its pages. */
export interface OldFile {
  readonly ufsPath: string;
  readonly fileKey: FileKey;
  readonly pageCount: number;
}

/** What goes at once when the bound is reached: a hundredth, so that it happens seldom. */
const dropFraction = 0.01;
const schemaVersion = 3;
export const pageRows = 1000;
const idRows = 2000;

export class RecordDatabase {
  readonly #options: RecordDatabaseOptions;
  #database: DatabaseSync;
  #statements: Statements;
  #writesSinceCount = 0;
  #fault: string | undefined;

  /** A database that cannot be read is begun anew; throws when that cannot be done either. */
  constructor(options: RecordDatabaseOptions) {
    this.#options = options;
    try {
      this.#database = openDatabase(options.path);
    } catch (thrown) {
      this.#fault = String(thrown);
      removeDatabase(options.path);
      this.#database = openDatabase(options.path);
    }
    this.#statements = prepare(this.#database);
  }

  /** Why the one that was there could not be opened; undefined when it could. */
  fault(): string | undefined {
    return this.#fault;
  }

  get(ufsPath: string): RecordRow | undefined {
    const row = this.#statements.get.get(ufsPath);
    return row && rowOf(row);
  }

  /** The path whose sha256 in hex is `fileId`. */
  pathOfId(fileId: string): string | undefined {
    for (const row of this.#statements.ofId.all(shortIdOf(fileId))) {
      const { ufsPath } = rowOf(row);
      if (fileIdOf(ufsPath) === fileId) return ufsPath;
    }
    return undefined;
  }

  /** All of the changes or, when it throws, none. */
  write(changes: readonly RecordChange[]): void {
    this.#inTransaction(() => {
      for (const change of changes) this.#write(change);
    });
    this.#writesSinceCount += changes.length;
    this.#keepBound();
  }

  #write(change: RecordChange): void {
    switch (change.kind) {
      case 'put': {
        const { ufsPath, status, checkedAtMs } = change.row;
        this.#statements.put.run(ufsPath, shortIdOf(fileIdOf(ufsPath)), status, Math.round(checkedAtMs));
        return;
      }
      case 'loaded': {
        const { ufsPath, version, loadedAtMs } = change.load;
        this.#statements.loaded.run({ ufsPath, version, loadedAtMs: Math.round(loadedAtMs) });
        return;
      }
      case 'remove':
        this.#statements.remove.run(change.ufsPath);
        return;
      default:
        change satisfies never;
    }
  }

  /** In the order of their paths; fewer than a thousand when there are no more. */
  page({ after, ufsPathPrefix }: RecordRange): readonly StoredRow[] {
    const found = after === undefined ? this.#statements.from : this.#statements.after;
    const rows = found.all(after ?? ufsPathPrefix, pageRows).map(rowOf);
    const end = rows.findIndex((row) => !row.ufsPath.startsWith(ufsPathPrefix));
    return end < 0 ? rows : rows.slice(0, end);
  }

  /** Removes every record whose path begins so. */
  removeBelow(ufsPathPrefix: string): void {
    this.#inTransaction(() => {
      for (let last: string | undefined; ; ) {
        const rows = this.page({ ufsPathPrefix, after: last });
        for (const { ufsPath } of rows) this.#statements.remove.run(ufsPath);
        if (rows.length < pageRows) return;
        last = rows.at(-1)?.ufsPath;
      }
    });
  }

  /** Files among the next thousand records of the range. */
  oldFiles({ after, checkedBeforeMs, pageSizeBytes }: OldRange): OldFiles {
    const rows = this.#statements.fromRow.all(after, pageRows);
    const files = rows.map(rowOf).flatMap((row) => {
      if (row.checkedAtMs >= checkedBeforeMs) return [];
      return [oldFileOf(row, pageSizeBytes)];
    });
    const last = rows.length < pageRows ? undefined : numberOf(rows.at(-1), 'number');
    return { files, last };
  }

  /** Files among the next thousand records of the range, in the order of their paths. */
  loadedFiles(range: LoadedRange): LoadedFiles {
    const rows = this.page(range);
    const files = rows.flatMap((row) => {
      const isInTime = row.loadedAtMs > range.loadedUntilMs && row.loadedAtMs <= range.nowMs;
      return isInTime ? [] : loadedFileOf(row, range);
    });
    return { files, last: rows.length < pageRows ? undefined : rows.at(-1)?.ufsPath };
  }

  /** Ids of two thousand records, one behind the other; the rows behind row `after`. */
  ids(after: number): StoredIds {
    const rows = this.#statements.ids.all(after, idRows);
    const ids = new Uint8Array(rows.length * storedIdBytes);
    for (const [index, { id }] of rows.entries()) {
      if (id instanceof Uint8Array) ids.set(id, index * storedIdBytes);
    }
    return { ids, last: rows.length < idRows ? undefined : numberOf(rows.at(-1), 'number') };
  }

  count(): number {
    return numberOf(this.#statements.count.get(), 'count');
  }

  /** Loses every record; works where nothing can be written, too, as long as files can be removed. */
  beginAnew(): void {
    const { path } = this.#options;
    this.#database.close();
    removeDatabase(path);
    this.#database = openDatabase(path);
    this.#statements = prepare(this.#database);
    this.#writesSinceCount = 0;
  }

  close(): void {
    this.#database.close();
  }

  #inTransaction(work: () => void): void {
    this.#database.exec('BEGIN');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (thrown) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** Counting reads the whole table, so it happens only after as many writes as could have filled a hundredth of it. */
  #keepBound(): void {
    const { recordsMax } = this.#options;
    if (this.#writesSinceCount < recordsMax * dropFraction) return;
    this.#writesSinceCount = 0;
    const excess = this.count() - recordsMax;
    if (excess > 0) this.#statements.removeOldest.run(excess + Math.floor(recordsMax * dropFraction));
  }
}

/** Without a version there never were pages. */
function oldFileOf({ status, ufsPath }: RecordRow, pageSizeBytes: number): OldFile {
  const known = versionOf(status);
  if (!known) return { ufsPath, fileKey: { a: 0, b: 0, c: 0 }, pageCount: 0 };
  const { sizeBytes, version } = known;
  const fileKey = fileKeyOf({ ufsPath, version, pageSizeBytes });
  return { ufsPath, fileKey, pageCount: pageCountOf(sizeBytes, pageSizeBytes) };
}

function loadedFileOf(
  { status, ufsPath, loadedAtMs }: StoredRow,
  { nowMs, pageSizeBytes }: LoadedRange,
): readonly LoadedFile[] {
  const known = versionOf(status);
  if (!known) return [];
  const fileKey = fileKeyOf({ ufsPath, version: known.version, pageSizeBytes });
  return [{ ufsPath, ...known, fileKey, loadedAtMs: loadedAtMs <= nowMs ? loadedAtMs : undefined }];
}

function versionOf(status: string): { readonly version: string; readonly sizeBytes: number } | undefined {
  const parsed: unknown = parseJson(status);
  const known: Readonly<Record<string, unknown>> = typeof parsed === 'object' ? { ...parsed } : {};
  const { sizeBytes, version } = known;
  return typeof version === 'string' && typeof sizeBytes === 'number' ? { version, sizeBytes } : undefined;
}

function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 2000 });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const version = numberOf(database.prepare('PRAGMA user_version').get(), 'user_version');
    if (version === 2) {
      // Since when pages of its files are here nobody knows.
      database.exec(`
        BEGIN;
        ALTER TABLE files ADD COLUMN loaded_at_ms INTEGER;
        PRAGMA user_version = ${schemaVersion};
        COMMIT;
      `);
    } else if (version !== schemaVersion) {
      database.exec(`
        DROP TABLE IF EXISTS files;
        CREATE TABLE files (
          number INTEGER PRIMARY KEY,
          ufs_path TEXT NOT NULL UNIQUE,
          id BLOB NOT NULL,
          status TEXT NOT NULL,
          checked_at_ms INTEGER NOT NULL,
          loaded_at_ms INTEGER
        ) STRICT;
        CREATE INDEX files_by_id ON files (id);
        CREATE INDEX files_by_age ON files (checked_at_ms);
        PRAGMA user_version = ${schemaVersion};
      `);
    }
    return database;
  } catch (thrown) {
    database.close();
    throw thrown;
  }
}

type Statements = Readonly<Record<keyof typeof statementTexts, StatementSync>>;

const columns = 'ufs_path, status, checked_at_ms, loaded_at_ms';
const statementTexts = {
  get: `SELECT ${columns} FROM files WHERE ufs_path = ?`,
  ofId: `SELECT ${columns} FROM files WHERE id = ?`,
  put: `INSERT INTO files (ufs_path, id, status, checked_at_ms) VALUES (?, ?, ?, ?)
    ON CONFLICT (ufs_path) DO UPDATE SET status = excluded.status, checked_at_ms = excluded.checked_at_ms,
      loaded_at_ms = CASE WHEN status ->> 'version' IS excluded.status ->> 'version' THEN loaded_at_ms END`,
  loaded: `UPDATE files SET loaded_at_ms = $loadedAtMs WHERE ufs_path = $ufsPath
    AND status ->> 'version' = $version AND (loaded_at_ms IS NULL OR loaded_at_ms > $loadedAtMs)`,
  remove: 'DELETE FROM files WHERE ufs_path = ?',
  from: `SELECT ${columns} FROM files WHERE ufs_path >= ? ORDER BY ufs_path LIMIT ?`,
  after: `SELECT ${columns} FROM files WHERE ufs_path > ? ORDER BY ufs_path LIMIT ?`,
  fromRow: `SELECT number, ${columns} FROM files WHERE number > ? ORDER BY number LIMIT ?`,
  ids: 'SELECT number, id FROM files WHERE number > ? ORDER BY number LIMIT ?',
  count: 'SELECT count(*) AS count FROM files',
  removeOldest: 'DELETE FROM files WHERE number IN (SELECT number FROM files ORDER BY checked_at_ms LIMIT ?)',
} as const;

function prepare(database: DatabaseSync): Statements {
  const entries = Object.entries(statementTexts).map(([name, text]) => [name, database.prepare(text)]);
  // The names are those of the table above.
  return Object.fromEntries(entries) as Statements;
}

/** The begin of an id, by which it is looked up. */
function shortIdOf(fileId: string): Buffer {
  return Buffer.from(fileId, 'hex').subarray(0, storedIdBytes);
}

function rowOf(row: Readonly<Record<string, unknown>>): StoredRow {
  return {
    ufsPath: textOf(row, 'ufs_path'),
    status: textOf(row, 'status'),
    checkedAtMs: numberOf(row, 'checked_at_ms'),
    loadedAtMs: row['loaded_at_ms'] === null ? Number.NaN : numberOf(row, 'loaded_at_ms'),
  };
}

function textOf(row: Readonly<Record<string, unknown>>, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : '';
}

function numberOf(row: Readonly<Record<string, unknown>> | undefined, column: string): number {
  const value = row?.[column];
  return typeof value === 'number' ? value : 0;
}
