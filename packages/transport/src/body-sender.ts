/**
 * Sends a body of parts into a sink: pulls part after part, and when one fails asks again at the offset reached. Bytes that
 * were sent are never sent twice, and an answer either completes or fails; it never switches to other bytes.
 */

import type { Body, Part } from '@alluxio-ts/common/body';
import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, hasErrorCode } from '@alluxio-ts/common/errors';
import { giveBuffer, takeBuffer } from '@alluxio-ts/common/read-buffers';
import { resolvesWithin } from '@alluxio-ts/common/resolves-within';
import type { SlotPool } from '@alluxio-ts/common/slot-pool';

/** What is read, and handed to the socket, at once. */
const chunkSizeBytes = 256 * 1024;

/** A client that takes longer for what it was given does not keep up. */
const slowMs = 500;

/** So many parts in a row may fail without a byte of progress before the answer is given up. */
const barrenPartsMax = 8;

export interface BodySink {
  /**
   * Takes the bytes (they are the sink's from then on); false asks to wait for `drained` before the next. A sink that can tell calls `onSent` when it has sent them
   * and will not look at them again, and never when sending failed.
   */
  write(bytes: Uint8Array, onSent?: () => void): boolean;
  drained(signal: AbortSignal): Promise<void>;
}

export interface SendOptions {
  readonly slots: SlotPool;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called when all of an extent was read, checked and handed to the sink, before its handle is released. `offset` is that of the body. */
  readonly onExtentSent?: (extent: ExtentPart, offset: number) => void;
}

export type ExtentPart = Extract<Part, { readonly kind: 'extent' }>;

type PartsBody = Extract<Body, { readonly kind: 'parts' }>;

/** Resolves when every byte is handed to the sink. Fails with what the last part failed with. */
export async function sendBody(body: PartsBody, sink: BodySink, options: SendOptions): Promise<void> {
  let offset = 0;
  let barrenParts = 0;
  while (offset < body.lengthBytes) {
    const part = await body.next(offset, { signal: options.signal });
    const sent = await sendPart(part, { offset, lengthMax: body.lengthBytes - offset }, sink, options);
    barrenParts = sent === 0 ? barrenParts + 1 : 0;
    if (barrenParts > barrenPartsMax) {
      throw new AlluxioError('Internal', `no part gave a byte at offset ${offset} in ${barrenParts} tries`);
    }
    offset += sent;
  }
}

/** Bytes sent of this part. A part that may be asked for anew ends early instead of failing. */
async function sendPart(
  part: Part,
  place: { readonly offset: number; readonly lengthMax: number },
  sink: BodySink,
  options: SendOptions,
): Promise<number> {
  switch (part.kind) {
    case 'extent':
      return sendExtent(part, place.offset, sink, options);
    case 'slot':
      return sendSlot(part, sink, options);
    case 'stream':
      return sendStream(part, place.lengthMax, sink, options);
    default:
      return part satisfies never;
  }
}

async function sendExtent(
  part: ExtentPart,
  offset: number,
  sink: BodySink,
  options: SendOptions,
): Promise<number> {
  let at = part.from;
  try {
    while (at < part.to) {
      const bytes = await part.handle.read(at, Math.min(part.to, at + chunkSizeBytes));
      at += bytes.length;
      options.signal.throwIfAborted();
      if (!sink.write(bytes, () => part.handle.reuse?.(bytes))) await sink.drained(options.signal);
    }
    options.onExtentSent?.(part, offset);
  } catch (thrown) {
    if (!hasErrorCode(thrown, 'PageCorrupt', 'PageStoreUnavailable')) throw thrown;
  } finally {
    part.handle.release();
  }
  return at - part.from;
}

/**
 * Copies out of a slot while it fills. A client that is slow to take bytes gives the slot up and asks again when it has drained, so that
 * no reader holds fill memory for longer than a copy takes.
 */
async function sendSlot(
  part: Extract<Part, { readonly kind: 'slot' }>,
  sink: BodySink,
  options: SendOptions,
): Promise<number> {
  const { slots, signal } = options;
  let at = part.from;
  let mustDrain = false;
  try {
    while (at < part.to && !mustDrain) {
      const readableEnd = await slots.waitReadable(part, at, { signal });
      // A fill that failed says why when the page is asked for again.
      if (readableEnd === undefined) break;
      const end = Math.min(readableEnd, part.to, at + chunkSizeBytes);
      const bytes = takeBuffer(end - at);
      bytes.set(slots.bytesOf(part.slot).subarray(at, end));
      if (!slots.isCurrent(part)) break;
      at = end;
      mustDrain = !sink.write(bytes, () => giveBuffer(bytes));
    }
  } finally {
    part.release();
  }
  if (mustDrain) await sink.drained(signal);
  return at - part.from;
}

async function sendStream(
  part: Extract<Part, { readonly kind: 'stream' }>,
  lengthMax: number,
  sink: BodySink,
  options: SendOptions,
): Promise<number> {
  const { clock, signal } = options;
  let sent = 0;
  let draining: Promise<void> | undefined;
  try {
    for await (const chunk of part.stream) {
      signal.throwIfAborted();
      if (sent + chunk.length > lengthMax) {
        throw new AlluxioError('Internal', 'the under storage gave more bytes than asked for');
      }
      sent += chunk.length;
      if (sink.write(part.isOwned ? chunk : Buffer.from(chunk))) continue;
      draining = sink.drained(signal);
      if (part.isLeftWhenSlow && !(await resolvesWithin(clock, slowMs, draining))) break;
      await draining;
    }
  } catch (thrown) {
    // A connection that broke in mid-body: the rest is asked for by a new one, of the same version.
    if (!hasErrorCode(thrown, 'UfsUnavailable', 'UfsTimeout', 'UfsBadResponse')) throw thrown;
  }
  await draining;
  return sent;
}
