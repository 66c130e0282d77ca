/**
 * One process of ours as its clients call it: addresses, deadlines, bounds, and failures, which come back as the AlluxioErrors that they were on
 * the other side.
 */

import { Agent, request } from 'undici';
import type { z } from 'zod';
import { AlluxioError, type ErrorCode, errnoOf, errorCodes } from '../errors.ts';
import { errorBodySchema } from '../protocol/error-body.ts';
import { parseJson } from '../parse-json.ts';
import { Connector } from './connector.ts';

export interface RemoteProcessOptions {
  /** For errors: `coordinator`, `worker`. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Sent with changing calls. */
  readonly token?: string;
  /** Further headers of each call. */
  readonly headersOf?: (call: RemoteCall) => Readonly<Record<string, string>>;
  /** What to do when nobody answers, and what when somebody else does; both end an error. */
  readonly unreachableHint: string;
  readonly foreignHint: string;
  /** What is read into memory of one answer at most. */
  readonly answerMaxBytes: number;
}

export interface ClientCallOptions {
  readonly signal?: AbortSignal;
}

export type RemoteMethod = 'GET' | 'POST' | 'PUT' | 'DELETE';

export interface RemoteCall extends ClientCallOptions {
  /** The whole answer must be there by then, or the process counts as away. */
  readonly deadlineMs?: number;
  readonly method: RemoteMethod;
  readonly pathAndQuery: string;
  /** Sent as JSON. */
  readonly body?: string;
}

export interface RemoteStream {
  /** One value a name: the first. */
  readonly headers: ReadonlyMap<string, string>;
  /** Pulled as it is consumed; fails with Unreachable when it breaks off. Leaving it early ends the call. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** A process that is there accepts at once. */
const connectTimeoutMs = 2000;
/** The under storage may have to be asked, with its own deadline and retries; a body may pause so long too. */
const answerTimeoutMs = 60_000;

export class RemoteProcess {
  readonly #options: RemoteProcessOptions;
  readonly #connector = new Connector(connectTimeoutMs);
  readonly #agent = new Agent({
    connect: this.#connector.open,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  });

  constructor(options: RemoteProcessOptions) {
    this.#options = options;
  }

  get address(): string {
    const { host, port } = this.#options;
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }

  async close(): Promise<void> {
    // Whoever closes waits for nothing more: an answer that was never read must not hold the process.
    this.#connector.close();
    await this.#agent.destroy();
  }

  async callJson<Schema extends z.ZodType>(call: RemoteCall, schema: Schema): Promise<z.infer<Schema>> {
    return (await this.callJsonWithHeaders(call, schema)).value;
  }

  async callJsonWithHeaders<Schema extends z.ZodType>(
    call: RemoteCall,
    schema: Schema,
  ): Promise<{ readonly value: z.infer<Schema>; readonly headers: ReadonlyMap<string, string> }> {
    const { headers, text } = await this.callText(call);
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return { value: parsed.data, headers };
    throw this.#notOurs('answers 200 with something else than a');
  }

  async callText(
    call: RemoteCall,
  ): Promise<{ readonly text: string; readonly headers: ReadonlyMap<string, string> }> {
    const { headers, body } = await this.stream(call);
    return { headers, text: await this.#textOf(body) };
  }

  /** Resolves when a successful answer has begun. */
  async stream(call: RemoteCall): Promise<RemoteStream> {
    const { token, headersOf } = this.#options;
    const deadline = call.deadlineMs === undefined ? undefined : AbortSignal.timeout(call.deadlineMs);
    const signal = AbortSignal.any([call.signal, deadline].filter((each) => each !== undefined));
    try {
      const answered = request(`http://${this.address}${call.pathAndQuery}`, {
        method: call.method,
        dispatcher: this.#agent,
        headers: {
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined || call.method === 'GET' ? {} : { authorization: `Bearer ${token}` }),
          ...headersOf?.(call),
        },
        ...(call.body === undefined ? {} : { body: call.body }),
        signal,
      });
      const response = await unlessAborted(answered, signal);
      const body = this.#guarded(response.body, call);
      if (response.statusCode >= 400) {
        throw this.#remoteError(response.statusCode, parseJson(await this.#textOf(body)));
      }
      return { headers: firstOfEach(response.headers), body };
    } catch (thrown) {
      if (thrown instanceof AlluxioError || call.signal?.aborted) throw thrown;
      throw this.#unreachable(deadline?.aborted ? undefined : thrown, call);
    }
  }

  async *#guarded(body: AsyncIterable<Uint8Array>, call: RemoteCall): AsyncGenerator<Uint8Array> {
    let sentBytes = 0;
    try {
      for await (const chunk of body) {
        sentBytes += chunk.length;
        yield chunk;
      }
    } catch (thrown) {
      if (thrown instanceof AlluxioError || call.signal?.aborted) throw thrown;
      throw new AlluxioError(
        'Unreachable',
        `the answer of the ${this.#options.name} at ${this.address} broke off after ${sentBytes} bytes (${reasonOf(thrown)}); repeat the command`,
        { cause: thrown },
      );
    }
  }

  async #textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
    const { answerMaxBytes } = this.#options;
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of body) {
      sizeBytes += chunk.length;
      if (sizeBytes > answerMaxBytes)
        throw this.#notOurs(`answers more than ${answerMaxBytes} bytes, unlike a`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  }

  #remoteError(status: number, value: unknown): AlluxioError {
    const parsed = errorBodySchema.safeParse(value);
    if (!parsed.success) return this.#notOurs(`answers ${status} without a reason, unlike a`);
    const { code, message, requestId } = parsed.data;
    // A newer process may know codes that this client does not.
    if (!isErrorCode(code)) {
      return new AlluxioError('Internal', `${message} (${code}, request ${requestId})`, {
        context: { requestId },
      });
    }
    const text = code === 'Internal' ? `${message} (request ${requestId})` : message;
    return new AlluxioError(code, text, { context: { requestId } });
  }

  /** `thrown` is undefined when it was the deadline. */
  #unreachable(thrown: unknown, { deadlineMs }: RemoteCall): AlluxioError {
    const { name, unreachableHint } = this.#options;
    const reason = thrown === undefined ? `nothing within ${deadlineMs} ms` : reasonOf(thrown);
    return new AlluxioError(
      'Unreachable',
      `no ${name} answers at ${this.address} (${reason}); ${unreachableHint}`,
      { cause: thrown },
    );
  }

  #notOurs(fault: string): AlluxioError {
    const { name, foreignHint } = this.#options;
    return new AlluxioError(
      'Unreachable',
      `what listens at ${this.address} ${fault} ${name} does; ${foreignHint}`,
    );
  }
}

/** Rejects with the signal's reason at once: undici heeds a signal only when it has a connection. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const giveUp = (): void => reject(signal.reason);
  signal.addEventListener('abort', giveUp);
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', giveUp);
    // What it fails with after that is nobody's matter.
    work.catch(() => undefined);
  }
}

function firstOfEach(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): ReadonlyMap<string, string> {
  const first = new Map<string, string>();
  for (const [name, value] of Object.entries(headers)) {
    const text = Array.isArray(value) ? value[0] : value;
    if (text !== undefined) first.set(name.toLowerCase(), text);
  }
  return first;
}

function reasonOf(thrown: unknown): string {
  return errnoOf(thrown) ?? 'no answer';
}

function isErrorCode(code: string): code is ErrorCode {
  return (errorCodes as readonly string[]).includes(code);
}
