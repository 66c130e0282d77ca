/**
 * Where a worker can be reached, in the form that Alluxio's clients read from etcd and from `/v1/node`: capitalised names, unused ports 0.
 * `S3Port` is an addition of ours; clients ignore what they do not know.
 */
export interface WorkerNetAddress {
  readonly Host: string;
  readonly ContainerHost: string;
  readonly RpcPort: number;
  readonly DataPort: number;
  readonly SecureRpcPort: number;
  readonly NettyDataPort: number;
  readonly WebPort: number;
  readonly DomainSocketPath: string;
  readonly HttpServerPort: number;
  readonly S3Port: number;
}

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
