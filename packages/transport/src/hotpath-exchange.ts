/** One request that the native half handed up, until its answer has gone or its client has. */

import type { BodySink } from './body-sender.ts';
import type { NativeHotpath, NativeRequest } from './hotpath-native.ts';

/** Handed down and not gone yet: two chunks of the body sender, so that one is sent while the next is read. */
export const aheadMaxBytes = 512 * 1024;

/** The reason of a request's signal once its answer is over or its client gone: made once, as every request ends with it. */
const answerOver = new Error('the answer is over, or its client has gone');

export class HotpathExchange implements BodySink {
  readonly request: NativeRequest;
  readonly #native: NativeHotpath;
  readonly #connection: number;
  readonly #tellSoon: () => void;
  readonly #gone = new AbortController();
  readonly #bodyPieces: Buffer[] = [];
  #wakeBody: (() => void) | undefined;
  #wakeSink: (() => void) | undefined;
  #tellOver: ((isComplete: boolean) => void) | undefined;
  /** Lengths of the chunks that have not gone. */
  readonly #chunksAhead: number[] = [];
  #aheadBytes = 0;
  /** Of the answer's body, what was handed down. */
  sentBytes = 0;
  isHeadSent: boolean;
  /** One of the places for answers that are under way is its. */
  hasPlace = false;

  /** `tellSoon` has the native half look at what was handed down, once all of it that is at hand was. */
  constructor(
    native: NativeHotpath,
    connection: number,
    { request, tellSoon }: { readonly request: NativeRequest; readonly tellSoon: () => void },
  ) {
    this.#native = native;
    this.#tellSoon = tellSoon;
    this.#connection = connection;
    this.request = request;
    this.isHeadSent = request.resume !== undefined;
    // The rest of the table's head goes before what is handed down here.
    if (this.isHeadSent) this.#chunksAhead.push(0);
  }

  get signal(): AbortSignal {
    return this.#gone.signal;
  }

  /** The request's body, a piece at a time: the next one is read from the socket when it is asked for. */
  async *body(): AsyncGenerator<Uint8Array> {
    if (!this.request.hasBody) return;
    for (;;) {
      this.#native.pullBody(this.#connection);
      while (this.#bodyPieces.length === 0) {
        this.signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          this.#wakeBody = resolve;
        });
      }
      const piece = this.#bodyPieces.shift();
      if (!piece || piece.length === 0) return;
      yield piece;
    }
  }

  sendHead(head: string, bytes?: Uint8Array): void {
    this.isHeadSent = true;
    this.sentBytes += bytes?.length ?? 0;
    const headBytes = Buffer.from(head, 'latin1');
    this.#handDown(bytes ? Buffer.concat([headBytes, bytes]) : headBytes);
  }

  write(bytes: Uint8Array, onSent?: () => void): boolean {
    this.sentBytes += bytes.length;
    this.#handDown(bytes);
    // They were copied.
    onSent?.();
    return this.#aheadBytes < aheadMaxBytes;
  }

  #handDown(bytes: Uint8Array): void {
    this.#chunksAhead.push(bytes.length);
    this.#aheadBytes += bytes.length;
    this.#native.write(this.#connection, bytes);
    this.#tellSoon();
  }

  async drained(signal: AbortSignal): Promise<void> {
    while (this.#aheadBytes >= aheadMaxBytes) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wakeSink = resolve;
      });
    }
  }

  end(isKeptAlive: boolean): void {
    this.#native.end(this.#connection, isKeptAlive);
    this.#tellSoon();
  }

  reset(): void {
    this.#native.reset(this.#connection);
  }

  /** Chunks have gone. */
  onSent(count: number): void {
    for (const lengthBytes of this.#chunksAhead.splice(0, count)) this.#aheadBytes -= lengthBytes;
    this.#wakeSink?.();
  }

  onBody(piece: Buffer): void {
    this.#bodyPieces.push(piece);
    this.#wakeBody?.();
  }

  /** Sets who is told when the answer is over. */
  onceOver(tell: (isComplete: boolean) => void): void {
    this.#tellOver = tell;
  }

  /** The last byte has gone, or the client. */
  onOver(isComplete: boolean): void {
    this.#gone.abort(answerOver);
    this.#tellOver?.(isComplete);
    this.#wakeSink?.();
    this.#wakeBody?.();
  }
}
