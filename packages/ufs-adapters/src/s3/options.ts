/** What a mount of an S3 bucket may say, under the names that Alluxio uses. */

import { isIP } from 'node:net';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { MountUri } from '@alluxio-ts/common/ufs-path';
import { parseDuration } from '@alluxio-ts/common/units';
import { checkKnownOptions, type MountOption, optionValue } from '../mount-options.ts';

const table = {
  accessKeyId: {
    name: 's3a.accessKeyId',
    aliases: ['s3.accessKeyId', 'aws.accessKeyId'],
    isSecret: true,
    help: 'Access key id. Without keys the default chain of AWS is used: environment, profile, instance role.',
  },
  secretKey: {
    name: 's3a.secretKey',
    aliases: ['s3.secretKey', 'aws.secretKey'],
    isSecret: true,
    help: 'Secret access key.',
  },
  sessionToken: {
    name: 's3a.sessionToken',
    aliases: ['s3.sessionToken', 'aws.sessionToken'],
    isSecret: true,
    help: 'Session token of temporary keys.',
  },
  anonymous: {
    name: 'alluxio.underfs.s3.anonymous',
    help: 'true: requests are not signed, for public buckets.',
  },
  region: {
    name: 'alluxio.underfs.s3.region',
    help: 'Region of the bucket. Default: AWS_REGION, then us-east-1.',
  },
  endpoint: {
    name: 'alluxio.underfs.s3.endpoint',
    help: 'Address of an S3-compatible store, such as http://10.0.0.1:9000; without a scheme https is meant.',
  },
  endpointRegion: {
    name: 'alluxio.underfs.s3.endpoint.region',
    help: 'Region that requests to the endpoint are signed for. Default: the region.',
  },
  disableDnsBuckets: {
    name: 'alluxio.underfs.s3.disable.dns.buckets',
    help: 'true: the bucket is part of the path, not of the host. Default: true where the host is an address or localhost, or the bucket has a dot.',
  },
  inheritAcl: {
    name: 'alluxio.underfs.s3.inherit.acl',
    help: 'Accepted and without meaning: permissions of objects are not read.',
  },
  listOrdered: {
    name: 'alluxio.underfs.s3.list.ordered',
    help: 'false: for stores that do not list in the byte order of names (SeaweedFS, S3 Express); such listings cannot be resumed. Default: true.',
  },
  checksumVerify: {
    name: 'alluxio.underfs.s3.checksum.verify',
    help: 'What objects that are read in one piece are compared with. auto: the CRC-32 that they were uploaded with, where the store has it; md5: failing that their ETag, where it is an MD5 (some 2 CPU seconds a GiB); none. Default: auto.',
  },
  requestTimeout: {
    name: 'alluxio.underfs.s3.request.timeout',
    help: 'How long the store may take to begin its answer. Default: 1min.',
  },
  socketTimeout: {
    name: 'alluxio.underfs.s3.socket.timeout',
    help: 'How long a connection may be silent within an answer. Default: 50s.',
  },
  connectTimeout: {
    name: 'alluxio.underfs.s3.connect.timeout',
    help: 'How long connecting may take. Default: 4s.',
  },
  keptConnectionTimeout: {
    name: 'alluxio.underfs.s3.kept.connection.timeout',
    help: 'How long a connection that was used before may be silent until a read, status or listing is sent once more on a new one, as far as the budget of retries goes; four times what 99 % of the last answers took where that is longer. Default: 2s.',
  },
  threadsMax: {
    name: 'alluxio.underfs.s3.threads.max',
    help: 'Requests in flight at once, and so connections. Default: 40.',
  },
  maxErrorRetry: {
    name: 'alluxio.underfs.s3.max.error.retry',
    help: 'How often a request that failed for a passing reason is repeated. Default: 3.',
  },
} as const satisfies Record<string, MountOption>;

export const s3MountOptions: readonly MountOption[] = Object.values(table);

export type S3Credentials =
  | {
      readonly kind: 'keys';
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string | undefined;
    }
  /** The default chain of AWS. */
  | { readonly kind: 'default' }
  | { readonly kind: 'anonymous' };

/** What a whole object is compared with. */
export type ChecksumVerify = 'auto' | 'md5' | 'none';

export interface S3UfsOptions {
  readonly bucket: string;
  /** '' or ends with '/'; stands before every key. */
  readonly keyPrefix: string;
  /** Scheme, host and port that connections are made to. */
  readonly origin: string;
  /** What stands before the key in the path of a request: '' or `/bucket`, behind the path of the endpoint. */
  readonly pathPrefix: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  /** Whether the store lists in the byte order of names, as S3 does. */
  readonly isListOrdered: boolean;
  readonly checksumVerify: ChecksumVerify;
  readonly requestTimeoutMs: number;
  readonly socketTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly keptConnectionTimeoutMs: number;
  readonly connectionsMax: number;
  readonly retryCountMax: number;
}

export interface S3OptionsInput {
  readonly uri: MountUri;
  readonly options: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** False: an option that the table does not have is passed over. */
  readonly check: boolean;
}

