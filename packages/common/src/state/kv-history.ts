/**
 * The last changes of an in-process store, from which watches are served. A watcher has no queue of its own, only the
 * revision that it wants next: one that falls behind what is kept here is told so and lists again.
 */

import { AlluxioError } from '../errors.ts';
import type { KvEvent, KvWatch } from './kv-store.ts';

export const historyBatchesMax = 1000;
export const historyMaxBytes = 8 * 1024 * 1024;

interface Batch {
  readonly events: readonly KvEvent[];
  readonly sizeBytes: number;
}

export class KvHistory {
  /** Batch i belongs to revision `#firstRevision + i`: every revision from there on is here. */
  readonly #batches: Batch[] = [];
  readonly #waiting = new Set<() => void>();
  #firstRevision: number;
  #sizeBytes = 0;
  #closed = false;

  /** `revision` is the store's now; nothing at or before it can be watched. */
  constructor(revision: number) {
    this.#firstRevision = revision + 1;
  }

  /** The events of the next revision. The newest batch is kept whatever its size. */
  add(events: readonly KvEvent[]): void {
    const sizeBytes = events.reduce((sum, event) => sum + sizeOf(event), 0);
    this.#batches.push({ events, sizeBytes });
    this.#sizeBytes += sizeBytes;
    while (
      this.#batches.length > 1 &&
      (this.#batches.length > historyBatchesMax || this.#sizeBytes > historyMaxBytes)
    ) {
      this.#sizeBytes -= this.#batches.shift()?.sizeBytes ?? 0;
      this.#firstRevision++;
    }
    this.#wakeAll();
  }

  watch(prefix: string, options: { readonly fromRevision: number; readonly signal?: AbortSignal }): KvWatch {
    const ended = new AbortController();
    const end = (): void => {
      ended.abort();
      this.#wakeAll();
    };
    options.signal?.addEventListener('abort', end, { once: true });
    if (options.signal?.aborted) end();
    return {
      events: this.#follow(prefix, options.fromRevision, ended.signal, () =>
        options.signal?.removeEventListener('abort', end),
      ),
      close: end,
    };
  }

  /** Ends every watch. */
  close(): void {
    this.#closed = true;
    this.#wakeAll();
  }

  async *#follow(
    prefix: string,
    fromRevision: number,
    ended: AbortSignal,
    release: () => void,
  ): AsyncGenerator<readonly KvEvent[]> {
    try {
      for (let revision = fromRevision; ; ) {
        if (this.#closed || ended.aborted) return;
        if (revision < this.#firstRevision) throw compacted(revision, this.#firstRevision);
        const batch = this.#batches[revision - this.#firstRevision];
        if (batch) {
          revision++;
          const events = batch.events.filter((event) => keyOf(event).startsWith(prefix));
          if (events.length > 0) yield events;
        } else {
          await new Promise<void>((resolve) => this.#waiting.add(resolve));
        }
      }
    } finally {
      release();
    }
  }

  #wakeAll(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

function compacted(revision: number, first: number): AlluxioError {
  return new AlluxioError(
    'StateConflict',
    `the state store keeps no change before revision ${first}, and ${revision} was asked for; list again and watch from there`,
  );
}

function keyOf(event: KvEvent): string {
  return event.kind === 'put' ? event.entry.key : event.key;
}

function sizeOf(event: KvEvent): number {
  return event.kind === 'put'
    ? Buffer.byteLength(event.entry.key) + Buffer.byteLength(event.entry.value)
    : Buffer.byteLength(event.key);
}
