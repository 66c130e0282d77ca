/**
 * The one error type of the project and the catalogue of everything that can go wrong.
 *
 * Code matches on `code`, never on class or text. Surfaces translate by lookup in the catalogue only: an HTTP
 * status, an S3 code, an exit code. Codes are part of the interface: they are never renamed and never reused.
 * A miss is not an error: whatever may simply be absent is `undefined`.
 */

/** Where the cause lies: in what the caller asked, in the under storage or a peer, or in ourselves. */
export type ErrorSource = 'client' | 'upstream' | 'internal';

/** Whether the same call may succeed: never, after a pause, or at another worker or the under storage. */
export type ErrorRetry = 'never' | 'later' | 'elsewhere';

interface CatalogueRow {
  readonly http: number;
  /** The code in an S3 error document. */
  readonly s3Code: string;
  readonly source: ErrorSource;
  readonly retry: ErrorRetry;
  /** One sentence: what it means and what to do; the text of docs/errors.md. */
  readonly meaning: string;
}

const catalogue = {
  InvalidArgument: {
    http: 400,
    s3Code: 'InvalidArgument',
    source: 'client',
    retry: 'never',
    meaning: 'The request has a part that cannot be understood; the message names it.',
  },
  Unauthenticated: {
    http: 401,
    s3Code: 'AccessDenied',
    source: 'client',
    retry: 'never',
    meaning:
      'A changing call came without the admin token, or with a wrong one. Send the token from the token file.',
  },
  AccessDenied: {
    http: 403,
    s3Code: 'AccessDenied',
    source: 'client',
    retry: 'never',
    meaning: 'What was asked is not allowed here; the message names the rule.',
  },
  FileNotFound: {
    http: 404,
    s3Code: 'NoSuchKey',
    source: 'client',
    retry: 'never',
    meaning: 'The under storage has no such file.',
  },
  MountNotFound: {
    http: 404,
    s3Code: 'NoSuchBucket',
    source: 'client',
    retry: 'never',
    meaning: 'No mount serves this path. `alluxio mount list` shows the mounts.',
  },
  RuleNotFound: {
    http: 404,
    s3Code: 'InvalidRequest',
    source: 'client',
    retry: 'never',
    meaning:
      'There is no cache rule of this pattern, or no TTL rule for this directory. `alluxio rule list` and `alluxio ttl list` show the rules.',
  },
  JobNotFound: {
    http: 404,
    s3Code: 'InvalidRequest',
    source: 'client',
    retry: 'never',
    meaning:
      'There is no such job, or it ended so long ago that it is forgotten. `alluxio job list` shows them.',
  },
  ConfNotFound: {
    http: 404,
    s3Code: 'InvalidRequest',
    source: 'client',
    retry: 'never',
    meaning: 'There is no configuration entity of this key. `GET /api/v1/conf` shows them.',
  },
  MethodNotAllowed: {
    http: 405,
    s3Code: 'MethodNotAllowed',
    source: 'client',
    retry: 'never',
    meaning: 'The path exists, but not for this HTTP method.',
  },
  AlreadyExists: {
    http: 409,
    s3Code: 'InvalidRequest',
    source: 'client',
    retry: 'never',
    meaning: 'The name is taken: a mount at this path, or one nested with it.',
  },
  PreconditionFailed: {
    http: 412,
    s3Code: 'PreconditionFailed',
    source: 'client',
    retry: 'never',
    meaning: 'An If-Match or If-Unmodified-Since condition does not hold.',
  },
  InvalidRange: {
    http: 416,
    s3Code: 'InvalidRange',
    source: 'client',
    retry: 'never',
    meaning: 'The range begins at or after the end of the file.',
  },
  NotImplemented: {
    http: 501,
    s3Code: 'NotImplemented',
    source: 'client',
    retry: 'never',
    meaning: 'The call is known but not offered.',
  },
  InvalidOptions: {
    http: 400,
    s3Code: 'InvalidArgument',
    source: 'client',
    retry: 'never',
    meaning:
      'A configuration value or a mount option is unknown, malformed or out of bounds; the message names it.',
  },
  VersionChanged: {
    http: 503,
    s3Code: 'SlowDown',
    source: 'upstream',
    retry: 'later',
    meaning: 'The file was overwritten in the under storage while it was read. Ask again.',
  },
  Overloaded: {
    http: 503,
    s3Code: 'SlowDown',
    source: 'internal',
    retry: 'later',
    meaning: 'A bound of this process (buffers, queue, connections) is reached. Ask again after Retry-After.',
  },
  UfsAccessDenied: {
    http: 403,
    s3Code: 'AccessDenied',
    source: 'upstream',
    retry: 'never',
    meaning: 'The under storage refuses the credentials of the mount. Check the mount options.',
  },
  UfsBucketNotFound: {
    http: 404,
    s3Code: 'NoSuchBucket',
    source: 'upstream',
    retry: 'never',
    meaning: 'The bucket or directory of the mount does not exist in the under storage.',
  },
  UfsThrottled: {
    http: 503,
    s3Code: 'SlowDown',
    source: 'upstream',
    retry: 'later',
    meaning: 'The under storage asks for fewer requests. Ask again after Retry-After.',
  },
  UfsTimeout: {
    http: 504,
    s3Code: 'RequestTimeout',
    source: 'upstream',
    retry: 'later',
    meaning: 'The under storage did not answer within the deadline.',
  },
  UfsUnavailable: {
    http: 503,
    s3Code: 'ServiceUnavailable',
    source: 'upstream',
    retry: 'later',
    meaning: 'The under storage cannot be reached or answers with a server error.',
  },
  UfsBadResponse: {
    http: 502,
    s3Code: 'InternalError',
    source: 'upstream',
    retry: 'later',
    meaning:
      'The under storage answered with something that is not what was asked (length, version, format). Nothing of it is cached.',
  },
  UfsUnsupported: {
    http: 400,
    s3Code: 'InvalidArgument',
    source: 'client',
    retry: 'never',
    meaning: 'No adapter for this URI scheme, or the adapter cannot do what was asked.',
  },
  PageCorrupt: {
    http: 500,
    s3Code: 'InternalError',
    source: 'internal',
    retry: 'elsewhere',
    meaning: 'A cached block failed its check. It is removed, counted and read again from the under storage.',
  },
  PageStoreUnavailable: {
    http: 503,
    s3Code: 'ServiceUnavailable',
    source: 'internal',
    retry: 'elsewhere',
    meaning: 'A cache directory cannot be read or written. Reads go to the under storage.',
  },
  StateStoreUnavailable: {
    http: 503,
    s3Code: 'ServiceUnavailable',
    source: 'internal',
    retry: 'later',
    meaning: 'The state store does not answer, so mounts cannot be changed. Reads go on.',
  },
  StateConflict: {
    http: 409,
    s3Code: 'OperationAborted',
    source: 'client',
    retry: 'later',
    meaning: 'Somebody else changed the same thing at the same time. Look again, then repeat.',
  },
  DirectoryLocked: {
    http: 500,
    s3Code: 'InternalError',
    source: 'client',
    retry: 'never',
    meaning: 'Another process uses this directory. Stop it, or choose another directory.',
  },
  PortTaken: {
    http: 500,
    s3Code: 'InternalError',
    source: 'client',
    retry: 'never',
    meaning: 'Another process listens on this port. Stop it, or choose another port.',
  },
  Unreachable: {
    http: 503,
    s3Code: 'ServiceUnavailable',
    source: 'upstream',
    retry: 'later',
    meaning: 'No alluxio process answers at this address. Start it, or name another one.',
  },
  RouteNotFound: {
    http: 404,
    s3Code: 'InvalidRequest',
    source: 'client',
    retry: 'never',
    meaning: 'This process offers no call at the path that was asked. Check the path and the port.',
  },
  Internal: {
    http: 500,
    s3Code: 'InternalError',
    source: 'internal',
    retry: 'never',
    meaning: 'An error of ours; the log has the request id and the cause.',
  },
} as const satisfies Record<string, CatalogueRow>;

