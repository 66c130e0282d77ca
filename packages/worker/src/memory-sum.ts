/**
 * What a worker may come to need of memory, at its bounds: the sum that its control group's limit should not be below. The page cache of the kernel is the cache's
 * second tier and gives way under pressure, so that usage as the control group counts it says little; this sum says whether the worker may be killed.
 */

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import { blockSizeBytes } from '@alluxio-ts/common/page';
import type { MemorySum } from '@alluxio-ts/common/protocol/diagnosis';
import { KIB, MIB } from '@alluxio-ts/common/units';
import { hotpathAnswerMaxBytes, hotpathTransportDefaults } from '@alluxio-ts/transport/hotpath-transport';
import { plainAnswerMaxBytes } from '@alluxio-ts/transport/plain-transport';
import { fillThreadHeapMaxBytes } from './cache/thread-fill-runner.ts';
import { fileRecordsMax } from './file-records/file-record-store.ts';
import { storedNamesBytes } from './file-records/stored-names.ts';
import { recordThreadHeapMaxBytes } from './file-records/record-port.ts';
import { readBuffersMaxBytes } from '@alluxio-ts/common/read-buffers';
import { shadowCachesMaxBytes } from './page-store/shadow-caches.ts';

export interface MemoryBounds {
  readonly transport: 'plain' | 'hotpath';
  readonly directMemoryBytes: number;
  readonly fillThreadCount: number;
  readonly pageSizeBytes: number;
  readonly answersMax: number;
  /** Requests to storages that load jobs may have under way; no more than half of the pages of direct memory. */
  readonly loadConcurrencyMax: number;
  /** Of all directories together. */
  readonly capacityBytes: number;
}

/** What the process runs on. */
export interface MemoryGiven {
  /** What the heap of the main thread may grow to. */
  readonly heapMaxBytes: number;
  readonly limitBytes: number;
  readonly sockets: SocketLimits;
}

/** How much of the kernel's memory sockets may take. */
export interface SocketLimits {
  /** What one connection may have to send, `net.ipv4.tcp_wmem`. */
  readonly sendMaxBytes: number;
  /** What may wait on one connection to be received, `net.ipv4.tcp_rmem`. */
  readonly receiveMaxBytes: number;
  /** All connections of the machine together, `net.ipv4.tcp_mem`. */
  readonly allMaxBytes: number;
}

const checksumBytes = 4;
/** A row of the page table, and of its hash where that is emptiest. */
const pageRowBytes = 59;
/** A row of the file index, of its hash where that is emptiest, and the texts of an S3 object. */
const fileRowBytes = 87;
/** Node itself, its stacks and libraries, SQLite's cache. */
const overheadBytes = 128 * MIB;
const kernelShare = 0.1;

/** Answers that may be under way, as the option says; -1 leaves it to the memory. */
export function answersMaxOf(
  setting: number,
  transport: MemoryBounds['transport'],
  given: MemoryGiven = memoryGiven(),
): number {
  if (setting >= 0) return setting;
  const bytes = answerBytesOf(transport) + socketsPerAnswer[transport] * given.sockets.sendMaxBytes;
  return Math.min(answersMost, Math.max(answersLeast, Math.floor(answersShare * (given.limitBytes / bytes))));
}

const answersShare = 0.25;
const answersLeast = 64;
const answersMost = 4096;

/** The hot path's table has as many places beside. */
const socketsPerAnswer = { plain: 1, hotpath: 2 } as const;

function answerBytesOf(transport: MemoryBounds['transport']): number {
  return transport === 'plain' ? plainAnswerMaxBytes : hotpathAnswerMaxBytes;
}

/** Pages that load jobs may fetch at once, of what the option says. */
export function loadConcurrencyOf(
  bounds: Pick<MemoryBounds, 'loadConcurrencyMax' | 'directMemoryBytes' | 'pageSizeBytes'>,
): number {
  const slotCount = Math.floor(bounds.directMemoryBytes / bounds.pageSizeBytes);
  return Math.max(1, Math.min(bounds.loadConcurrencyMax, Math.floor(slotCount / 2)));
}

/** The page table is counted for full pages; small files need more. */
export function memorySumOf(bounds: MemoryBounds, given: MemoryGiven = memoryGiven()): MemorySum {
  const { answersMax, capacityBytes, directMemoryBytes, fillThreadCount, pageSizeBytes, transport } = bounds;
  const { allMaxBytes, receiveMaxBytes, sendMaxBytes } = given.sockets;
  const loads = loadConcurrencyOf(bounds);
  const own = [
    { name: 'main heap', bytes: given.heapMaxBytes },
    {
      name: 'heaps of threads',
      bytes: fillThreadCount * fillThreadHeapMaxBytes + recordThreadHeapMaxBytes,
    },
    { name: 'direct memory', bytes: directMemoryBytes },
    { name: 'block checksums', bytes: Math.ceil(capacityBytes / blockSizeBytes) * checksumBytes },
    { name: 'page table', bytes: Math.ceil(capacityBytes / pageSizeBytes) * pageRowBytes },
    { name: 'file index', bytes: fileRecordsMax * fileRowBytes },
    { name: 'stored names', bytes: 2 * storedNamesBytes(fileRecordsMax) },
    { name: 'read buffers', bytes: readBuffersMaxBytes + answersMax * answerBytesOf(transport) },
    {
      name: 'socket buffers',
      bytes: Math.min(
        allMaxBytes,
        answersMax * socketsPerAnswer[transport] * sendMaxBytes + loads * receiveMaxBytes,
      ),
    },
    { name: 'shadow caches', bytes: shadowCachesMaxBytes },
    ...(transport === 'hotpath'
      ? [
          {
            name: 'hot path table',
            bytes: hotpathTransportDefaults.tableBytes + hotpathTransportDefaults.routesBytes,
          },
        ]
      : []),
    { name: 'overhead', bytes: overheadBytes },
  ];
  const kernel = { name: 'page cache of the kernel', bytes: Math.ceil(kernelShare * sumOf(own)) };
  const parts = [...own, kernel];
  return { parts, sumBytes: sumOf(parts), limitBytes: given.limitBytes };
}

/** The limit of the control group (version 1 or 2), or the memory of the machine where there is none or it is higher. */
function memoryGiven(): MemoryGiven {
  const limitBytes = process.constrainedMemory();
  return {
    heapMaxBytes: getHeapStatistics().heap_size_limit,
    limitBytes: limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem(),
    sockets: socketLimits(),
  };
}

/** Those of Linux where it says nothing else. */
const sendMaxDefaultBytes = 4 * MIB;
const receiveMaxDefaultBytes = 6 * MIB;
const kernelPageBytes = 4 * KIB;

function socketLimits(): SocketLimits {
  const mostOf = (name: string): number | undefined => {
    try {
      const words = readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/);
      return Number(words[2]);
    } catch {
      return undefined;
    }
  };
  return {
    sendMaxBytes: mostOf('tcp_wmem') ?? sendMaxDefaultBytes,
    receiveMaxBytes: mostOf('tcp_rmem') ?? receiveMaxDefaultBytes,
    allMaxBytes: (mostOf('tcp_mem') ?? Number.POSITIVE_INFINITY) * kernelPageBytes,
  };
}

function sumOf(parts: readonly { readonly bytes: number }[]): number {
  return parts.reduce((sum, { bytes }) => sum + bytes, 0);
}
