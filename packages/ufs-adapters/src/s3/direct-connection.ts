/**
 * One plain HTTP/1.1 connection whose answers are received straight into the caller's memory. Node's own clients give each piece of a body a buffer of its
 * own, which costs several times the processor time of the transfer; here the kernel copies into the page and nobody else touches the bytes.
 *
 * One request at a time, only GET. A body whose length is not given is not received: whoever asked takes another client.
 */

import { Buffer } from 'node:buffer';
import { type Socket, connect } from 'node:net';
import { HttpFailure } from './http-failure.ts';
import type { Patience } from './patience.ts';
import { type ResponseHead, parseResponseHead } from './response-head.ts';

export interface DirectTarget {
  readonly host: string;
  readonly port: number;
  readonly connectTimeoutMs: number;
  /** How long an answer may take to begin. */
  readonly headTimeoutMs: number;
  /** How long an answer that began may be silent. */
  readonly silenceTimeoutMs: number;
  /** How long the connection is kept without a request. */
  readonly idleTimeoutMs: number;
}

/** A head, and the begin of the body that comes with it: what is in here is copied, so it is small. */
const headReadBytes = 4096;
const headMaxBytes = 64 * 1024;
/** The document of an error is shorter. */
export const errorDocumentMaxBytes = 64 * 1024;
/** So long the rest of an answer waits on its connection: a page takes less to be written, and stores do not wait for ever. */
const partedMaxMs = 2000;
const headEnd = Buffer.from('\r\n\r\n');

interface Waiter {
  /** Of all of the body; otherwise of the head. */
  readonly isOfBody: boolean;
  resolve(): void;
  reject(reason: unknown): void;
}

/** The answer to one request as it comes, or a part of its body. */
export class DirectAnswer {
  /** Undefined until it has come; of a later part of a body, until the first of its bytes has. */
  head: ResponseHead | undefined;
  /** Where the body goes; undefined when nobody wants it: it is longer than asked, or its length is not known. */
  body: Uint8Array | undefined;
  /** Bytes of the answer behind those that there is memory for. */
  leftBytes = 0;
  #receivedBytes = 0;
  readonly #into: Uint8Array;
  readonly #nextBytes: number;
  #partOf: ResponseHead | undefined;
  #onReceived: ((count: number) => void) | undefined;
  #failure: { readonly reason: unknown } | undefined;
  #waiter: Waiter | undefined;

  /** A body may be longer than the memory by `nextBytes`; then only its begin is received here. */
  constructor(into: Uint8Array, nextBytes = 0) {
    this.#into = into;
    this.#nextBytes = nextBytes;
  }

  /** As much more of an answer's body as there is memory for. */
  static next({ head, leftBytes }: DirectAnswer, into: Uint8Array): DirectAnswer {
    const part = new DirectAnswer(into);
    part.#partOf = head;
    part.body = into;
    part.leftBytes = leftBytes - into.length;
    return part;
  }

  /** Whether what comes now is of the body. */
  get isInBody(): boolean {
    return this.head !== undefined || this.#partOf !== undefined;
  }

  get isWhole(): boolean {
    return this.body !== undefined && this.#receivedBytes === this.body.length;
  }

