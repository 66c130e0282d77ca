/** The native half of the hot path as TypeScript sees it: the classes and records of packages/transport/hotpath. */

import { existsSync } from 'node:fs';
import { AlluxioError } from '@alluxio-ts/common/errors';
import { builtAddonFile, findHotpathAddon } from './hotpath-addon.ts';
import type { FilePart } from './page-transport.ts';

/** What its thread tells, by number. */
export const eventKinds = {
  request: 0,
  body: 1,
  sent: 2,
  answered: 3,
  gone: 4,
  drainedAll: 5,
  renewal: 6,
} as const;

export interface NativeEvent {
  readonly kind: (typeof eventKinds)[keyof typeof eventKinds];
  readonly connection: number;
  /** To be answered; of a renewal, one that the table has answered from an entry that is about to run out. */
  readonly request?: NativeRequest;
  /** A piece of the request's body; an empty one is its end. */
  readonly body?: Buffer;
  /** Chunks that have gone. */
  readonly sent?: number;
}

export interface NativeRequest {
  readonly listener: number;
  readonly method: string;
  readonly target: string;
  /** Name (lower case), value, name, value. */
  readonly headers: readonly string[];
  readonly remoteAddress: string;
  readonly hasBody: boolean;
  readonly isKeptAlive: boolean;
  /** The table has begun the answer and cannot go on: bytes [from, to) of the file are left, of the version with this entity tag. The head is not to be sent. */
  readonly resume?: { readonly from: number; readonly to: number; readonly etag: string };
}

export interface NativeOptions {
  readonly tableBytes: number;
  readonly connectionsMax: number;
  /** Beyond so many answers under way the table gives none. */
  readonly answersMax: number;
  readonly headersTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly neutralHeaders: readonly string[];
  readonly requestIdPrefix: string;
  readonly routesBytes: number;
  /** To each other worker. */
  readonly upstreamsMax: number;
  /** Upper bounds of the buckets that times of answers are counted in, at most 15; one more is for what is above. */
  readonly timeBoundsMs: readonly number[];
  /** Whether `takeLines` will be called. */
  readonly isLogged: boolean;
  /** Of the cluster; empty where there is none. */
  readonly peerSecret: string;
}

/** An answer that the native thread gave, and that is over. */
export interface NativeLine {
  readonly listener: number;
  readonly isHead: boolean;
  readonly status: number;
  readonly target: string;
  readonly requestId: string;
  readonly sentBytes: number;
  readonly durationMs: number;
  readonly remoteAddress: string;
  readonly isComplete: boolean;
  /** As the answer's head says it; empty where that says nothing. */
  readonly outcome: string;
}

export interface NativeEntry {
  readonly listener: number;
  readonly target: string;
  readonly fileKey: readonly number[];
  readonly sizeBytes: number;
  readonly pageSizeBytes: number;
  readonly freshForMs: number;
  /** From then on a use of the entry tells of a renewal, at most once in some seconds. */
  readonly renewInMs: number;
  /** Whole header lines, each with its end. */
  readonly headers: string;
  readonly bodyHeaders: string;
  /** Up to the value. */
  readonly requestIdHeader: string;
  readonly etag: string;
  readonly window?: FilePart;
  readonly pages: readonly {
    readonly index: number;
    readonly path: string;
    readonly offset: number;
    readonly lengthBytes: number;
    readonly checksums: Uint32Array;
  }[];
}

export interface NativeRoute {
  readonly listener: number;
  readonly method: string;
  readonly target: string;
  /** Of an IP. */
  readonly address: string;
  readonly port: number;
  /** The request's line and whole header lines, each with its end. */
  readonly request: string;
  /** Up to the value. */
  readonly requestIdHeader: string;
  readonly freshForMs: number;
}

