/**
 * What is known of files, on disk, so that a restart finds the versions of its pages without asking the under storage, also when that is down.
 *
 * It may lose anything: writes are gathered and go to SQLite in one transaction now and then, and a damaged database is begun anew. What it
 * gives was once confirmed by the under storage, with the time at which it was.
 */

import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import type { Clock } from '@alluxio-ts/common/clock';
import type { Logger } from '@alluxio-ts/common/logger';
import { parseJson } from '@alluxio-ts/common/parse-json';
import type { FileStatus } from '@alluxio-ts/ufs-adapters/ufs';
import { z } from 'zod';

export interface StoredRecord {
  readonly ufsPath: string;
  readonly status: FileStatus;
  /** Wall time, milliseconds since the epoch: when the under storage last confirmed it. */
  readonly checkedAtMs: number;
}

export interface FileRecordStoreOptions {
  /** The database's file, or `:memory:`. */
  readonly path: string;
  /** Over it, the records that were confirmed longest ago go. */
  readonly recordsMax: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

export const fileRecordStoreDefaults = { recordsMax: 10_000_000 } as const;

const flushPauseMs = 200;
/** So many writes wait at most; one more is flushed at once. */
const pendingMax = 2000;
/** What goes at once when the bound is reached: a hundredth, so that it happens seldom. */
const dropFraction = 0.01;
const schemaVersion = 1;

const statusSchema = z.object({
  key: z.string(),
  sizeBytes: z.number(),
  modifiedMs: z.number(),
  version: z.string().optional(),
  etag: z.string().optional(),
  headers: z.object({
    contentType: z.string().optional(),
    contentEncoding: z.string().optional(),
    contentDisposition: z.string().optional(),
    contentLanguage: z.string().optional(),
    cacheControl: z.string().optional(),
    expires: z.string().optional(),
    metadata: z.record(z.string(), z.string()).optional(),
  }),
});

interface Statements {
  readonly get: StatementSync;
  readonly pathOfId: StatementSync;
  readonly put: StatementSync;
  readonly remove: StatementSync;
  readonly below: StatementSync;
  readonly removeBelow: StatementSync;
  readonly count: StatementSync;
  readonly removeOldest: StatementSync;
}

export class FileRecordStore {
  readonly #options: FileRecordStoreOptions;
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  /** Not yet in the database; undefined stands for a removal. */
  readonly #pending = new Map<string, StoredRecord | undefined>();
  readonly #stop = new AbortController();
  #writesSinceCount = 0;
  #flushing: Promise<void> | undefined;

  constructor(options: FileRecordStoreOptions) {
    this.#options = options;
    this.#database = openDatabase(options);
    this.#statements = prepare(this.#database);
  }