  /** Where the rest of the body belongs; undefined when nothing of it is to come. */
  get rest(): Uint8Array | undefined {
    return this.isWhole ? undefined : this.body?.subarray(this.#receivedBytes);
  }

  /** Resolves with the head; fails with what happened to the connection. */
  async begun(): Promise<ResponseHead> {
    if (!this.head) await this.#wait({ isOfBody: false });
    if (!this.head) throw new Error('an answer began without a head');
    return this.head;
  }

  /** Resolves with the body when all of it is there: in the caller's memory, or in memory of its own when it is an error's. Tells meanwhile how much has come. */
  async whole(onReceived?: (count: number) => void): Promise<Uint8Array> {
    const { body } = this;
    if (!body) throw new HttpFailure('HPE_INVALID', 'the answer is longer than what was asked for');
    this.#onReceived = onReceived;
    if (this.#receivedBytes > 0) onReceived?.(this.#receivedBytes);
    if (!this.isWhole) await this.#wait({ isOfBody: true });
    return body;
  }

  begin(head: ResponseHead): void {
    this.head = head;
    this.body = this.#bodyMemoryOf(head);
  }

  /** So many bytes more are where they belong. */
  received(count: number): void {
    this.head ??= this.#partOf;
    this.#receivedBytes += count;
  }

  /** Has whoever waits look at what came. */
  tell(): void {
    this.#onReceived?.(this.#receivedBytes);
    if (this.#waiter?.isOfBody && !this.isWhole) return;
    this.#waiter?.resolve();
    this.#waiter = undefined;
  }

  /** Nothing more comes. */
  fail(reason: unknown): void {
    this.#failure = { reason };
    this.#waiter?.reject(reason);
    this.#waiter = undefined;
  }

  #wait({ isOfBody }: { readonly isOfBody: boolean }): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure.reason);
    return new Promise<void>((resolve, reject) => {
      this.#waiter = { isOfBody, resolve, reject };
    });
  }

  #bodyMemoryOf({ lengthBytes, statusCode }: ResponseHead): Uint8Array | undefined {
    if (statusCode === 204 || statusCode === 304) return new Uint8Array(0);
    if (lengthBytes === undefined) return undefined;
    const isAsked = statusCode === 200 || statusCode === 206;
    if (isAsked) {
      if (lengthBytes > this.#into.length + this.#nextBytes) return undefined;
      this.leftBytes = Math.max(0, lengthBytes - this.#into.length);
      return this.#into.subarray(0, lengthBytes);
    }
    return lengthBytes <= errorDocumentMaxBytes ? new Uint8Array(lengthBytes) : undefined;
  }
}

export interface ConnectionEvents {
  /** The answer is whole, and the connection may take the next request. */
  readonly onIdle: (connection: DirectConnection) => void;
  /** As much of the answer's body is there as there was memory for, and more is to come: `next` may be called. */
  readonly onParted: (connection: DirectConnection) => void;
  /** Called once: the connection can take no further request. */
  readonly onOver: (connection: DirectConnection) => void;
}

export class DirectConnection {
  readonly #target: DirectTarget;
  readonly #events: ConnectionEvents;
  readonly #socket: Socket;
  readonly #headBuffer = Buffer.allocUnsafeSlow(headReadBytes);
  /** What was given to be read into. */
  #buffer: Uint8Array = this.#headBuffer;
  /** Of the request under way. */
  #answer: DirectAnswer | undefined;
  /** What came of a head that is not whole. */
  #headBytes: Buffer | undefined;
  /** With the request under way, until its answer begins; undefined where nothing shortens `headTimeoutMs`. */
  #patience: Patience | undefined;
  #silentMs = 0;
  /** The answer that has come as far as there was memory for it; nothing is read meanwhile. */
  #parted: DirectAnswer | undefined;
  #isOver = false;

  /** Begins to connect; a request may follow at once. */
  constructor(target: DirectTarget, events: ConnectionEvents) {
    this.#target = target;
    this.#events = events;
    this.#socket = connect({
      host: target.host,
      port: target.port,
      noDelay: true,
      onread: { buffer: () => this.#nextBuffer(), callback: (count) => this.#received(count) },
    });
    this.#socket.setTimeout(target.connectTimeoutMs);
    this.#socket.once('connect', () => this.#socket.setTimeout(target.headTimeoutMs));
    this.#socket.on('timeout', () => this.#timedOut());
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('end', () => this.#end(new HttpFailure('HTTP_ENDED', 'the store closed the connection')));
    this.#socket.on('close', () => this.#end(new HttpFailure('HTTP_ENDED', 'the connection was closed')));
  }

  /**
   * Sends the request. A body of status 200 or 206 that fits is received into `into` from then on, whether anybody reads the answer or not: that memory
   * is the connection's until the answer is whole, has failed, or `destroy` was called. An answer that has not begun when the patience is over fails with HTTP_LATE.
   */
  get(requestHead: string, into: Uint8Array, patience?: Patience, nextBytes = 0): DirectAnswer {
    const answer = new DirectAnswer(into, nextBytes);
    this.#answer = answer;
    this.#patience = patience;
    this.#silentMs = 0;
    if (!this.#socket.connecting) this.#awaitHead();
    this.#socket.write(requestHead, 'latin1');
    return answer;
  }

  /** How many bytes of the answer are to come for `next`. */
  get leftBytes(): number {
    return this.#parted?.leftBytes ?? 0;
  }

  /** Receives as many more bytes of the answer as there is memory for; there must be so many left. */
  next(into: Uint8Array): DirectAnswer {
    const parted = this.#parted;
    if (!parted || into.length > parted.leftBytes) throw new Error('so many bytes are not left');
    const answer = DirectAnswer.next(parted, into);
    this.#parted = undefined;
    this.#answer = answer;
    this.#patience = undefined;
    this.#silentMs = 0;
    this.#socket.setTimeout(this.#target.silenceTimeoutMs);
    this.#socket.resume();
    return answer;
  }

  /** Ends the connection; what is under way fails with the reason. Nothing is written to the caller's memory any more. */
  destroy(reason: unknown): void {
    this.#end(reason);
  }

  #awaitHead(): void {
    const leftMs = this.#target.headTimeoutMs - this.#silentMs;
    this.#socket.setTimeout(Math.min(leftMs, this.#patience?.ms ?? leftMs));
  }

  /** Of a process that was busy, timers run before what came meanwhile is read: that is waited for. */
  #timedOut(): void {
    const answer = this.#answer;
    const { bytesRead, connecting, timeout = 0 } = this.#socket;
    setImmediate(() => {
      const isSame = this.#answer === answer && this.#socket.connecting === connecting;
      if (isSame && this.#socket.bytesRead === bytesRead) this.#wasSilentFor(timeout);
    });
  }

  #wasSilentFor(ms: number): void {
    const isAwaitingHead = this.#answer !== undefined && !this.#answer.head;
    this.#silentMs += ms;
    if (!isAwaitingHead || !this.#patience || this.#silentMs >= this.#target.headTimeoutMs) {
      this.#end(this.#silence());
    } else if (this.#patience.isOver(this.#silentMs)) {
      this.#end(new HttpFailure('HTTP_LATE', 'a connection that was used before gave no answer'));
    } else {
      this.#awaitHead();
    }
  }

  #nextBuffer(): Uint8Array {
    this.#buffer = this.#answer?.rest ?? this.#headBuffer;
    return this.#buffer;
  }

  /** False stops the reading of what nobody wants. */
  #received(count: number): boolean {
    const answer = this.#answer;
    if (!answer) {
      this.#end(new HttpFailure('HPE_INVALID', 'the store sent more than was asked for'));
      return false;
    }
    if (!answer.isInBody) return this.#receivedHead(answer, this.#headBuffer.subarray(0, count));
    if (this.#buffer === this.#headBuffer) {
      // It was given before there was memory for the part that begins now.
      const { rest } = answer;
      if (!rest || count > rest.length) {
        this.#end(new HttpFailure('HPE_INVALID', 'more came than was announced'));
        return false;
      }
      rest.set(this.#headBuffer.subarray(0, count));
    }
    answer.received(count);
    if (answer.isWhole) this.#answered(answer);
    answer.tell();
    return !this.#parted;
  }

  #receivedHead(answer: DirectAnswer, bytes: Buffer): boolean {
    const all = this.#headBytes ? Buffer.concat([this.#headBytes, bytes]) : bytes;
    const end = all.indexOf(headEnd);
    if (end === -1 && all.length <= headMaxBytes) {
      // The memory that was read into is used again.
      this.#headBytes = Buffer.from(all);
      return true;
    }
    this.#headBytes = undefined;
    try {
      const head = parseResponseHead(all.toString('utf8', 0, end === -1 ? 0 : end));
      const rest = all.subarray(end + headEnd.length);
      // 100 Continue and its like announce the answer; they are not it.
      if (head.statusCode < 200) return rest.length === 0 || this.#receivedHead(answer, Buffer.from(rest));
      return this.#begin(answer, head, rest);
    } catch (thrown) {
      this.#end(thrown);
      return false;
    }
  }