export type ErrorCode = keyof typeof catalogue;

export const errorCatalogue: Readonly<Record<ErrorCode, CatalogueRow>> = catalogue;

export const errorCodes = Object.keys(catalogue) as readonly ErrorCode[];

/** Facts about a failure, for the log. Never a secret: a value here may be printed. */
export type ErrorContext = Readonly<Record<string, string | number | boolean | undefined>>;

export interface AlluxioErrorOptions {
  readonly context?: ErrorContext;
  readonly cause?: unknown;
  readonly retry?: ErrorRetry;
  /** How long the caller should wait before it asks again, when the failing side said so. */
  readonly retryAfterMs?: number;
}

/** The one error that crosses a seam. `message` says what happened, to what, and what to do; it holds no secret. */
export class AlluxioError extends Error {
  override readonly name = 'AlluxioError';
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retry: ErrorRetry;
  readonly context: ErrorContext;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: AlluxioErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.source = catalogue[code].source;
    this.retry = options.retry ?? catalogue[code].retry;
    this.context = options.context ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get httpStatus(): number {
    return catalogue[this.code].http;
  }

  get s3Code(): string {
    return catalogue[this.code].s3Code;
  }
}

/** Turns anything thrown into an AlluxioError; what is not one already becomes `Internal` with its cause. */
export function toAlluxioError(thrown: unknown): AlluxioError {
  if (thrown instanceof AlluxioError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new AlluxioError('Internal', text, { cause: thrown });
}

export function hasErrorCode(thrown: unknown, ...codes: readonly ErrorCode[]): thrown is AlluxioError {
  return thrown instanceof AlluxioError && codes.includes(thrown.code);
}

/** The errno name of a system error (`ENOENT`), or undefined for anything else. */
export function errnoOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}
