/** Makes a storage fail as a test wants it, and counts what it is asked for. Nothing here waits for time: a gate opens when the test says so. */

import { receiveRead } from '@alluxio-ts/ufs-adapters/reception';
import type {
  CallOptions,
  FileStatus,
  ListOptions,
  ListPage,
  ReadOptions,
  ReceiveOptions,
  Ufs,
  UfsCapability,
  UfsRead,
  UfsReception,
} from '@alluxio-ts/ufs-adapters/ufs';

export type FaultyOperation = 'stat' | 'list' | 'read' | 'write' | 'remove';

export interface RecordedCall {
  readonly operation: FaultyOperation;
  /** Of a listing its prefix. */
  readonly key: string;
  readonly offset?: number;
  readonly lengthBytes?: number;
  readonly version?: string | undefined;
}

export interface Gate {
  /** Resolves when a call has come to the gate. */
  readonly reached: Promise<void>;
  open(): void;
}

interface FaultTarget {
  readonly operation: FaultyOperation;
  /** Every key unless given. */
  readonly key?: string;
  /** How many calls are met; 1 unless given. */
  readonly times?: number;
}

interface Fault extends FaultTarget {
  left: number;
  readonly error?: unknown;
  readonly gate?: GateParts;
}

interface BodyFault {
  readonly key: string;
  readonly afterBytes: number;
  readonly error?: unknown;
  readonly gate?: GateParts;
}

interface GateParts {
  readonly reach: () => void;
  readonly opened: Promise<void>;
}

export class FaultyUfs implements Ufs {
  readonly #ufs: Ufs;
  readonly #faults: Fault[] = [];
  readonly #bodyFaults: BodyFault[] = [];
  readonly #versions = new Map<string, string | undefined>();
  readonly #bytes = new Map<string, number>();
  /** Every call so far, in order. */
  readonly calls: RecordedCall[] = [];
  /** Overrides the inner one where a test wants another. */
  capability: UfsCapability;
  #openBodyCount = 0;

  constructor(ufs: Ufs) {
    this.#ufs = ufs;
    this.capability = ufs.capability;
  }

  /** The next calls fail with this error before they reach the storage. */
  fail(error: unknown, target: FaultTarget): void {
    this.#faults.push({ ...target, left: target.times ?? 1, error });
  }

  /** The next call waits before it reaches the storage. */
  hold(target: FaultTarget): Gate {
    const { gate, parts } = createGate();
    this.#faults.push({ ...target, left: target.times ?? 1, gate: parts });
    return gate;
  }

  /** The body of the next read of this key ends after so many bytes as if that were all. */
  shorten(key: string, afterBytes: number): void {
    this.#bodyFaults.push({ key, afterBytes });
  }

  /** The body of the next read of this key fails after so many bytes. */
  breakBody(key: string, afterBytes: number, error: unknown): void {
    this.#bodyFaults.push({ key, afterBytes, error });
  }

  /** The body of the next read of this key waits after so many bytes. */
  holdBody(key: string, afterBytes: number): Gate {
    const { gate, parts } = createGate();
    this.#bodyFaults.push({ key, afterBytes, gate: parts });
    return gate;
  }

  /** From now on every status of this key carries this version instead of its own. */
  claimVersion(key: string, version: string | undefined): void {
    this.#versions.set(key, version);
  }

  callCount(operation: FaultyOperation, key?: string): number {
    return this.calls.filter(
      (call) => call.operation === operation && (key === undefined || call.key === key),
    ).length;
  }