/** Throws InvalidOptions naming the option that is unknown or wrong; never its value where that may be secret. */
export function s3UfsOptions(input: S3OptionsInput): S3UfsOptions {
  const { uri, options, environment } = input;
  if (input.check) checkKnownOptions('s3', options, s3MountOptions);
  const region =
    optionValue(options, table.region) ??
    environment['AWS_REGION'] ??
    environment['AWS_DEFAULT_REGION'] ??
    'us-east-1';
  const endpoint = optionValue(options, table.endpoint);
  const base = endpointOf(endpoint, region);
  const isPathStyle =
    readBoolean(options, table.disableDnsBuckets) ?? prefersPathStyle(base.hostname, uri.authority);
  const host = isPathStyle ? base.host : `${uri.authority}.${base.host}`;
  const basePath = base.pathname.replace(/\/+$/, '');
  return {
    bucket: uri.authority,
    keyPrefix: uri.prefix === '' ? '' : `${uri.prefix}/`,
    origin: `${base.protocol}//${host}`,
    pathPrefix: isPathStyle ? `${basePath}/${uri.authority}` : basePath,
    region: (endpoint === undefined ? undefined : optionValue(options, table.endpointRegion)) ?? region,
    credentials: credentialsOf(options),
    isListOrdered: readBoolean(options, table.listOrdered) ?? true,
    checksumVerify: readChecksumVerify(options),
    requestTimeoutMs: readDuration(options, table.requestTimeout, 60_000),
    socketTimeoutMs: readDuration(options, table.socketTimeout, 50_000),
    connectTimeoutMs: readDuration(options, table.connectTimeout, 4000),
    keptConnectionTimeoutMs: readDuration(options, table.keptConnectionTimeout, 2000),
    connectionsMax: readCount(options, table.threadsMax, { default: 40, min: 1, max: 10_000 }),
    retryCountMax: readCount(options, table.maxErrorRetry, { default: 3, min: 0, max: 100 }),
  };
}

function endpointOf(endpoint: string | undefined, region: string): URL {
  const suffix = region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com';
  const text = endpoint ?? `s3.${region}.${suffix}`;
  const url = URL.parse(text.includes('://') ? text : `https://${text}`);
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '') return url;
  throw new AlluxioError(
    'InvalidOptions',
    `${table.endpoint.name} or ${table.region.name} gives no address of a server; write such as http://10.0.0.1:9000`,
  );
}

/** An address has no names below it, and a certificate for `*.s3…` does not cover a bucket with a dot. */
function prefersPathStyle(hostname: string, bucket: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 || host === 'localhost' || bucket.includes('.');
}

function credentialsOf(options: Readonly<Record<string, string>>): S3Credentials {
  const accessKeyId = optionValue(options, table.accessKeyId);
  const secretAccessKey = optionValue(options, table.secretKey);
  const sessionToken = optionValue(options, table.sessionToken);
  const isAnonymous = readBoolean(options, table.anonymous) ?? false;
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    const [given, missing] =
      accessKeyId === undefined
        ? [table.secretKey.name, table.accessKeyId.name]
        : [table.accessKeyId.name, table.secretKey.name];
    throw new AlluxioError('InvalidOptions', `${given} is given without ${missing}; give both or neither`);
  }
  if (isAnonymous && accessKeyId !== undefined) {
    throw new AlluxioError(
      'InvalidOptions',
      `${table.anonymous.name}=true excludes access keys; give one of them`,
    );
  }
  if (sessionToken !== undefined && accessKeyId === undefined) {
    throw new AlluxioError(
      'InvalidOptions',
      `${table.sessionToken.name} is given without ${table.accessKeyId.name}; give the keys that it belongs to`,
    );
  }
  if (isAnonymous) return { kind: 'anonymous' };
  if (accessKeyId === undefined || secretAccessKey === undefined) return { kind: 'default' };
  return { kind: 'keys', accessKeyId, secretAccessKey, sessionToken };
}

function readChecksumVerify(options: Readonly<Record<string, string>>): ChecksumVerify {
  const value = optionValue(options, table.checksumVerify)?.toLowerCase() ?? 'auto';
  if (value === 'auto' || value === 'md5' || value === 'none') return value;
  throw new AlluxioError(
    'InvalidOptions',
    `${table.checksumVerify.name} is "${value}"; write auto, md5 or none`,
  );
}

function readBoolean(options: Readonly<Record<string, string>>, option: MountOption): boolean | undefined {
  const value = optionValue(options, option)?.toLowerCase();
  if (value === undefined) return undefined;
  if (value === 'true' || value === 'false') return value === 'true';
  throw new AlluxioError('InvalidOptions', `${option.name} is "${value}"; write true or false`);
}

/** A day is more than any request takes, and still far from where timers overflow. */
const durationMaxMs = 86_400_000;

function readDuration(
  options: Readonly<Record<string, string>>,
  option: MountOption,
  defaultMs: number,
): number {
  const value = optionValue(options, option);
  if (value === undefined) return defaultMs;
  const durationMs = parseDuration(value);
  if (durationMs >= 1 && durationMs <= durationMaxMs) return durationMs;
  throw new AlluxioError('InvalidOptions', `${option.name} is "${value}"; write a duration from 1ms to 1d`);
}

function readCount(
  options: Readonly<Record<string, string>>,
  option: MountOption,
  bounds: { readonly default: number; readonly min: number; readonly max: number },
): number {
  const value = optionValue(options, option);
  if (value === undefined) return bounds.default;
  const count = Number(value);
  if (Number.isInteger(count) && count >= bounds.min && count <= bounds.max) return count;
  throw new AlluxioError(
    'InvalidOptions',
    `${option.name} is "${value}"; write a whole number from ${bounds.min} to ${bounds.max}`,
  );
}
