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

/** A record as it lies there; `status` is JSON. */
export interface RecordRow {
  readonly ufsPath: string;
  readonly status: string;
  /** Wall time, milliseconds since the epoch. */
  readonly checkedAtMs: number;
}

/** One after the other; without a row the record of the path goes. */
export interface RecordChange {
  readonly ufsPath: string;
  readonly row?: RecordRow;
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

export interface OldFiles {
  readonly files: readonly OldFile[];
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
const schemaVersion = 2;
export const pageRows = 1000;
const idBytes = 8;

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
      for (const { row, ufsPath } of changes) {
        if (row)
          this.#statements.put.run(
            ufsPath,
            shortIdOf(fileIdOf(ufsPath)),
            row.status,
            Math.round(row.checkedAtMs),
          );
        else this.#statements.remove.run(ufsPath);
      }
    });
    this.#writesSinceCount += changes.length;
    this.#keepBound();
  }

  /** In the order of their paths; fewer than a thousand when there are no more. */
  page({ after, ufsPathPrefix }: RecordRange): readonly RecordRow[] {
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
  const parsed: unknown = parseJson(status);
  const known: Readonly<Record<string, unknown>> = typeof parsed === 'object' ? { ...parsed } : {};
  const { sizeBytes, version } = known;
  if (typeof version !== 'string' || typeof sizeBytes !== 'number') {
    return { ufsPath, fileKey: { a: 0, b: 0, c: 0 }, pageCount: 0 };
  }
  const fileKey = fileKeyOf({ ufsPath, version, pageSizeBytes });
  return { ufsPath, fileKey, pageCount: pageCountOf(sizeBytes, pageSizeBytes) };
}

function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}

function openDatabase(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 2000 });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const version = numberOf(database.prepare('PRAGMA user_version').get(), 'user_version');
    if (version !== schemaVersion) {
      database.exec(`
        DROP TABLE IF EXISTS files;
        CREATE TABLE files (
          number INTEGER PRIMARY KEY,
          ufs_path TEXT NOT NULL UNIQUE,
          id BLOB NOT NULL,
          status TEXT NOT NULL,
          checked_at_ms INTEGER NOT NULL
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

const columns = 'ufs_path, status, checked_at_ms';
const statementTexts = {
  get: `SELECT ${columns} FROM files WHERE ufs_path = ?`,
  ofId: `SELECT ${columns} FROM files WHERE id = ?`,
  put: `INSERT INTO files (ufs_path, id, status, checked_at_ms) VALUES (?, ?, ?, ?)
    ON CONFLICT (ufs_path) DO UPDATE SET status = excluded.status, checked_at_ms = excluded.checked_at_ms`,
  remove: 'DELETE FROM files WHERE ufs_path = ?',
  from: `SELECT ${columns} FROM files WHERE ufs_path >= ? ORDER BY ufs_path LIMIT ?`,
  after: `SELECT ${columns} FROM files WHERE ufs_path > ? ORDER BY ufs_path LIMIT ?`,
  fromRow: `SELECT number, ${columns} FROM files WHERE number > ? ORDER BY number LIMIT ?`,
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
  return Buffer.from(fileId, 'hex').subarray(0, idBytes);
}

function rowOf(row: Readonly<Record<string, unknown>>): RecordRow {
  return {
    ufsPath: textOf(row, 'ufs_path'),
    status: textOf(row, 'status'),
    checkedAtMs: numberOf(row, 'checked_at_ms'),
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