  #begin(answer: DirectAnswer, head: ResponseHead, first: Buffer): boolean {
    answer.begin(head);
    const { body } = answer;
    if (body) {
      if (first.length > body.length) throw new HttpFailure('HPE_INVALID', 'more came than was announced');
      body.set(first);
      answer.received(first.length);
      this.#socket.setTimeout(this.#target.silenceTimeoutMs);
      if (answer.isWhole) this.#answered(answer);
    }
    answer.tell();
    return body !== undefined && !this.#parted;
  }

  #answered(answer: DirectAnswer): void {
    this.#answer = undefined;
    if (answer.leftBytes > 0) {
      this.#parted = answer;
      this.#socket.setTimeout(partedMaxMs);
      this.#events.onParted(this);
      return;
    }
    if (!answer.head?.isKeptAlive) {
      this.#end(undefined);
      return;
    }
    this.#socket.setTimeout(this.#target.idleTimeoutMs);
    this.#events.onIdle(this);
  }

  #silence(): HttpFailure {
    return this.#socket.connecting
      ? new HttpFailure('ETIMEDOUT', `no connection within ${this.#target.connectTimeoutMs} ms`)
      : new HttpFailure('HTTP_SILENT', 'the store was silent for too long');
  }

  #end(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#answer?.fail(reason);
    this.#answer = undefined;
    this.#events.onOver(this);
  }
}
