/** The S3 API of a worker as a function from request to response: what is asked (`s3-target`), which operation it is, and its answer or error document. */

import { emptyBody, textBody } from '@alluxio-ts/common/body';
import { AlluxioError } from '@alluxio-ts/common/errors';
import type { Logger } from '@alluxio-ts/common/logger';
import type {
  RequestHandler,
  TransportRequest,
  TransportResponse,
} from '@alluxio-ts/transport/page-transport';
import type { FileCache } from '../cache/file-cache.ts';
import type { MountTable, ServedMount } from '../cache/mount-table.ts';
import { fileNameOf } from '../cache/mount-table.ts';
import type { FileRouter } from '../cluster/peer-relay.ts';
import { answerFile } from '../http/file-answer.ts';
import { answerRouted } from '../http/routed.ts';
import { createSurface, type ErrorDescription } from '../http/surface.ts';
import { listObjects } from './list-objects.ts';
import type { S3Target } from './s3-target.ts';
import { parseS3Target } from './s3-target.ts';
import type { XmlElement } from './s3-xml.ts';
import { s3Namespace, xmlDocument } from './s3-xml.ts';

export interface S3SurfaceOptions {
  readonly cache: FileCache;
  readonly mounts: MountTable;
  readonly router: FileRouter;
  readonly logger: Logger;
}

/** Named as S3 names them: the label of the call metrics. */
export type S3Operation =
  | 'ListBuckets'
  | 'HeadBucket'
  | 'GetBucketLocation'
  | 'GetBucketVersioning'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'HeadObject'
  | 'GetObject'
  | 'Unsupported';

/** Query parameters that turn a request into another operation, none of which is offered. */
const subresources = [
  'accelerate',
  'acl',
  'analytics',
  'attributes',
  'cors',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'logging',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versions',
  'website',
] as const;

const requestIdHeader = 'x-amz-request-id';

export function createS3Surface(options: S3SurfaceOptions): RequestHandler {
  return createSurface({
    idHeader: requestIdHeader,
    logger: options.logger,
    answer: (request) => answer(request, options),
    describe: describeError,
  });
}

async function answer(request: TransportRequest, options: S3SurfaceOptions): Promise<TransportResponse> {
  const target = parseS3Target(request.target);
  const operation = operationOf(request.method, target);
  switch (operation) {
    case 'ListBuckets':
      return xmlResponse(listBuckets(options.mounts));
    case 'HeadBucket':
      mountOf(target, options.mounts);
      return { status: 200, headers: [['x-amz-bucket-region', 'us-east-1']], body: emptyBody };
    case 'GetBucketLocation':
      mountOf(target, options.mounts);
      return xmlResponse(xmlDocument(['LocationConstraint', ''], { namespace: s3Namespace }));
    case 'GetBucketVersioning':
      mountOf(target, options.mounts);
      return xmlResponse(xmlDocument(['VersioningConfiguration', ''], { namespace: s3Namespace }));
    case 'ListObjects':
    case 'ListObjectsV2': {
      const mount = mountOf(target, options.mounts);
      return xmlResponse(await listObjects(target, mount, options.cache, { signal: request.signal }));
    }
    case 'HeadObject':
    case 'GetObject':
      return answerObject(request, target, options);
    case 'Unsupported':
      throw refusalOf(request.method, target);
    default:
      return operation satisfies never;
  }
}

function answerObject(
  request: TransportRequest,
  target: S3Target,
  options: S3SurfaceOptions,
): Promise<TransportResponse> {
  const file = fileNameOf(mountOf(target, options.mounts), target.key);
  const how = {
    requestIdHeader,
    overrides: headerOverrides(target),
    ...partRange(target, request),
  };
  return answerRouted({ request, api: 's3', file }, options, (where) =>
    answerFile(request, file, options.cache, { ...how, ...where }),
  );
}

export function operationOf(method: string, target: S3Target): S3Operation {
  const isGet = method === 'GET';
  if (!isGet && method !== 'HEAD') return 'Unsupported';
  if (target.bucket === '') return isGet ? 'ListBuckets' : 'Unsupported';
  if (subresources.some((name) => target.query.has(name))) return 'Unsupported';
  if (target.key !== '') return isGet ? 'GetObject' : 'HeadObject';
  if (!isGet) return 'HeadBucket';
  if (target.query.has('location')) return 'GetBucketLocation';
  if (target.query.has('versioning')) return 'GetBucketVersioning';
  return target.query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects';
}

function refusalOf(method: string, target: S3Target): AlluxioError {
  if (method === 'GET' || method === 'HEAD') {
    const asked = subresources.find((name) => target.query.has(name));
    return new AlluxioError('NotImplemented', `${asked ? `?${asked}` : method} is not offered here`);
  }
  return new AlluxioError('MethodNotAllowed', `${method} is not allowed: the S3 API serves reads only`);
}

/** `response-content-type=…` and its like: how the answer is to describe the object. */
const overridable = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
] as const;

function headerOverrides(target: S3Target): ReadonlyMap<string, string> {
  const overrides = new Map<string, string>();
  for (const name of overridable) {
    const value = target.query.get(`response-${name}`);
    if (value === undefined) continue;
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw new AlluxioError('InvalidArgument', `response-${name} has a character that no header may have`);
    }
    overrides.set(name, value);
  }
  return overrides;
}

/** Objects have one part here, whatever they were uploaded in: part 1 is the whole, as a range. */
function partRange(target: S3Target, request: TransportRequest): { readonly range?: string } {
  const part = target.query.get('partNumber');
  if (part === undefined) return {};
  if (part !== '1')
    throw new AlluxioError('InvalidRange', `part ${part} does not exist: every object has one part here`);
  if (request.headers.has('range'))
    throw new AlluxioError('InvalidArgument', 'partNumber and Range exclude each other');
  return { range: 'bytes=0-' };
}

/** A bucket is a mount: the first component of a path in Alluxio's namespace. */
function mountOf(target: S3Target, mounts: MountTable): ServedMount {
  const mount = mounts.get(`/${target.bucket}`);
  if (!mount) throw new AlluxioError('MountNotFound', `no mount at /${target.bucket}`);
  return mount;
}

function listBuckets(mounts: MountTable): string {
  const buckets = mounts.list().map(
    (mount): XmlElement => [
      'Bucket',
      [
        ['Name', mount.path.slice(1)],
        ['CreationDate', new Date(mount.sinceMs).toISOString()],
      ],
    ],
  );
  const owner: readonly XmlElement[] = [
    ['ID', 'alluxio'],
    ['DisplayName', 'alluxio'],
  ];
  return xmlDocument(
    [
      'ListAllMyBucketsResult',
      [
        ['Owner', owner],
        ['Buckets', buckets],
      ],
    ],
    { namespace: s3Namespace },
  );
}

function xmlResponse(document: string): TransportResponse {
  return { status: 200, headers: [['content-type', 'application/xml']], body: textBody(document) };
}

function describeError(request: TransportRequest, error: AlluxioError, message: string): ErrorDescription {
  const headers: [string, string][] = [['content-type', 'application/xml']];
  const sizeBytes = error.context['sizeBytes'];
  if (error.code === 'InvalidRange' && sizeBytes !== undefined) {
    headers.push(['content-range', `bytes */${sizeBytes}`]);
  }
  const document = xmlDocument([
    'Error',
    [
      ['Code', error.s3Code],
      ['Message', message],
      ['Resource', request.target.split('?', 1)[0] ?? '/'],
      ['RequestId', request.requestId],
    ],
  ]);
  return { headers, body: textBody(document) };
}
