/**
 * The seam to whatever storage is cached. One implementation per kind of storage, each in a folder of its own; retry,
 * limits and metrics are decorators of the same interface (`layers/`), put together by the registry in the one right
 * order: metrics › retry › hedge › limit › circuit › rate › adapter.
 *
 * A key is the name of a file below the mount's URI, raw: never decoded, never normalised. A failure is an AlluxioError:
 * - FileNotFound and UfsBucketNotFound when the storage says so;
 * - UfsAccessDenied for credentials that are wrong, missing or expired;
 * - UfsThrottled (with the pause asked for), UfsTimeout and UfsUnavailable for what may pass;
 * - UfsBadResponse for an answer that is not what was asked; VersionChanged when the pinned version is gone;
 * - InvalidOptions for a mount whose region is wrong, UfsUnsupported for what the storage cannot do at all, AccessDenied for a
 *   name that leads out of a local mount, InvalidArgument for a range or a name that cannot be meant, Overloaded when too
 *   many calls wait already.
 * No message or context ever holds a secret. A call whose signal is aborted rejects with the signal's reason.
 */

/** What is known of a file. Text fields are as the storage gave them; a field that it did not give is absent. */
export interface FileStatus {
  readonly key: string;
  readonly sizeBytes: number;
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number;
  /** Changes when the bytes change; undefined when the storage offers nothing that does. */
  readonly version: string | undefined;
  /** As a client reads it back, with its quotes. Never an MD5 unless the storage's own ETag is one. */
  readonly etag: string | undefined;
  readonly headers: FileHeaders;
  /** True when the status comes from a listing, which does not carry all headers. */
  readonly isPartial: boolean;
}

/** What a writer attached to a file and a reader may read back. */
export interface FileHeaders {
  readonly contentType?: string;
  readonly contentEncoding?: string;
  readonly contentDisposition?: string;
  readonly contentLanguage?: string;
  readonly cacheControl?: string;
  readonly expires?: string;
  /** `x-amz-meta-*` without the prefix, at most 2 KiB together. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export type ListEntry =
  | { readonly kind: 'file'; readonly file: FileStatus }
  /** What the delimiter cut: `key` ends with the delimiter. */
  | { readonly kind: 'prefix'; readonly key: string };

/** Entries that come together: as many as the storage gives at a time, at least one. */
export type ListPage = readonly ListEntry[];

/** How well `read` holds on to a version. What cannot be held is not cached. */
export type PinCapability =
  /** The storage refuses to give another version. */
  | 'atomic'
  /** The version is compared before and after. */
  | 'checked'
  | 'none';

export interface UfsCapability {
  readonly pin: PinCapability;
  /** Listings come in the byte order of full keys and resume from any key. */
  readonly orderedList: boolean;
  readonly write: boolean;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface ListOptions extends CallOptions {
  /** Only keys that begin with this; '' for all. */
  readonly prefix: string;
  /** Only keys after this one, in byte order; it need not exist. A common prefix counts by its own text. */
  readonly startAfter?: string;
  /** Keys are cut after its first occurrence behind the prefix, and what is cut alike is given once. */
  readonly delimiter?: string;
  /** How many entries the caller is going to take; the listing ends after them, and the adapter asks for no more. */
  readonly limit?: number;
}

export interface ReadOptions extends CallOptions {
  /** Bytes of this version only; undefined reads whatever is there (never cached). */
  readonly version?: string;
  readonly offset: number;
  readonly lengthBytes: number;
  /** The size of the file, where the caller knows it: a storage may have more to say of its bytes when all of them are asked for. */
  readonly fileSizeBytes?: number;
}

export interface ReceiveOptions extends ReadOptions {
  /** Memory of `lengthBytes`, where the bytes are to be. It is the adapter's until `over` has settled. */
  readonly into: Uint8Array;
  /** Told of how many bytes there are, from the begin of `into` on: more each time, from the moment that the version was compared, which may be before `receive` resolves. Must neither wait nor throw. */
  readonly onReceived: (count: number) => void;
  /**
   * How many bytes right behind these are about to be received next, of the same version. A storage may have them come by the same answer, where they wait until they are asked for;
   * not for long, and it need not. Default 0.
   */
  readonly nextBytes?: number;
}

export interface UfsRead {
  /** Of the version that is being read. `isPartial` where the storage's answer does not carry everything. */
  readonly file: FileStatus;
  /**
   * Exactly the bytes asked for (fewer only where the file ends), or a failure: UfsBadResponse when the storage gives less, VersionChanged when
   * the version changed underneath. A chunk is valid until the next one is asked for; leaving the loop early frees the connection.
   * It can be iterated once, and must be: whoever does not want it leaves the loop at once, or aborts the signal of the call.
   */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Bytes on their way into memory of the caller. They come whether or not anybody waits; whoever does not want them aborts the signal of the call. */
export interface UfsReception {
  /** As of a read. */
  readonly file: FileStatus;
  /** Resolves with how many there are: those asked for, fewer only where the file ends. Fails as the body of a read does; a failure that nobody waits for harms nobody. */
  readonly over: Promise<number>;
}

export interface Ufs {
  readonly capability: UfsCapability;
  /** Undefined when there is no such file. */
  stat(key: string, options?: CallOptions): Promise<FileStatus | undefined>;
  /**
   * Pages of entries in the byte order of full keys (UTF-8), where a directory of a file system counts as `name/`.
   * Directories themselves are not entries. A missing directory lists nothing; a missing bucket fails with UfsBucketNotFound.
   */
  list(options: ListOptions): AsyncIterable<ListPage>;
  /**
   * Resolves when the storage has begun to answer and the version was compared: before the first byte is passed on.
   * Fails with VersionChanged when another version is there, FileNotFound when none is.
   */
  read(key: string, options: ReadOptions): Promise<UfsRead>;
  /** As `read`, into memory of the caller: without an object or a promise for each piece that comes. */
  receive(key: string, options: ReceiveOptions): Promise<UfsReception>;
  /** Replaces the file; undefined where `capability.write` is false is never called. */
  write(key: string, bytes: Uint8Array, options?: CallOptions): Promise<FileStatus>;
  /** Succeeds also when there was no such file. */
  remove(key: string, options?: CallOptions): Promise<void>;
  /** Frees connections; no call may follow. */
  close(): Promise<void>;
}