  /** Bytes that bodies of this key have given; of all keys unless one is named. */
  byteCount(key?: string): number {
    if (key !== undefined) return this.#bytes.get(key) ?? 0;
    return [...this.#bytes.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Bodies that were begun and have neither ended nor been left. */
  get openBodyCount(): number {
    return this.#openBodyCount;
  }

  async stat(key: string, options: CallOptions = {}): Promise<FileStatus | undefined> {
    await this.#meet({ operation: 'stat', key }, options.signal);
    const file = await this.#ufs.stat(key, options);
    return file && this.#disguise(file);
  }

  async *list(options: ListOptions): AsyncGenerator<ListPage> {
    await this.#meet({ operation: 'list', key: options.prefix }, options.signal);
    for await (const page of this.#ufs.list(options)) {
      yield page.map((entry) =>
        entry.kind === 'file' ? { kind: 'file', file: this.#disguise(entry.file) } : entry,
      );
    }
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    await this.#meetRead(key, options);
    return this.#read(key, options, this.#takeBodyFault(key));
  }

  async receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    await this.#meetRead(key, options);
    const fault = this.#takeBodyFault(key);
    if (fault) return receiveRead(() => this.#read(key, options, fault), options);
    let received = 0;
    const onReceived = (count: number): void => {
      this.#count(key, count - received);
      received = count;
      options.onReceived(count);
    };
    const { file, over } = await this.#ufs.receive(key, { ...options, onReceived });
    this.#openBodyCount++;
    const close = (): void => void this.#openBodyCount--;
    over.then(close, close);
    return { file: this.#disguise(file), over };
  }

  async #read(key: string, options: ReadOptions, fault: BodyFault | undefined): Promise<UfsRead> {
    const { file, body } = await this.#ufs.read(key, options);
    return {
      file: this.#disguise(file),
      body: { [Symbol.asyncIterator]: () => this.#chunks(body, key, fault, options.signal) },
    };
  }

  #meetRead(key: string, { offset, lengthBytes, version, signal }: ReadOptions): Promise<void> {
    return this.#meet({ operation: 'read', key, offset, lengthBytes, version }, signal);
  }

  #takeBodyFault(key: string): BodyFault | undefined {
    const at = this.#bodyFaults.findIndex((fault) => fault.key === key);
    return at < 0 ? undefined : this.#bodyFaults.splice(at, 1)[0];
  }

  async write(key: string, bytes: Uint8Array, options: CallOptions = {}): Promise<FileStatus> {
    await this.#meet({ operation: 'write', key }, options.signal);
    return this.#disguise(await this.#ufs.write(key, bytes, options));
  }

  async remove(key: string, options: CallOptions = {}): Promise<void> {
    await this.#meet({ operation: 'remove', key }, options.signal);
    await this.#ufs.remove(key, options);
  }

  close(): Promise<void> {
    return this.#ufs.close();
  }

  async #meet(call: RecordedCall, signal: AbortSignal | undefined): Promise<void> {
    this.calls.push(call);
    const fault = this.#faults.find(
      ({ operation, key, left }) =>
        left > 0 && operation === call.operation && (key === undefined || key === call.key),
    );
    if (!fault) return;
    fault.left--;
    if (fault.gate) await pass(fault.gate, signal);
    else throw fault.error;
  }

  #disguise(file: FileStatus): FileStatus {
    return this.#versions.has(file.key) ? { ...file, version: this.#versions.get(file.key) } : file;
  }

  async *#chunks(
    body: AsyncIterable<Uint8Array>,
    key: string,
    fault: BodyFault | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array> {
    let left = fault?.afterBytes ?? Number.POSITIVE_INFINITY;
    this.#openBodyCount++;
    try {
      for await (const chunk of body) {
        const before = chunk.subarray(0, Math.min(left, chunk.length));
        left -= before.length;
        if (before.length > 0) yield this.#counted(key, before);
        if (!fault || left > 0) continue;
        left = Number.POSITIVE_INFINITY;
        if (!fault.gate) {
          if (fault.error !== undefined) throw fault.error;
          return;
        }
        await pass(fault.gate, signal);
        if (before.length < chunk.length) yield this.#counted(key, chunk.subarray(before.length));
      }
    } finally {
      this.#openBodyCount--;
    }
  }

  #counted(key: string, chunk: Uint8Array): Uint8Array {
    this.#count(key, chunk.length);
    return chunk;
  }

  #count(key: string, bytes: number): void {
    this.#bytes.set(key, (this.#bytes.get(key) ?? 0) + bytes);
  }
}

function createGate(): { readonly gate: Gate; readonly parts: GateParts } {
  const reached = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  return {
    gate: { reached: reached.promise, open: opened.resolve },
    parts: { reach: reached.resolve, opened: opened.promise },
  };
}

/** Rejects with the signal's reason when it is aborted at the gate. */
async function pass(gate: GateParts, signal: AbortSignal | undefined): Promise<void> {
  gate.reach();
  if (!signal) return gate.opened;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason as Error);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([gate.opened, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