  get(ufsPath: string): StoredRecord | undefined {
    if (this.#pending.has(ufsPath)) return this.#pending.get(ufsPath);
    const row = this.#statements.get.get(idOf(ufsPath));
    if (row?.['ufs_path'] !== ufsPath) return undefined;
    const status = parseStatus(row['status']);
    return status && { ufsPath, status, checkedAtMs: numberOf(row, 'checked_at_ms') };
  }

  /** The path whose sha256 in hex is `fileId`. */
  pathOfId(fileId: string): string | undefined {
    if (!/^[0-9a-f]{64}$/.test(fileId)) return undefined;
    const id = Buffer.from(fileId, 'hex');
    for (const [ufsPath, record] of this.#pending) {
      if (record && idOf(ufsPath).equals(id)) return ufsPath;
    }
    const path = this.#statements.pathOfId.get(id)?.['ufs_path'];
    return typeof path === 'string' ? path : undefined;
  }

  put(record: StoredRecord): void {
    this.#change(record.ufsPath, record);
  }

  remove(ufsPath: string): void {
    this.#change(ufsPath, undefined);
  }

  /** Every record whose path begins so. Reads the whole table. */
  *below(ufsPathPrefix: string): Generator<StoredRecord> {
    this.flush();
    for (const row of this.#statements.below.iterate(ufsPathPrefix, ufsPathPrefix)) {
      const status = parseStatus(row['status']);
      const ufsPath = row['ufs_path'];
      if (status && typeof ufsPath === 'string') {
        yield { ufsPath, status, checkedAtMs: numberOf(row, 'checked_at_ms') };
      }
    }
  }

  /** Removes every record whose path begins so. Reads the whole table. */
  removeBelow(ufsPathPrefix: string): void {
    this.flush();
    this.#statements.removeBelow.run(ufsPathPrefix, ufsPathPrefix);
  }

  /** Reads the whole table. */
  get recordCount(): number {
    this.flush();
    return numberOf(this.#statements.count.get(), 'count');
  }

  /** Writes what waits. A failure is logged: what is lost is asked for again. */
  flush(): void {
    if (this.#pending.size === 0) return;
    const changes = [...this.#pending];
    this.#pending.clear();
    try {
      this.#database.exec('BEGIN');
      for (const [ufsPath, record] of changes) this.#write(ufsPath, record);
      this.#writesSinceCount += changes.length;
      this.#database.exec('COMMIT');
      this.#keepBound();
    } catch (thrown) {
      this.#options.logger.warn({ path: this.#options.path, error: thrown }, 'file-records-not-written');
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#flushing;
    this.flush();
    this.#database.close();
  }

  #change(ufsPath: string, record: StoredRecord | undefined): void {
    this.#pending.set(ufsPath, record);
    if (this.#pending.size >= pendingMax) this.flush();
    else this.#flushing ??= this.#flushLater();
  }

  async #flushLater(): Promise<void> {
    await this.#options.clock.sleep(flushPauseMs, { signal: this.#stop.signal }).catch(() => undefined);
    this.#flushing = undefined;
    if (!this.#stop.signal.aborted) this.flush();
  }

  #write(ufsPath: string, record: StoredRecord | undefined): void {
    if (record) {
      const { put } = this.#statements;
      put.run(idOf(ufsPath), ufsPath, JSON.stringify(record.status), Math.round(record.checkedAtMs));
    } else {
      this.#statements.remove.run(idOf(ufsPath));
    }
  }

  /** Counting reads the whole table, so it happens only after as many writes as could have filled a hundredth of it. */
  #keepBound(): void {
    const { recordsMax } = this.#options;
    if (this.#writesSinceCount < recordsMax * dropFraction) return;
    this.#writesSinceCount = 0;
    const count = numberOf(this.#statements.count.get(), 'count');
    if (count <= recordsMax) return;
    const excess = count - recordsMax + Math.floor(recordsMax * dropFraction);
    this.#statements.removeOldest.run(excess);
  }
}

function idOf(ufsPath: string): Buffer {
  return createHash('sha256').update(ufsPath).digest();
}

function openDatabase(options: FileRecordStoreOptions): DatabaseSync {
  try {
    return openChecked(options.path);
  } catch (thrown) {
    if (options.path === ':memory:') throw thrown;
    options.logger.warn({ path: options.path, error: thrown }, 'file-records-begun-anew');
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${options.path}${suffix}`, { force: true });
    return openChecked(options.path);
  }
}

function openChecked(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 2000 });
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;');
    const version = numberOf(database.prepare('PRAGMA user_version').get(), 'user_version');
    if (version !== schemaVersion) {
      database.exec(`
        DROP TABLE IF EXISTS files;
        CREATE TABLE files (
          file_id BLOB PRIMARY KEY,
          ufs_path TEXT NOT NULL,
          status TEXT NOT NULL,
          checked_at_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
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

function prepare(database: DatabaseSync): Statements {
  return {
    get: database.prepare('SELECT ufs_path, status, checked_at_ms FROM files WHERE file_id = ?'),
    pathOfId: database.prepare('SELECT ufs_path FROM files WHERE file_id = ?'),
    put: database.prepare('INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)'),
    remove: database.prepare('DELETE FROM files WHERE file_id = ?'),
    below: database.prepare(
      'SELECT ufs_path, status, checked_at_ms FROM files WHERE substr(ufs_path, 1, length(?)) = ?',
    ),
    removeBelow: database.prepare('DELETE FROM files WHERE substr(ufs_path, 1, length(?)) = ?'),
    count: database.prepare('SELECT count(*) AS count FROM files'),
    removeOldest: database.prepare(
      'DELETE FROM files WHERE file_id IN (SELECT file_id FROM files ORDER BY checked_at_ms LIMIT ?)',
    ),
  };
}

function parseStatus(text: unknown): FileStatus | undefined {
  const parsed = statusSchema.safeParse(typeof text === 'string' ? parseJson(text) : undefined);
  if (!parsed.success) return undefined;
  const { version, etag, ...status } = parsed.data;
  return { ...status, version, etag, isPartial: false } as FileStatus;
}

function numberOf(row: Readonly<Record<string, unknown>> | undefined, column: string): number {
  const value = row?.[column];
  return typeof value === 'number' ? value : 0;
}
