/**
 * The memory in which pages are received: page-sized slots of one SharedArrayBuffer, so that fill threads write and
 * transports read the same bytes. The pool is all the direct memory that fills ever use.
 *
 * A slot has a header of Int32 words. A fill stores bytes first and moves the watermark with an atomic store after, so whoever reads a
 * watermark finds the bytes below it. A page may be fetched in two pieces, the asked tail first:
 *
 *     0          head            split         split+tail        length
 *     |##########|...............|#############|.................|
 *
 * A reader of offset ≥ split waits for `tail`, any other for `head`. A slot returns to the free list when its fill is over and its last reader
 * has gone; the generation, which grows with each use, tells a late reader that the bytes are no longer its page's. Readers copy out,
 * then check the generation: nothing is ever sent from a slot directly.
 *
 * One thread (that of the pool's owner) takes and frees slots and ends fills; fill threads have a `SlotWriter`, which can only bring bytes.
 */

const headerWords = 8;
const generationWord = 0;
const stateWord = 1;
const splitWord = 2;
const tailWord = 3;
const headWord = 4;
/** Grows with every change that a waiter may wait for. */
const signalWord = 5;

export const slotStates = ['free', 'filling', 'done', 'failed'] as const;
export type SlotState = (typeof slotStates)[number];

const freeState = 0;
const fillingState = 1;
const doneState = 2;
const failedState = 3;

export interface SlotPoolOptions {
  readonly slotCount: number;
  readonly slotSizeBytes: number;
}

export interface SlotLease {
  readonly slot: number;
  readonly generation: number;
}

/** What another thread needs to write into slots that it is told of: plain data, of which a copy shares the memory. */
export interface SharedSlots extends SlotPoolOptions {
  readonly buffer: SharedArrayBuffer;
}

/** What a fill does with its slot, in whichever thread. */
export interface SlotWriter {
  /** The slot's memory: only its fill writes here. */
  bytesOf(slot: number): Uint8Array<SharedArrayBuffer>;
  /** Says that bytes [split, split + count) are there. */
  advanceTail(slot: number, count: number): void;
  /** Says that bytes [0, count) are there. */
  advanceHead(slot: number, count: number): void;
}

export class SlotPool implements SlotWriter {
  readonly slotSizeBytes: number;
  readonly slotCount: number;
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #free: number[] = [];
  /** Holds on each slot: one of the fill, one a reader. */
  readonly #holds: Uint32Array;
  /** Those who wait for a free slot, in the order in which they came. */
  readonly #waiting = new Set<() => void>();

  /** The other side of a pool, for a thread that was given its memory. */
  static attach(shared: SharedSlots): SlotWriter {
    const pool = new SlotPool(shared);
    // Slots are taken where the pool was made.
    pool.#free.length = 0;
    return pool;
  }

  constructor(options: SlotPoolOptions & { readonly buffer?: SharedArrayBuffer }) {
    const headerBytes = options.slotCount * headerWords * 4;
    const dataOffset = Math.ceil(headerBytes / 4096) * 4096;
    this.slotSizeBytes = options.slotSizeBytes;
    this.slotCount = options.slotCount;
    this.buffer =
      options.buffer ?? new SharedArrayBuffer(dataOffset + options.slotCount * options.slotSizeBytes);
    this.#header = new Int32Array(this.buffer, 0, options.slotCount * headerWords);
    this.#bytes = new Uint8Array(this.buffer, dataOffset);
    this.#holds = new Uint32Array(options.slotCount);
    for (let slot = options.slotCount - 1; slot >= 0; slot--) this.#free.push(slot);
  }

  get shared(): SharedSlots {
    const { buffer, slotCount, slotSizeBytes } = this;
    return { buffer, slotCount, slotSizeBytes };
  }

  get freeCount(): number {
    return this.#free.length;
  }

