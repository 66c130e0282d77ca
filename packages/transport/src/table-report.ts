/** What the hot path's table has answered by itself, as it is told from time to time. */

import type { PageId } from '@alluxio-ts/common/page';
import { type NativeHotpath, tableCallKinds, timeBucketCount } from './hotpath-native.ts';
import type { AnsweredRequest } from './page-transport.ts';

/** So many pages are told at once; the others wait for the next time. */
const pagesMax = 4096;

export interface TableReport {
  readonly calls: readonly TableCalls[];
  readonly listeners: readonly ListenerBytes[];
  /** At most 4096; what there is more comes with the next report. */
  readonly pages: readonly PageUses[];
  /** For the access log, where there is one. */
  readonly answers: readonly AnsweredRequest[];
  /** Uses of pages and answers for the log that found no room, since the start. */
  readonly droppedCount: number;
}

export interface ListenerBytes {
  readonly listener: string;
  /** Of answers of the table. */
  readonly bodyBytes: number;
  /** Answers of other workers that were passed on, and the bytes of their bodies. */
  readonly relayedCount: number;
  readonly relayedBytes: number;
}

/** Answers of one kind. */
export interface TableCalls {
  readonly listener: string;
  readonly method: 'GET' | 'HEAD';
  readonly status: number;
  /** Their targets name a part of a file. */
  readonly isPiece: boolean;
  readonly isComplete: boolean;
  /** Of those that took no longer than each bound of `timeBoundsMs` and longer than the one before; at the end, of those that took longer than all. */
  readonly bucketCounts: readonly number[];
  readonly durationSumMs: number;
}

export interface PageUses {
  readonly page: PageId;
  readonly lengthBytes: number;
  readonly count: number;
}

/** Since the last report. */
export function takeTableReport(native: NativeHotpath, listeners: readonly string[]): TableReport {
  const counted = listeners.map((listener, index) => ({ listener, counts: native.takeCounts(index) }));
  return {
    calls: counted.flatMap(({ counts, listener }) => callsOf(listener, counts)),
    listeners: counted.map(({ counts, listener }) => {
      const [bodyBytes = 0, relayedCount = 0, relayedBytes = 0] = counts.slice(-3);
      return { listener, bodyBytes, relayedCount, relayedBytes };
    }),
    pages: pagesOf(native.takePageUses(pagesMax)),
    answers: native.takeLines().map(({ isHead, listener, outcome, ...line }) => ({
      ...line,
      listener: listeners[listener] ?? '',
      method: isHead ? 'HEAD' : 'GET',
      outcome: outcome === '' ? undefined : outcome,
    })),
    droppedCount: native.droppedCount(),
  };
}

/** Those of which there were any. */
function callsOf(listener: string, counts: readonly number[]): readonly TableCalls[] {
  const width = timeBucketCount + 1;
  return tableCallKinds.flatMap((kind, index) =>
    [true, false].flatMap((isComplete) => {
      const start = (2 * index + (isComplete ? 0 : 1)) * width;
      const bucketCounts = counts.slice(start, start + timeBucketCount);
      const durationSumMs = (counts[start + timeBucketCount] ?? 0) / 1000;
      const isAny = bucketCounts.some((count) => count > 0);
      return isAny ? [{ listener, ...kind, isComplete, bucketCounts, durationSumMs }] : [];
    }),
  );
}

function pagesOf(words: Uint32Array): readonly PageUses[] {
  const uses: PageUses[] = [];
  for (let at = 0; at < words.length; at += 6) {
    const [a = 0, b = 0, c = 0, index = 0, lengthBytes = 0, count = 0] = words.subarray(at, at + 6);
    uses.push({ page: { file: { a, b, c }, index }, lengthBytes, count });
  }
  return uses;
}
