/** Turns what S3 answers, or what happens to a connection to it, into one of our errors. No message repeats a header or a key of the mount. */

import { AlluxioError, type AlluxioErrorOptions, type ErrorCode, errnoOf } from '@alluxio-ts/common/errors';

/** What a request was about, for messages. */
export interface S3Subject {
  readonly bucket: string;
  /** The full key; undefined for the bucket. */
  readonly key: string | undefined;
  readonly origin: string;
  readonly region: string;
}

export type S3Failure =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly statusText: string;
      /** `Code` of the error document; undefined where there was none, as for HEAD. */
      readonly s3Code: string | undefined;
      /** The region of the bucket, where the answer tells it. */
      readonly bucketRegion: string | undefined;
      /** The header Retry-After, as it stands. */
      readonly retryAfter: string | undefined;
    }
  | { readonly kind: 'connection'; readonly cause: unknown };

type Explain = (subject: S3Subject) => string;

const credentialText: Explain = ({ bucket }) =>
  `check s3a.accessKeyId and s3a.secretKey of the mount of s3://${bucket}`;

/** What the codes of S3 that speak for themselves mean here, and what to do. */
const s3Codes: Readonly<Record<string, readonly [ErrorCode, string, Explain]>> = {
  InvalidAccessKeyId: ['UfsAccessDenied', 'the store does not know the access key id', credentialText],
  SignatureDoesNotMatch: [
    'UfsAccessDenied',
    'the secret key does not belong to the access key id',
    credentialText,
  ],
  AccessDenied: [
    'UfsAccessDenied',
    'the access key has no right to it',
    () => 'let its policy allow s3:GetObject and s3:ListBucket, or give another key',
  ],
  AllAccessDisabled: [
    'UfsAccessDenied',
    'the owner disabled all access',
    () => 'ask the owner of the bucket',
  ],
  AccountProblem: ['UfsAccessDenied', 'the account has a problem', () => 'ask the owner of the account'],
  ExpiredToken: [
    'UfsAccessDenied',
    'the session token expired',
    () => 'give new keys and a new s3a.sessionToken',
  ],
  TokenRefreshRequired: [
    'UfsAccessDenied',
    'the session token expired',
    () => 'give new keys and a new s3a.sessionToken',
  ],
  InvalidToken: ['UfsAccessDenied', 'the session token is wrong', () => 'check s3a.sessionToken'],
  RequestTimeTooSkewed: [
    'UfsAccessDenied',
    'the clock of this machine differs from that of the store by too much',
    () => 'set the clock of this machine',
  ],
  NoSuchBucket: [
    'UfsBucketNotFound',
    'the bucket does not exist',
    () => 'check the URI and the endpoint of the mount',
  ],
  NoSuchKey: ['FileNotFound', 'the object does not exist', () => 'check its name'],
  InvalidObjectState: [
    'UfsUnsupported',
    'the object lies in an archive',
    () => 'restore it in the store before it is read',
  ],
  InvalidBucketName: [
    'InvalidOptions',
    'the name of the bucket is not valid',
    () => 'check the URI of the mount',
  ],
  SlowDown: ['UfsThrottled', 'the store asks for fewer requests', () => 'ask again later'],
  RequestLimitExceeded: ['UfsThrottled', 'the store asks for fewer requests', () => 'ask again later'],
  ThrottlingException: ['UfsThrottled', 'the store asks for fewer requests', () => 'ask again later'],
  RequestTimeout: ['UfsTimeout', 'the store waited too long for the request', () => 'ask again'],
  PreconditionFailed: ['VersionChanged', 'the object was overwritten', () => 'ask again'],
  ConditionalRequestConflict: ['VersionChanged', 'the object was overwritten', () => 'ask again'],
};

const regionCodes: ReadonlySet<string> = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
  'InvalidRegionName',
]);

/** `action` completes "cannot …": `read`, `list`. */
export function s3Error(action: string, failure: S3Failure, subject: S3Subject): AlluxioError {
  return failure.kind === 'answer'
    ? answerError(action, failure, subject)
    : connectionError(action, failure.cause, subject);
}

function answerError(
  action: string,
  failure: Extract<S3Failure, { kind: 'answer' }>,
  subject: S3Subject,
): AlluxioError {
  const { status, s3Code } = failure;
  const retryAfterMs = retryAfterOf(failure.retryAfter);
  const context = { status, ...(s3Code === undefined ? {} : { s3Code }) };
  const make = (code: ErrorCode, what: string, todo: string, options: AlluxioErrorOptions = {}) =>
    new AlluxioError(code, `cannot ${action} ${nameOf(subject)}: ${what}; ${todo}`, { context, ...options });

  if (isRegionWrong(failure, subject)) return make('InvalidOptions', ...regionAdvice(failure, subject));
  const row = s3Code === undefined ? undefined : s3Codes[s3Code];
  if (row) {
    const [code, what, explain] = row;
    const isThrottled = code === 'UfsThrottled' && retryAfterMs !== undefined;
    return make(code, what, explain(subject), isThrottled ? { retryAfterMs } : {});
  }
  const answered = `the store answered ${status}${s3Code === undefined ? '' : ` ${s3Code}`}`;
  const later = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status === 401 || status === 403) return make('UfsAccessDenied', answered, credentialText(subject));
  if (status === 404) return make('FileNotFound', 'it does not exist', 'check its name');
  if (status === 412) return make('VersionChanged', 'the object was overwritten', 'ask again');
  if (status === 429 || (status === 503 && isThrottling(failure))) {
    return make('UfsThrottled', 'the store asks for fewer requests', 'ask again later', later);
  }
  if (status === 408 || status === 504) return make('UfsTimeout', answered, 'ask again later', later);
  if (status === 501) return make('UfsUnsupported', answered, 'this store does not offer the call');
  if (status >= 500 || status === 307) return make('UfsUnavailable', answered, 'ask again later', later);
  const todo =
    s3Code === undefined
      ? 'check that the endpoint of the mount is an S3 store'
      : 'check the name and the options of the mount';
  return make('UfsBadResponse', answered, todo, { retry: 'never' });
}

