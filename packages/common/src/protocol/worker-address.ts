import { z } from 'zod';

/**
 * Where a worker can be reached, in the form that Alluxio's clients read from etcd and from `/v1/node`: capitalised names, unused ports 0.
 * `S3Port` is an addition of ours; clients ignore what they do not know.
 */
export const workerNetAddressSchema = z.object({
  Host: z.string(),
  ContainerHost: z.string(),
  RpcPort: z.int(),
  DataPort: z.int(),
  SecureRpcPort: z.int(),
  NettyDataPort: z.int(),
  WebPort: z.int(),
  DomainSocketPath: z.string(),
  HttpServerPort: z.int(),
  S3Port: z.int(),
});

export type WorkerNetAddress = Readonly<z.infer<typeof workerNetAddressSchema>>;

export function workerNetAddress(ports: {
  readonly host: string;
  readonly httpServerPort: number;
  readonly webPort: number;
  readonly s3Port: number;
}): WorkerNetAddress {
  return {
    Host: ports.host,
    ContainerHost: '',
    RpcPort: 0,
    DataPort: 0,
    SecureRpcPort: 0,
    NettyDataPort: 0,
    WebPort: ports.webPort,
    DomainSocketPath: '',
    HttpServerPort: ports.httpServerPort,
    S3Port: ports.s3Port,
  };
}

/** Where its REST API is; by it the workers of a cluster are told apart. */
export function hostAndPortOf({
  Host,
  HttpServerPort,
}: Pick<WorkerNetAddress, 'Host' | 'HttpServerPort'>): string {
  return `${Host}:${HttpServerPort}`;
}