  /** A slot for a fill whose first piece begins at `split`; undefined when none is free. Holds the slot once, for the fill. */
  take(split: number): SlotLease | undefined {
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    const at = slot * headerWords;
    const generation = Atomics.add(this.#header, at + generationWord, 1) + 1;
    Atomics.store(this.#header, at + splitWord, split);
    Atomics.store(this.#header, at + tailWord, 0);
    Atomics.store(this.#header, at + headWord, 0);
    Atomics.store(this.#header, at + stateWord, fillingState);
    this.#holds[slot] = 1;
    return { slot, generation };
  }

  /** One more reader; the slot must be held already. */
  hold(slot: number): void {
    this.#holds[slot] = (this.#holds[slot] ?? 0) + 1;
  }

  /** Gives up one hold; the last one frees the slot. */
  release(slot: number): void {
    const holds = (this.#holds[slot] ?? 0) - 1;
    if (holds < 0) throw new Error(`slot ${slot} released more often than held`);
    this.#holds[slot] = holds;
    if (holds > 0) return;
    Atomics.store(this.#header, slot * headerWords + stateWord, freeState);
    this.#free.push(slot);
    this.#wakeNext();
  }

  /** Resolves when it is this caller's turn to take a slot, which it does before anything else is waited for, or not at all. Rejects with the signal's reason. */
  async waitFree(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      this.#waiting.delete(resolve);
      reject(signal.reason as Error);
    };
    this.#waiting.add(resolve);
    signal.addEventListener('abort', leave, { once: true });
    await promise.finally(() => signal.removeEventListener('abort', leave));
  }

  #wakeNext(): void {
    const [next] = this.#waiting;
    if (!next || this.#free.length === 0) return;
    this.#waiting.delete(next);
    next();
    // It may have no use for a slot any more.
    setImmediate(() => this.#wakeNext());
  }

  bytesOf(slot: number): Uint8Array<SharedArrayBuffer> {
    return this.#bytes.subarray(slot * this.slotSizeBytes, (slot + 1) * this.slotSizeBytes);
  }

  advanceTail(slot: number, count: number): void {
    this.#publish(slot, tailWord, count);
  }

  advanceHead(slot: number, count: number): void {
    this.#publish(slot, headWord, count);
  }

  finish(slot: number): void {
    this.#publish(slot, stateWord, doneState);
  }

  fail(slot: number): void {
    this.#publish(slot, stateWord, failedState);
  }

  stateOf(slot: number): SlotState {
    return slotStates[Atomics.load(this.#header, slot * headerWords + stateWord)] ?? 'free';
  }

  isCurrent(lease: SlotLease): boolean {
    return Atomics.load(this.#header, lease.slot * headerWords + generationWord) === lease.generation;
  }

  /** The end of the bytes that are there from `offset` on; `offset` itself when none are. */
  readableEnd(slot: number, offset: number): number {
    const at = slot * headerWords;
    const split = Atomics.load(this.#header, at + splitWord);
    if (offset >= split) return Math.max(offset, split + Atomics.load(this.#header, at + tailWord));
    const head = Atomics.load(this.#header, at + headWord);
    if (head < split) return Math.max(offset, head);
    return split + Atomics.load(this.#header, at + tailWord);
  }

  /**
   * Resolves when a byte at `offset` is there, and gives the end of what is; undefined when it will never be: the fill failed, or the
   * slot has passed to another page. Rejects with the signal's reason.
   */
  async waitReadable(
    lease: SlotLease,
    offset: number,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<number | undefined> {
    const signalIndex = lease.slot * headerWords + signalWord;
    for (;;) {
      options.signal?.throwIfAborted();
      const seen = Atomics.load(this.#header, signalIndex);
      if (!this.isCurrent(lease)) return undefined;
      const end = this.readableEnd(lease.slot, offset);
      if (end > offset) return end;
      if (this.stateOf(lease.slot) !== 'filling') return undefined;
      const wait = Atomics.waitAsync(this.#header, signalIndex, seen);
      if (wait.async) await wait.value;
    }
  }

  #publish(slot: number, word: number, value: number): void {
    const at = slot * headerWords;
    Atomics.store(this.#header, at + word, value);
    Atomics.add(this.#header, at + signalWord, 1);
    Atomics.notify(this.#header, at + signalWord);
  }
}
