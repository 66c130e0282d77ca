/** Calls the coordinator's REST API. Its failures come back as the AlluxioErrors that they were on the other side. */

import { Agent, request } from 'undici';
import type { z } from 'zod';
import { AlluxioError, type ErrorCode, errnoOf, errorCodes } from '../errors.ts';
import {
  cachePath,
  errorBodySchema,
  type FreeResult,
  freeResultSchema,
  healthPath,
  healthSchema,
  type MountView,
  mountListSchema,
  mountsPath,
  mountViewSchema,
} from '../protocol/coordinator-api.ts';

export interface CoordinatorClientOptions {
  readonly host: string;
  readonly port: number;
  /** Needed for changing calls unless the coordinator is open. */
  readonly token?: string;
}

export interface NewMount {
  readonly path: string;
  readonly ufsUri: string;
  readonly options: Readonly<Record<string, string>>;
  readonly check: boolean;
}

export interface ClientCallOptions {
  readonly signal?: AbortSignal;
}

/** A coordinator that is there accepts at once. */
const connectTimeoutMs = 2000;
/** An addition asks the under storage, with its own deadline and retries. */
const answerTimeoutMs = 60_000;
/** Far above a full list: 1,000 mounts whose options are mostly short. */
const answerMaxBytes = 16 * 1024 * 1024;

export class CoordinatorClient {
  readonly #options: CoordinatorClientOptions;
  readonly #agent = new Agent({
    connect: { timeout: connectTimeoutMs },
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
  });

  constructor(options: CoordinatorClientOptions) {
    this.#options = options;
  }

  async listMounts(call: ClientCallOptions = {}): Promise<readonly MountView[]> {
    return (await this.#call('GET', mountsPath, mountListSchema, call)).mounts;
  }

  async addMount(mount: NewMount, call: ClientCallOptions = {}): Promise<MountView> {
    return this.#call('POST', mountsPath, mountViewSchema, call, JSON.stringify(mount));
  }

  async removeMount(path: string, call: ClientCallOptions = {}): Promise<MountView> {
    return this.#call('DELETE', withPath(mountsPath, path), mountViewSchema, call);
  }

  async freeCache(path: string, call: ClientCallOptions = {}): Promise<FreeResult> {
    return this.#call('DELETE', withPath(cachePath, path), freeResultSchema, call);
  }

  async health(call: ClientCallOptions = {}): Promise<void> {
    await this.#call('GET', healthPath, healthSchema, call);
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  get #address(): string {
    const { host, port } = this.#options;
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }

  async #call<Schema extends z.ZodType>(
    method: 'GET' | 'POST' | 'DELETE',
    pathAndQuery: string,
    schema: Schema,
    call: ClientCallOptions,
    body?: string,
  ): Promise<z.infer<Schema>> {
    const { status, text } = await this.#exchange(method, pathAndQuery, call, body);
    const value = parseJson(text);
    if (status >= 400) throw this.#remoteError(status, value);
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    throw this.#notOurs(`answers ${status} with something else than a coordinator does`);
  }

  async #exchange(
    method: 'GET' | 'POST' | 'DELETE',
    pathAndQuery: string,
    call: ClientCallOptions,
    body: string | undefined,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const { token } = this.#options;
    try {
      const response = await request(`http://${this.#address}${pathAndQuery}`, {
        method,
        dispatcher: this.#agent,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined || method === 'GET' ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body }),
        ...(call.signal ? { signal: call.signal } : {}),
      });
      return { status: response.statusCode, text: await this.#textOf(response.body) };
    } catch (thrown) {
      if (thrown instanceof AlluxioError || call.signal?.aborted) throw thrown;
      throw this.#unreachable(thrown);
    }
  }

  async #textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of body) {
      sizeBytes += chunk.length;
      if (sizeBytes > answerMaxBytes) throw this.#notOurs(`answers more than ${answerMaxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  }

  #remoteError(status: number, value: unknown): AlluxioError {
    const parsed = errorBodySchema.safeParse(value);
    if (!parsed.success) return this.#notOurs(`answers ${status} without a reason`);
    const { code, message, requestId } = parsed.data;
    // A newer coordinator may know codes that this client does not.
    if (!isErrorCode(code)) {
      return new AlluxioError('Internal', `${message} (${code}, request ${requestId})`, {
        context: { requestId },
      });
    }
    const text = code === 'Internal' ? `${message} (request ${requestId})` : message;
    return new AlluxioError(code, text, { context: { requestId } });
  }

  #unreachable(thrown: unknown): AlluxioError {
    const reason = errnoOf(thrown) ?? 'no answer';
    return new AlluxioError(
      'Unreachable',
      `no coordinator answers at ${this.#address} (${reason}); start one with "alluxio standalone", or set alluxio.coordinator.hostname and alluxio.coordinator.web.port to where it runs`,
      { cause: thrown },
    );
  }

  #notOurs(fault: string): AlluxioError {
    return new AlluxioError(
      'Unreachable',
      `what listens at ${this.#address} ${fault}; check alluxio.coordinator.hostname and alluxio.coordinator.web.port`,
    );
  }
}

function withPath(resource: string, path: string): string {
  return `${resource}?${new URLSearchParams({ path }).toString()}`;
}

function isErrorCode(code: string): code is ErrorCode {
  return (errorCodes as readonly string[]).includes(code);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