/** Every call returns at once; what was asked of a connection that has gone is ignored. */
export interface NativeHotpath {
  listen(host: string, port: number): { readonly port: number; readonly errno: number };
  /** The bytes are copied; they may wait for `tell`. */
  write(connection: number, bytes: Uint8Array): void;
  /** May wait for `tell`, too. */
  end(connection: number, isKeptAlive: boolean): void;
  /** Has the thread look at what was written and ended: a wake-up costs more than most of what there is to do. */
  tell(): void;
  pullBody(connection: number): void;
  reset(connection: number): void;
  put(entry: NativeEntry): void;
  putRoute(route: NativeRoute): void;
  dropFile(fileKey: readonly number[]): void;
  dropSegment(path: string): void;
  /** Somebody is about to read these bytes of a segment. */
  beforeRead(path: string, offset: number, lengthBytes: number): void;
  dropAll(): void;
  dropRoutes(): void;
  /**
   * Since the last call, of each kind of `tableCallKinds`, complete ones and then those that were not: 16 counts in buckets, the sum of the times in
   * microseconds. At the end, bytes of bodies, answers of other workers that were passed on, and their bytes.
   */
  takeCounts(listener: number): readonly number[];
  /** Pages that were used since they were taken last, at most so many: three words of the file's key, index, length in bytes, number of uses of each. */
  takePageUses(countMax: number): Uint32Array;
  /** Answers that are over since the last call. */
  takeLines(): readonly NativeLine[];
  /** How many uses and lines found no room, since the start. */
  droppedCount(): number;
  /** Whether it is to be counted how late the thread comes to a timer of 1 ms. */
  watchDelays(isWatched: boolean): void;
  /** Whether what is due from now on is so beside work that may be the reason if it is late. */
  markDelays(isBeside: boolean): void;
  /** Since the last call, by the buckets of `delay-watch`: what was due without that work, then what was due beside it. */
  takeDelays(): Uint32Array;
  drain(): void;
  /** Waits for the thread's end, which is at most a turn away. */
  stop(): void;
}

/** Kinds of answers, in the order of their counts; whether their targets name a part of a file. */
export const tableCallKinds = [
  { method: 'GET', status: 200, isPiece: false },
  { method: 'GET', status: 206, isPiece: false },
  { method: 'HEAD', status: 200, isPiece: false },
  { method: 'HEAD', status: 206, isPiece: false },
  { method: 'GET', status: 304, isPiece: false },
  { method: 'HEAD', status: 304, isPiece: false },
  { method: 'GET', status: 200, isPiece: true },
  { method: 'HEAD', status: 200, isPiece: true },
] as const;

export const timeBucketCount = 16;

/** Writes into files in a thread of its own, one after the other. It does not keep the process alive. */
export interface NativeFileWriter {
  /** Writes the pieces one behind the other; they must not change, and the descriptor must stay open, until the end of `id` is told. */
  write(id: number, fd: number, pieces: readonly Uint8Array[], position: number): void;
  /** The thread ends when it has done what it was asked for. No write may follow. */
  close(): void;
}

/** What the page store takes from it. */
export interface NativePages {
  /** One call of the kernel writes no more than `callMaxBytes`, and ends at a multiple of them. An errno of 0 says that all was written. */
  readonly FileWriter: new (
    callMaxBytes: number,
    onEnded: (ended: { readonly id: number; readonly errno: number }) => void,
  ) => NativeFileWriter;
  /** Puts the CRC-32 of each block of 64 KiB where they are wanted, from the first place on. */
  checksumBlocks(bytes: Uint8Array, checksums: Uint32Array): void;
  /** Whether every block has the checksum that stands at its place, from `first` on. */
  blocksMatch(bytes: Uint8Array, checksums: Uint32Array, first: number): boolean;
  /**
   * Reads ranges of a file in a thread of Node's pool. `ranges` are three numbers each: position, length in bytes, how many of the checksums are its own, one a block. Resolves with a
   * number for each: 0 when it has its checksums, -1 when it has not or the file ends before, else the errno that reading failed with. The descriptor must stay open until then.
   */
  checkFile(fd: number, ranges: Float64Array, checksums: Uint32Array): Promise<readonly number[]>;
  /** From the disk comes no more than what is asked for by this descriptor. */
  readNoFurther(fd: number): void;
}

interface NativeModule extends NativePages {
  readonly Hotpath: new (
    options: NativeOptions,
    onEvents: (events: readonly NativeEvent[]) => void,
  ) => NativeHotpath;
}

/** Whether the addon was built here, by `npm run prepare`. */
export function isHotpathBuilt(): boolean {
  return existsSync(builtAddonFile);
}

/** Undefined where there is no addon that can be used. */
export function findNativePages(): NativePages | undefined {
  const addon = findHotpathAddon();
  return addon.kind === 'there' ? (addon.module as NativeModule) : undefined;
}

/** Starts the native thread. Fails with InvalidOptions where there is no addon that can be used. */
export function startNativeHotpath(
  options: NativeOptions,
  onEvents: (events: readonly NativeEvent[]) => void,
): NativeHotpath {
  const addon = findHotpathAddon();
  if (addon.kind === 'missing') {
    throw new AlluxioError('InvalidOptions', `the hotpath transport has no native part: ${addon.reason}`);
  }
  const { Hotpath } = addon.module as NativeModule;
  return new Hotpath(options, onEvents);
}