/** HEAD carries no document, but some stores say "Slow Down" in the status line; a 503 that names a pause asks for one. */
function isThrottling(failure: Extract<S3Failure, { kind: 'answer' }>): boolean {
  return failure.retryAfter !== undefined || /slow ?down|reduce/i.test(failure.statusText);
}

function isRegionWrong(failure: Extract<S3Failure, { kind: 'answer' }>, subject: S3Subject): boolean {
  if (failure.s3Code !== undefined && regionCodes.has(failure.s3Code)) return true;
  if (failure.status === 301) return true;
  const isOther = failure.bucketRegion !== undefined && failure.bucketRegion !== subject.region;
  return failure.status === 400 && failure.s3Code === undefined && isOther;
}

function regionAdvice(
  failure: Extract<S3Failure, { kind: 'answer' }>,
  subject: S3Subject,
): [what: string, todo: string] {
  if (failure.bucketRegion === undefined) {
    return [
      `the store does not serve it in region ${subject.region}`,
      'set alluxio.underfs.s3.region or alluxio.underfs.s3.endpoint to where the bucket lies',
    ];
  }
  return [
    `the bucket lies in region ${failure.bucketRegion}, the mount says ${subject.region}`,
    `set alluxio.underfs.s3.region=${failure.bucketRegion}`,
  ];
}

/** Seconds, as every S3 store writes it; a date is not honoured. */
function retryAfterOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\s*\d{1,6}\s*$/.test(text) ? Number(text) * 1000 : undefined;
}

const connectionRows: readonly (readonly [RegExp, ErrorCode, string, Explain])[] = [
  [
    /^UND_ERR_CONNECT_TIMEOUT$|^ETIMEDOUT$|^EHOSTUNREACH$|^ENETUNREACH$/,
    'UfsTimeout',
    'no connection came about',
    endpointText,
  ],
  [
    /^HTTP_SILENT$|^UND_ERR_(HEADERS|BODY)_TIMEOUT$/,
    'UfsTimeout',
    'the store did not answer in time',
    () => 'ask again later',
  ],
  [/^ECONNREFUSED$/, 'UfsUnavailable', 'nobody listens there', endpointText],
  [/^ENOTFOUND$|^EAI_/, 'UfsUnavailable', 'the name of the host is not known', endpointText],
  [/^HPE_|^UND_ERR_(HEADERS_OVERFLOW|RES_)/, 'UfsBadResponse', 'the answer is not HTTP', endpointText],
];

/** A certificate does not become good by asking again. */
const tlsCode = /CERT|^ERR_TLS|^ERR_SSL|^EPROTO$|SELF_SIGNED|UNABLE_TO_/;

function connectionError(action: string, cause: unknown, subject: S3Subject): AlluxioError {
  const errno = errnoOf(cause) ?? '';
  const context = errno === '' ? {} : { errno };
  const name = `cannot ${action} ${nameOf(subject)}`;
  const reason = errno === '' ? '' : ` (${errno})`;
  if (tlsCode.test(errno)) {
    return new AlluxioError(
      'UfsUnavailable',
      `${name}: no safe connection to ${subject.origin}${reason}; check the endpoint's certificate and its scheme`,
      { cause, context, retry: 'never' },
    );
  }
  for (const [pattern, code, what, explain] of connectionRows) {
    if (!pattern.test(errno)) continue;
    return new AlluxioError(code, `${name}: ${what}${reason}; ${explain(subject)}`, { cause, context });
  }
  return new AlluxioError(
    'UfsUnavailable',
    `${name}: the connection to ${subject.origin} broke${reason}; ask again`,
    {
      cause,
      context,
    },
  );
}

function endpointText({ origin }: S3Subject): string {
  return `check that ${origin} is the right endpoint and can be reached`;
}

const nameMaxLength = 300;

/** `s3://bucket/key`: control characters are hidden, and what is very long is cut. */
export function nameOf(subject: Pick<S3Subject, 'bucket' | 'key'>): string {
  const full = subject.key === undefined ? `s3://${subject.bucket}` : `s3://${subject.bucket}/${subject.key}`;
  const name = full.replace(/\p{Cc}/gu, '?');
  return name.length <= nameMaxLength ? name : `${name.slice(0, nameMaxLength)}…`;
}

/** An answer with a good status that is not what was asked. */
export function badAnswer(origin: string, what: string): AlluxioError {
  return new AlluxioError('UfsBadResponse', `${origin} answered wrongly: ${what}`);
}
