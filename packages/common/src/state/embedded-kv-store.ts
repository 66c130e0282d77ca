/**
 * The state store of standalone mode: everything in memory, a snapshot and a log of what came after it on disk, under a lock on the directory.
 *
 * A transaction is answered when its record is in the log and the log is synced: they are rare, so each pays for its own sync. When the log passes
 * its bound, the whole state is written to a new snapshot (temporary file, sync, rename, sync of the directory) and the log cut to nothing; a stop
 * in between leaves records in the log that the snapshot already has, which opening skips by their revision.
 *
 * At opening, an unfinished record at the end of the log is cut off: it was never answered. Damage anywhere else refuses to
 * open and names the file, since going on would silently lose answered transactions. Leases belonged to the process that held them, so what is under one goes.
 */

import { type FileHandle, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock, Random } from '../clock.ts';
import { lockDirectory } from '../directory-lock.ts';
import { AlluxioError, errnoOf, toAlluxioError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { syncDirectory } from '../sync-directory.ts';
import type { KvStore } from './kv-store.ts';
import { type KvChange, KvTable, type StoredEntry } from './kv-table.ts';
import { type KvJournal, MemoryKvStore } from './memory-kv-store.ts';
import { encodeRecord, scanRecords } from './record-file.ts';
import { parseJson } from '../parse-json.ts';

export interface EmbeddedKvStoreOptions {
  /** Made when it is missing; nobody else may hold it. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The log's size at which a snapshot is written. */
  readonly logMaxBytes?: number;
}

const logMaxDefaultBytes = 1024 * 1024;

/**
 * Fails with DirectoryLocked when another process has the directory, and with StateStoreUnavailable naming the file when one
 * is damaged or cannot be read.
 */
export async function openEmbeddedKvStore(options: EmbeddedKvStoreOptions): Promise<KvStore> {
  const lock = lockDirectory(options.directory);
  try {
    const snapshotFile = join(options.directory, 'state.snapshot');
    const logFile = join(options.directory, 'state.log');
    const table = await readSnapshot(snapshotFile);
    const log = await openLog(logFile, table, options.logger);
    const journal = new FileJournal({
      directory: options.directory,
      snapshotFile,
      logFile,
      logMaxBytes: options.logMaxBytes ?? logMaxDefaultBytes,
      log,
      release: () => lock.release(),
      logger: options.logger,
    });
    await syncDirectory(options.directory);
    await dropLeasedKeys(table, journal);
    return new MemoryKvStore({ clock: options.clock, random: options.random, table, journal });
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
}

const entrySchema = z.object({
  key: z.string(),
  value: z.string(),
  createRevision: z.int(),
  modRevision: z.int(),
  leaseId: z.string().optional(),
});

const snapshotHeadSchema = z.object({ schema: z.literal(1), revision: z.int(), entryCount: z.int() });

const changeSchema = z.object({
  revision: z.int(),
  put: z.array(entrySchema),
  delete: z.array(z.string()),
});

async function readSnapshot(file: string): Promise<KvTable> {
  const bytes = await readIfThere(file);
  if (!bytes) return new KvTable();
  const { payloads, rest } = scanRecords(bytes);
  const head = snapshotHeadSchema.safeParse(parseJson(payloads[0] ?? ''));
  if (rest !== 'nothing' || !head.success || head.data.entryCount !== payloads.length - 1) {
    throw damaged(
      file,
      rest === 'nothing' ? 'it is not a snapshot of schema 1' : 'a checksum does not match',
    );
  }
  const entries = payloads.slice(1).map((payload) => decodeRecord(file, payload, entrySchema));
  return new KvTable(head.data.revision, entries.map(entryOf));
}

interface OpenLog {
  readonly handle: FileHandle;
  readonly sizeBytes: number;
}

/** Replays the log onto the table and leaves it open for appending, without what was unfinished. */
async function openLog(file: string, table: KvTable, logger: Logger): Promise<OpenLog> {
  const bytes = (await readIfThere(file)) ?? Buffer.alloc(0);
  const { payloads, goodBytes, rest } = scanRecords(bytes);
  if (rest === 'corrupt') throw damaged(file, `a checksum does not match at byte ${goodBytes}`);
  for (const payload of payloads) {
    const { revision, put, delete: deleted } = decodeRecord(file, payload, changeSchema);
    if (revision <= table.revision) continue;
    if (revision !== table.revision + 1) {
      throw damaged(file, `revision ${revision} follows on ${table.revision}`);
    }
    table.apply({ revision, put: put.map(entryOf), delete: deleted });
  }
  const handle = await open(file, 'a', 0o600);
  if (rest === 'torn') {
    logger.warn({ file, cutBytes: bytes.length - goodBytes }, 'state-log-tail-cut-off');
    await handle.truncate(goodBytes);
    await handle.sync();
  }
  return { handle, sizeBytes: goodBytes };
}

async function dropLeasedKeys(table: KvTable, journal: KvJournal): Promise<void> {
  const keys = table.list('').filter((entry) => entry.leaseId !== undefined);
  for (let from = 0; from < keys.length; from += 100) {
    const change = table.plan({ delete: keys.slice(from, from + 100).map(({ key }) => key) });
    if (!change) continue;
    await journal.append(change);
    table.apply(change);
  }
}

interface FileJournalOptions {
  readonly directory: string;
  readonly snapshotFile: string;
  readonly logFile: string;
  readonly logMaxBytes: number;
  readonly log: OpenLog;
  readonly logger: Logger;
  release(): void;
}

class FileJournal implements KvJournal {
  readonly #options: FileJournalOptions;
  readonly #log: FileHandle;
  #logSizeBytes: number;
  #broken: AlluxioError | undefined;

  constructor(options: FileJournalOptions) {
    this.#options = options;
    this.#log = options.log.handle;
    this.#logSizeBytes = options.log.sizeBytes;
  }

  /**
   * After a failed write or sync nobody knows what the disk holds, so no further change is taken until the store is opened
   * anew: that reads what is there. Reading goes on.
   */
  async append(change: KvChange): Promise<void> {
    if (this.#broken) throw this.#broken;
    const record = encodeRecord(JSON.stringify(change));
    try {
      await this.#log.appendFile(record);
      await this.#log.datasync();
    } catch (thrown) {
      this.#broken = unwritable(this.#options.logFile, thrown);
      throw this.#broken;
    }
    this.#logSizeBytes += record.length;
  }

  /** A snapshot that fails loses nothing: the log keeps growing, and the next change tries again. */
  async applied(table: KvTable): Promise<void> {
    if (this.#logSizeBytes <= this.#options.logMaxBytes) return;
    try {
      await writeSnapshot(this.#options, table);
      await this.#log.truncate(0);
      await this.#log.sync();
      this.#logSizeBytes = 0;
    } catch (thrown) {
      this.#options.logger.error(
        { file: this.#options.snapshotFile, error: thrown },
        'state-snapshot-not-written',
      );
    }
  }

  async close(): Promise<void> {
    try {
      await this.#log.close();
    } finally {
      this.#options.release();
    }
  }
}

async function writeSnapshot(
  options: { readonly directory: string; readonly snapshotFile: string },
  table: KvTable,
): Promise<void> {
  const entries = table.list('');
  const head = { schema: 1, revision: table.revision, entryCount: entries.length };
  const temporaryFile = `${options.snapshotFile}.tmp`;
  const handle = await open(temporaryFile, 'w', 0o600);
  try {
    await handle.writeFile(
      Buffer.concat([head, ...entries].map((record) => encodeRecord(JSON.stringify(record)))),
    );
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporaryFile, options.snapshotFile);
  await syncDirectory(options.directory);
}

function entryOf(entry: z.infer<typeof entrySchema>): StoredEntry {
  const { leaseId, ...rest } = entry;
  return leaseId === undefined ? rest : { ...rest, leaseId };
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return undefined;
    throw new AlluxioError('StateStoreUnavailable', `the state file ${file} cannot be read`, {
      cause: thrown,
      retry: 'never',
    });
  }
}

function decodeRecord<Schema extends z.ZodType>(
  file: string,
  payload: string,
  schema: Schema,
): z.infer<Schema> {
  const parsed = schema.safeParse(parseJson(payload));
  if (!parsed.success) throw damaged(file, 'a record has a form that this version does not know');
  return parsed.data;
}

function damaged(file: string, reason: string): AlluxioError {
  return new AlluxioError(
    'StateStoreUnavailable',
    `the state file ${file} is damaged (${reason}); restore its directory from a backup, or move it away and add the mounts again`,
    { retry: 'never' },
  );
}

function unwritable(file: string, thrown: unknown): AlluxioError {
  return new AlluxioError(
    'StateStoreUnavailable',
    `the state file ${file} cannot be written (${errnoOf(thrown) ?? toAlluxioError(thrown).message}); mend the disk, then restart`,
    { cause: thrown, retry: 'never' },
  );
}
