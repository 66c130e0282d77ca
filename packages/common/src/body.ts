/**
 * The body of an answer, as the surfaces hand it to a page transport: either a few bytes, or parts that the
 * transport pulls while the socket drains. Parts name where bytes lie instead of carrying them, so that a native
 * transport can send them without a copy; the plain one reads them.
 */

/**
 * A page that lies in the store. It pins the segment, so the bytes stay where they are until `release`.
 * Whoever receives a handle owns it and releases it exactly once, also when the connection is reset.
 */
export interface PageHandle {
  /** Bytes in the page. */
  readonly lengthBytes: number;
  /**
   * Checked bytes [from, to) of the page; the buffer is the caller's. Fails with PageCorrupt when a block does not
   * match its checksum and with PageStoreUnavailable when the disk does not give it: either way the store has already
   * taken the page out, so asking again resolves it anew.
   */
  read(from: number, to: number): Promise<Uint8Array>;
  /** Takes back what `read` gave, to be used for another read: called by whoever is sure that nobody will look at it again, also after `release`. Need not be called. */
  reuse?(bytes: Uint8Array): void;
  /** Where the bytes lie, for a transport that sends from the file itself; undefined once the store no longer has the page there. */
  readonly native?: NativePlace | undefined;
  release(): void;
}

export interface NativePlace {
  readonly segmentId: number;
  /** Of the segment file. The name of one that went is never used again. */
  readonly path: string;
  readonly offset: number;
  readonly lengthBytes: number;
  /** CRC-32 of each block of 64 KiB, the last one shorter. */
  readonly checksums: Uint32Array;
}

/** Bytes of a segment file that are about to be read, and nothing beyond them: there is no readahead. */
export interface SegmentRead {
  readonly path: string;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** A piece of an answer. `from` and `to` count bytes within the page, the slot, or nothing (a stream is the piece itself). */
export type Part =
  | { readonly kind: 'extent'; readonly handle: PageHandle; readonly from: number; readonly to: number }
  /** A page that is being filled: bytes [from, to) of a slot of the pool, as they arrive. */
  | {
      readonly kind: 'slot';
      readonly slot: number;
      readonly generation: number;
      readonly from: number;
      readonly to: number;
      /** Gives up the reader's hold on the slot; called exactly once. */
      release(): void;
    }
  /** Bytes that are not kept. Each chunk is valid until the next one is asked for. Fails like `Ufs.read`. */
  | {
      readonly kind: 'stream';
      readonly stream: AsyncIterable<Uint8Array>;
      readonly lengthBytes: number;
      /** Its chunks are the receiver's for good, so that they need no copy. */
      readonly isOwned?: true;
      /** Left as it is when the client does not keep up, so that it does not keep an under storage waiting: the rest is asked for anew. */
      readonly isLeftWhenSlow?: true;
    };

export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'parts';
      readonly lengthBytes: number;
      /**
       * The part that begins at `offset` of the body (it may end anywhere after it). Asked for in order; asked for again
       * at the offset reached when a part fails: then it resolves store → running fill → under storage, always for the
       * version that the answer began with. Fails with VersionChanged when that version is gone.
       */
      next(offset: number, options: { readonly signal: AbortSignal }): Promise<Part>;
      /** Tells the body that nobody will ask again; called exactly once, at the end or after a reset. */
      close(): void;
    };

export const emptyBody: Body = { kind: 'bytes', bytes: new Uint8Array(0) };

export function textBody(text: string): Body {
  return { kind: 'bytes', bytes: new TextEncoder().encode(text) };
}

export function bodyLengthOf(body: Body): number {
  return body.kind === 'bytes' ? body.bytes.length : body.lengthBytes;
}
