/**
 * The seam between surfaces and sockets. A surface is a pure function Request → Response; a page transport listens, frames
 * HTTP, calls that function and sends what it answers. Two implementations with the same behaviour: `plain` (node:http, reads
 * through TypeScript) and `hotpath` (native, answers hits from its own table).
 */

import type { Body, SegmentRead } from '@alluxio-ts/common/body';
import type { AlluxioError } from '@alluxio-ts/common/errors';
import type { FileKey } from '@alluxio-ts/common/page';
import type { DelayWatch } from './delay-watch.ts';

/** One request. Nothing of it is decoded: what the client sent is what the surface sees. */
export interface TransportRequest {
  readonly method: string;
  /** The raw request target: path and query as sent. */
  readonly target: string;
  /** Lower-case names; a header that came twice has its values joined by `, `, except those that may not repeat, where the first counts. */
  readonly headers: ReadonlyMap<string, string>;
  /** The body, at most once. Each chunk is valid until the next one is asked for. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Another worker of the cluster sent it on: answered here as the owner's, and sent no further. */
  readonly isRelayed?: boolean;
  /**
   * Nobody waits for this answer, and its body will not be read: only `reusable` of it is wanted, as what was answered before is about to run out. A record that would be
   * trusted for less than this is asked for anew, while it still stands.
   */
  readonly renewAheadMs?: number;
  /** Of an answer that was begun, bytes [from, to) of the file are left: what a surface gives instead of what the target cuts out. The Range header says the same. */
  readonly rest?: FilePart;
  /** Unique in this process; goes into the response, the log and every call that the request causes. */
  readonly requestId: string;
  /** Address of the client, for the access log. */
  readonly remoteAddress: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  /** Sent in this order. `content-length` is set by the transport from the body, unless the surface set it (an answer to HEAD). */
  readonly headers: HeaderList;
  readonly body: Body;
  /** What is sent instead, of a few bytes, when there is no place for a body of parts: the failure as this surface's clients read it. */
  readonly refusal?: (error: AlluxioError) => TransportResponse;
  /**
   * Asked once the body was sent: what further requests for the same target may be answered with, by a transport that remembers answers.
   * Undefined when that no longer holds; what holds is true until `PageTransport.drop` says otherwise.
   */
  readonly reusable?: () => ReusableAnswer | undefined;
  /**
   * Asked when the answer is there, which another worker gave: where further requests for the same target and of the same method may be sent without asking the surface. It
   * holds for `validForMs` from the call on, unless something was dropped since this request came that routes depend on.
   */
  readonly reusableRoute?: () => ReusableRoute;
}

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** Bytes [from, to) of a file. */
export interface FilePart {
  readonly from: number;
  readonly to: number;
}

/** An answer to GET of a file, so described that any range of the file can be answered by whoever has its pages. */
export interface ReusableAnswer {
  /** Names the version: pages of two versions never meet in one answer. */
  readonly fileKey: FileKey;
  readonly sizeBytes: number;
  readonly pageSizeBytes: number;
  /** Where in the file this answer's body begins. */
  readonly bodyFrom: number;
  /**
   * Where the target names a part of the file: that part, out of which `offset=` and `length=` in its query cut what is wanted, and which is answered 200. A
   * target without it names the file, and the Range header cuts.
   */
  readonly window?: FilePart;
  /** On the monotonic clock. */
  readonly freshUntilMs: number;
  readonly etag: string | undefined;
  /** Of every answer about the file, those to HEAD and 304 among them; without length and range, which follow from the request. */
  readonly headers: HeaderList;
  /** Only with a body. */
  readonly bodyHeaders: HeaderList;
  /** The header that carries the request's id. */
  readonly requestIdHeader: string;
}

/** A request that another worker answers, so described that it can be made again. */
export interface ReusableRoute {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
  readonly target: string;
  /** Without those that the client's request brings, and without the request's id. */
  readonly headers: HeaderList;
  readonly validForMs: number;
  /** The header of the answer to the client that carries the request's id. */
  readonly requestIdHeader: string;
}

/** What is no longer true, or no longer there. */
export type Dropped =
  | { readonly kind: 'file'; readonly fileKey: FileKey }
  | { readonly kind: 'segment'; readonly path: string }
  /** Who answers what: members, their addresses, or who of them can be reached. */
  | { readonly kind: 'routes' }
  /** The routes too. */
  | { readonly kind: 'all' };

/** Never throws: a surface turns its failures into answers. What escapes all the same is answered 500 and logged. */
export type RequestHandler = (request: TransportRequest) => Promise<TransportResponse>;

/** One answer that is over, for the access log and the call metrics. */
export interface AnsweredRequest {
  /** The listener's name: `s3`, `rest`. */
  readonly listener: string;
  readonly requestId: string;
  readonly method: string;
  readonly target: string;
  readonly remoteAddress: string;
  readonly status: number;
  /** Of the body. */
  readonly sentBytes: number;
  /** From the whole request head to the last byte handed to the socket. */
  readonly durationMs: number;
  /** False when the client went away or the answer was reset. */
  readonly isComplete: boolean;
  /** The `x-alluxio-cache` header of the answer. */
  readonly outcome: string | undefined;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** For errors and logs: `s3`, `rest`. */
  readonly name: string;
  readonly handler: RequestHandler;
}

export interface Listener {
  readonly host: string;
  readonly port: number;
}

export interface PageTransport {
  /** Fails with PortTaken naming the port, or InvalidOptions when the address is not one of this machine. */
  listen(options: ListenOptions): Promise<Listener>;
  /** No answer that begins after this returns is made of what is dropped without asking the surface. */
  drop(dropped: Dropped): void;
  /** These bytes may now come from the disk: that they were checked before says nothing of them. */
  beforeRead(read: SegmentRead): void;
  /** Begins to count how late connections are served; one at a time. Not before it listens. */
  watchDelays(): DelayWatch;
  /** Stops accepting, lets answers in flight finish until the deadline, then resets the rest. */
  close(options: { readonly deadlineMs: number }): Promise<void>;
}
