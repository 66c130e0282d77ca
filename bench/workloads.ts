/** What is asked for: the workloads that the data plane is measured by. */

import { KIB, MIB } from '@alluxio-ts/common/units';

export interface ObjectSet {
  readonly prefix: string;
  readonly count: number;
  readonly sizeBytes: number;
}

export interface Workload {
  readonly name: 'w1' | 'w1c' | 'w2' | 'w2c' | 'w3' | 'w4' | 'w5' | 'p1' | 'p2';
  readonly title: string;
  /** Whether the servers pass on what others have, instead of having it. */
  readonly isRelayed: boolean;
  readonly objects: ObjectSet;
  /** Of each range, at a random multiple of it; 0 asks for whole objects. */
  readonly requestBytes: number;
  readonly connectionCount: number;
  /** A connection for each request. */
  readonly isFresh?: boolean;
  /** Pieces of pages, asked of the REST API where the server has one; ranges of objects elsewhere. */
  readonly isOfPages?: boolean;
  /** One answer in so many has its bytes checked; of every one the head is. */
  readonly verifyEvery: number;
}

const ranged: ObjectSet = { prefix: 'ranged', count: 64, sizeBytes: 4 * MIB };
const whole: ObjectSet = { prefix: 'whole', count: 256, sizeBytes: MIB };
const large: ObjectSet = { prefix: 'large', count: 1, sizeBytes: 64 * MIB };

/** Few, so that a folder is soon found of which the asked worker owns none. */
export const relayed: ObjectSet = { prefix: 'relayed', count: 16, sizeBytes: 4 * MIB };

export const objectSets = [ranged, whole, large] as const;

export const workloads: readonly Workload[] = [
  {
    name: 'w1',
    title: 'W1: 4 KiB ranges within 64 objects of 4 MiB, 16 connections',
    isRelayed: false,
    objects: ranged,
    requestBytes: 4 * KIB,
    connectionCount: 16,
    verifyEvery: 100,
  },
  {
    name: 'w2',
    title: 'W2: 128 KiB ranges within 64 objects of 4 MiB, 16 connections',
    isRelayed: false,
    objects: ranged,
    requestBytes: 128 * KIB,
    connectionCount: 16,
    verifyEvery: 100,
  },
  {
    name: 'w1c',
    title: 'W1c: as W1, a connection for each request',
    isRelayed: false,
    objects: ranged,
    requestBytes: 4 * KIB,
    connectionCount: 16,
    isFresh: true,
    verifyEvery: 100,
  },
  {
    name: 'w2c',
    title: 'W2c: as W2, a connection for each request',
    isRelayed: false,
    objects: ranged,
    requestBytes: 128 * KIB,
    connectionCount: 16,
    isFresh: true,
    verifyEvery: 100,
  },
  {
    name: 'w3',
    title: 'W3: whole objects of 1 MiB (256 of them), 16 connections',
    isRelayed: false,
    objects: whole,
    requestBytes: 0,
    connectionCount: 16,
    verifyEvery: 100,
  },
  {
    name: 'w4',
    title: 'W4: one whole object of 64 MiB, 4 connections',
    isRelayed: false,
    objects: large,
    requestBytes: 0,
    connectionCount: 4,
    verifyEvery: 20,
  },
  {
    name: 'p1',
    title: 'P1: as W1, as pieces of pages over the REST API; of nginx as ranges',
    isRelayed: false,
    objects: ranged,
    requestBytes: 4 * KIB,
    connectionCount: 16,
    isOfPages: true,
    verifyEvery: 100,
  },
  {
    name: 'p2',
    title: 'P2: pieces of 1 MiB of the pages of 64 objects of 4 MiB, over the REST API; of nginx as ranges',
    isRelayed: false,
    objects: ranged,
    requestBytes: MIB,
    connectionCount: 16,
    isOfPages: true,
    verifyEvery: 100,
  },
  {
    name: 'w5',
    title:
      'W5: 128 KiB ranges within 16 objects of 4 MiB that another server has, 16 connections; CPU of the one that passes them on',
    isRelayed: true,
    objects: relayed,
    requestBytes: 128 * KIB,
    connectionCount: 16,
    verifyEvery: 100,
  },
];
