/**
 * A worker as it stands in etcd, in Alluxio's form: its clients and tools read these keys and build their ring from them. Under the prefixes lies nothing
 * else, since a client gives up at the first value that it cannot read. `S3Port` is an addition of ours.
 */

import { z } from 'zod';
import { AlluxioError } from '../errors.ts';
import { type WorkerNetAddress, workerNetAddressSchema } from './worker-address.ts';

/** Version 1 is a UUID of 16 bytes; version 0, of older Alluxio, a number of 8. */
export interface WorkerIdentity {
  readonly version: number;
  readonly identifier: Uint8Array;
}

export const workerStates = ['JOINED', 'AUTHORIZED', 'DECOMMISSIONED'] as const;

export interface WorkerEntity {
  /** `worker-<uuid>`: the last part of both of its keys. */
  readonly name: string;
  readonly identity: WorkerIdentity;
  readonly address: WorkerNetAddress;
  readonly state: (typeof workerStates)[number];
  readonly generationNumber: number;
}

/** Leased: what is there is alive. */
export function livePrefixOf(clusterName: string): string {
  return `/ServiceDiscovery/${clusterName}/`;
}

/** Kept until a worker is removed by hand: every member, lost ones too. */
export function registeredPrefixOf(clusterName: string): string {
  return `/DHT/${clusterName}/AUTHORIZED/`;
}

export function workerNameOf({ version, identifier }: WorkerIdentity): string {
  const bytes = Buffer.from(identifier);
  if (version === 0 && bytes.length === 8) return `worker-${bytes.readBigInt64BE()}`;
  const hex = bytes.toString('hex');
  const parts = [[0, 8], [8, 12], [12, 16], [16, 20], [20]].map(([from, to]) => hex.slice(from, to));
  return `worker-${parts.join('-')}`;
}

/** A worker that has joined, as it describes itself. */
export function workerEntity(identity: WorkerIdentity, address: WorkerNetAddress): WorkerEntity {
  return { name: workerNameOf(identity), identity, address, state: 'AUTHORIZED', generationNumber: -1 };
}

const portSchema = z.int().default(0);

/** Other versions leave out fields and add their own: those get the value for "none", these are ignored. */
const valueSchema = z.object({
  Identity: z.object({
    version: z.int(),
    identifier: z.string().regex(/^([0-9a-f]{16}|[0-9a-f]{32})$/),
  }),
  WorkerNetAddress: workerNetAddressSchema.extend({
    ContainerHost: z.string().default(''),
    RpcPort: portSchema,
    DataPort: portSchema,
    SecureRpcPort: portSchema,
    NettyDataPort: portSchema,
    WebPort: portSchema,
    DomainSocketPath: z.string().default(''),
    HttpServerPort: portSchema,
    S3Port: portSchema,
  }),
  State: z.enum(workerStates).default('AUTHORIZED'),
  GenerationNumber: z.int().default(-1),
  ServiceEntityName: z.string().optional(),
});

/** In the order in which Alluxio writes the fields. */
export function encodeWorkerEntity(entity: WorkerEntity): string {
  const { address } = entity;
  return JSON.stringify({
    Identity: {
      version: entity.identity.version,
      identifier: Buffer.from(entity.identity.identifier).toString('hex'),
    },
    WorkerNetAddress: {
      Host: address.Host,
      ContainerHost: address.ContainerHost,
      RpcPort: address.RpcPort,
      DataPort: address.DataPort,
      SecureRpcPort: address.SecureRpcPort,
      NettyDataPort: address.NettyDataPort,
      WebPort: address.WebPort,
      DomainSocketPath: address.DomainSocketPath,
      HttpServerPort: address.HttpServerPort,
      S3Port: address.S3Port,
    },
    State: entity.state,
    GenerationNumber: entity.generationNumber,
    ServiceEntityName: entity.name,
  });
}

/** Throws Internal naming the key when the value is not a worker. */
export function decodeWorkerEntity(key: string, value: string): WorkerEntity {
  const parsed = valueSchema.safeParse(parseJson(value));
  if (!parsed.success) {
    throw new AlluxioError('Internal', `the state store's value at ${key} is not a worker`, {
      cause: parsed.error,
    });
  }
  const { Identity, WorkerNetAddress, State, GenerationNumber, ServiceEntityName } = parsed.data;
  const identity = { version: Identity.version, identifier: Buffer.from(Identity.identifier, 'hex') };
  return {
    name: ServiceEntityName ?? workerNameOf(identity),
    identity,
    address: WorkerNetAddress,
    state: State,
    generationNumber: GenerationNumber,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
