/**
 * A bucket of S3 or of a store that speaks like it. All requests are signed here and sent without the SDK: the bytes of a GET
 * through it cost several times the processor time, and the few other calls then need no second client.
 */

import type { Clock } from '@alluxio-ts/common/clock';
import { AlluxioError, errnoOf } from '@alluxio-ts/common/errors';
import { KIB } from '@alluxio-ts/common/units';
import { ownedBody } from '../owned-body.ts';
import { checkRange, checkVersion, emptyRead, fileNotFound } from '../ranges.ts';
import { unwatched } from '../reception.ts';
import type { RetryBudget } from '../retry-budget.ts';
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
} from '../ufs.ts';
import { type S3Call, S3Connection, type S3Response } from './connection.ts';
import { type BodyCheck, bodyCheckOf } from './body-check.ts';
import type { CredentialsSource } from './credentials.ts';
import { badAnswer, nameOf } from './errors.ts';
import { listS3 } from './list.ts';
import type { S3UfsOptions } from './options.ts';
import { etagOfVersion, headerOf, statusOf } from './responses.ts';

/** Answers to less are not taken in parts: what comes with a head is less. */
const partMinBytes = 64 * KIB;

/** No object of S3 has a longer name. */
const keyMaxBytes = 1024;

export interface S3UfsParts {
  readonly clock: Clock;
  /** Instead of what the options name. */
  readonly credentials?: CredentialsSource;
  /** Of the mount: what is repeated here is taken from it. One of its own unless given. */
  readonly budget?: RetryBudget;
}

/** An answer whose head is what was asked for. */
interface BegunBody {
  readonly call: S3Call;
  readonly response: S3Response;
  readonly lengthBytes: number;
  /** Undefined where the store says nothing of the bytes. */
  readonly check: BodyCheck | undefined;
}

export class S3Ufs implements Ufs {
  readonly capability: UfsCapability;
  readonly #options: S3UfsOptions;
  readonly #connection: S3Connection;

  constructor(options: S3UfsOptions, parts: S3UfsParts) {
    this.capability = { pin: 'atomic', orderedList: options.isListOrdered, write: true };
    this.#options = options;
    this.#connection = new S3Connection(options, parts);
  }

  /** HEAD tells a missing bucket and a missing object alike: both are undefined. */
  async stat(key: string, options: CallOptions = {}): Promise<FileStatus | undefined> {
    options.signal?.throwIfAborted();
    const objectKey = this.#objectKey(key);
    if (objectKey === undefined) return undefined;
    const call = this.#call('ask for', { method: 'HEAD', key: objectKey }, options.signal);
    const response = await this.#connection.send(call);
    if (response.statusCode === 200) {
      await this.#connection.text(call, response);
      return statusOf(key, this.#lengthOf(call, response), response.headers);
    }
    const error = await this.#connection.errorOf(call, response);
    if (error.code === 'FileNotFound') return undefined;
    throw error;
  }

  list(options: ListOptions): AsyncIterable<ListPage> {
    return listS3(this.#connection, this.#options, options);
  }

  async read(key: string, options: ReadOptions): Promise<UfsRead> {
    const { begun, file } = await this.#begin(key, options);
    if (!begun) return emptyRead(file);
    const body = ownedBody({
      chunks: () => this.#chunks(begun),
      // Leaving early ends the connection: the rest of the answer may be longer than a new connection is dear.
      release: () => begun.response.discard(),
      signal: options.signal,
    });
    return { file, body };
  }

  async receive(key: string, options: ReceiveOptions): Promise<UfsReception> {
    const { begun, file } = await this.#begin(key, options, {
      into: options.into.subarray(0, options.lengthBytes),
      nextBytes: options.nextBytes ?? 0,
    });
    return { file, over: begun ? unwatched(this.#receive(begun, options)) : Promise.resolve(0) };
  }

  /** Asks, and looks at what the answer says; nothing has begun where there is nothing to read. */
  async #begin(
    key: string,
    options: ReadOptions,
    target?: { readonly into: Uint8Array; readonly nextBytes: number },
  ): Promise<{ readonly file: FileStatus; readonly begun: BegunBody | undefined }> {
    options.signal?.throwIfAborted();
    checkRange(key, options);
    const objectKey = this.#objectKey(key);
    if (objectKey === undefined) throw fileNotFound(`s3://${this.#options.bucket}/${key}`);
    if (options.lengthBytes === 0) return this.#readNothing(key, options);
    const { offset, lengthBytes, version, signal } = options;
    const etag = version === undefined ? undefined : etagOfVersion(version);
    const { checksumVerify } = this.#options;
    const isWhole = version !== undefined && offset === 0 && options.fileSizeBytes === lengthBytes;
    const mayPart = version !== undefined && lengthBytes >= partMinBytes && this.#connection.takesParts;
    const nextBytes = mayPart ? (target?.nextBytes ?? 0) : 0;
    const headers = {
      // Of a range most stores tell no checksum, be it of all bytes.
      ...(isWhole ? {} : { range: `bytes=${offset}-${offset + lengthBytes + nextBytes - 1}` }),
      ...(offset === 0 && checksumVerify !== 'none' ? { 'x-amz-checksum-mode': 'ENABLED' } : {}),
      ...(etag === undefined ? {} : { 'if-match': etag }),
    };
    const request = { method: 'GET', key: objectKey, headers } as const;
    const isPart = target !== undefined && version !== undefined;
    const part = isPart ? { of: `${objectKey}\n${version}`, offset, nextBytes } : undefined;
    const call = { action: 'read', request, signal, into: target?.into, part };
    const response = await this.#connection.send(call);
    if (nextBytes > 0 && !response.isParted) {
      // More would come than there is memory for.
      response.discard();
      return this.#begin(key, options, target && { ...target, nextBytes: 0 });
    }
    if (response.statusCode === 416) {
      await this.#connection.errorOf(call, response);
      return this.#readNothing(key, options);
    }
    if (response.statusCode !== 206 && response.statusCode !== 200) {
      throw await this.#connection.errorOf(call, response);
    }
    try {
      const span = this.#spanOf(call, response, options, nextBytes);
      const file = statusOf(key, span.totalBytes, response.headers);
      checkVersion(nameOf(this.#connection.subjectOf(call)), file, version);
      const hasAll = offset === 0 && span.lengthBytes === span.totalBytes;
      const check = hasAll ? bodyCheckOf(response.headers, checksumVerify) : undefined;
      return { file, begun: { call, response, lengthBytes: span.lengthBytes, check } };
    } catch (thrown) {
      response.discard();
      throw thrown;
    }
  }

  /** Nothing is asked for, or the range begins behind the end: what is there, and whether it is the version, still counts. */
  async #readNothing(
    key: string,
    options: ReadOptions,
  ): Promise<{ readonly file: FileStatus; readonly begun: undefined }> {
    const name = `s3://${this.#options.bucket}/${this.#options.keyPrefix}${key}`;
    const file = await this.stat(key, options);
    if (!file) throw fileNotFound(name);
    checkVersion(name, file, options.version);
    if (options.lengthBytes > 0 && options.offset < file.sizeBytes) {
      throw badAnswer(
        this.#options.origin,
        `${name} has ${file.sizeBytes} bytes, but a range within them was refused`,
      );
    }
    return { file, begun: undefined };
  }

  /** Which bytes the answer has for this call. Throws UfsBadResponse unless they are the ones asked for. */
  #spanOf(
    call: S3Call,
    response: S3Response,
    { lengthBytes, offset }: ReadOptions,
    nextBytes: number,
  ): { readonly totalBytes: number; readonly lengthBytes: number } {
    const asked = { offset, lengthBytes: lengthBytes + nextBytes };
    const spanOf = (totalBytes: number) => ({
      totalBytes,
      lengthBytes: Math.min(lengthBytes, totalBytes - offset),
    });
    if (response.statusCode === 200) {
      const totalBytes = this.#lengthOf(call, response);
      const isAsked = response.isNext || (offset === 0 && totalBytes <= asked.lengthBytes);
      if (isAsked) return spanOf(totalBytes);
      throw this.#badRange(call, `all ${totalBytes} bytes`, asked);
    }
    const text = headerOf(response.headers, 'content-range') ?? '';
    const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(text);
    const [from, to, totalBytes] = match ? [Number(match[1]), Number(match[2]), Number(match[3])] : [];
    if (from === undefined || to === undefined || totalBytes === undefined) {
      throw this.#badRange(call, text === '' ? 'no range' : `"${text}"`, asked);
    }
    // It was compared with what was asked for when the first of its bytes came.
    if (response.isNext) return spanOf(totalBytes);
    const length = headerOf(response.headers, 'content-length');
    const end = Math.min(offset + asked.lengthBytes, totalBytes);
    if (from !== offset || to !== end - 1 || (length !== undefined && Number(length) !== end - offset)) {
      throw this.#badRange(call, `"${text}" in ${length ?? 'unknown'} bytes`, asked);
    }
    return spanOf(totalBytes);
  }

  /** Bytes that are not what the store says of the object fail before the last of them is handed out. */
  async *#chunks({ call, check, lengthBytes, response }: BegunBody): AsyncGenerator<Uint8Array> {
    let given = 0;
    try {
      for await (const chunk of response.chunks()) {
        given += chunk.length;
        if (given > lengthBytes) break;
        check?.update(chunk);
        if (check && given === lengthBytes && !check.matches()) throw this.#mismatch(call, check);
        yield chunk;
      }
    } catch (thrown) {
      if (!isEarlyEnd(call, thrown)) throw this.#connection.connectionError(call, thrown);
    }
    if (given !== lengthBytes) throw this.#wrongLength(call, lengthBytes, given);
  }

  /** As the chunks of a read. */
  async #receive(
    { call, check, lengthBytes, response }: BegunBody,
    { into, onReceived }: ReceiveOptions,
  ): Promise<number> {
    let given = 0;
    let isMismatch = false;
    const onCount = (count: number): void => {
      check?.update(into.subarray(given, count));
      given = count;
      isMismatch = check !== undefined && count === lengthBytes && !check.matches();
      if (!isMismatch && count <= lengthBytes) onReceived(count);
    };
    try {
      given = await response.receive(onCount);
    } catch (thrown) {
      if (!isEarlyEnd(call, thrown)) throw this.#connection.connectionError(call, thrown);
    } finally {
      response.discard();
    }
    if (check && isMismatch) throw this.#mismatch(call, check);
    if (given !== lengthBytes) throw this.#wrongLength(call, lengthBytes, given);
    return given;
  }

  #mismatch(call: S3Call, { name }: BodyCheck): AlluxioError {
    const object = nameOf(this.#connection.subjectOf(call));
    return badAnswer(this.#options.origin, `the bytes of ${object} are not those of its ${name}`);
  }

  #wrongLength(call: S3Call, lengthBytes: number, given: number): AlluxioError {
    const object = nameOf(this.#connection.subjectOf(call));
    return badAnswer(this.#options.origin, `${object} was to have ${lengthBytes} bytes, ${given} came`);
  }

  async write(key: string, bytes: Uint8Array, options: CallOptions = {}): Promise<FileStatus> {
    options.signal?.throwIfAborted();
    const objectKey = this.#objectKey(key);
    if (objectKey === undefined) {
      throw new AlluxioError('InvalidArgument', `"${key}" cannot be the name of an object`);
    }
    const call = this.#call('write', { method: 'PUT', key: objectKey, bytes }, options.signal);
    await this.#finish(call);
    const file = await this.stat(key, options);
    if (!file) throw fileNotFound(nameOf(this.#connection.subjectOf(call)));
    return file;
  }

  async remove(key: string, options: CallOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const objectKey = this.#objectKey(key);
    if (objectKey === undefined) return;
    await this.#finish(this.#call('remove', { method: 'DELETE', key: objectKey }, options.signal));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #finish(call: S3Call): Promise<void> {
    const response = await this.#connection.send(call);
    if (response.statusCode === 200 || response.statusCode === 204) {
      await this.#connection.text(call, response);
      return;
    }
    const error = await this.#connection.errorOf(call, response);
    if (call.request.method === 'DELETE' && error.code === 'FileNotFound') return;
    throw error;
  }

  #call(action: string, request: S3Call['request'], signal: AbortSignal | undefined): S3Call {
    return { action, request, signal };
  }

  /** Undefined for what no object can be named; asking would reach the bucket itself, or be refused. */
  #objectKey(key: string): string | undefined {
    const objectKey = this.#options.keyPrefix + key;
    if (key === '' || !objectKey.isWellFormed() || Buffer.byteLength(objectKey) > keyMaxBytes)
      return undefined;
    return objectKey;
  }

  #lengthOf(call: S3Call, response: S3Response): number {
    const text = headerOf(response.headers, 'content-length') ?? '';
    if (/^\d+$/.test(text)) return Number(text);
    throw badAnswer(
      this.#options.origin,
      `no length is given for ${nameOf(this.#connection.subjectOf(call))}`,
    );
  }

  #badRange(
    call: S3Call,
    answered: string,
    options: Pick<ReadOptions, 'offset' | 'lengthBytes'>,
  ): AlluxioError {
    const name = nameOf(this.#connection.subjectOf(call));
    const asked = `bytes ${options.offset} to ${options.offset + options.lengthBytes - 1}`;
    return badAnswer(this.#options.origin, `asked for ${asked} of ${name}, it gives ${answered}`);
  }
}

/** A connection that the store closed in good order, but too early, is an answer that is too short. */
function isEarlyEnd({ signal }: S3Call, thrown: unknown): boolean {
  if (signal?.aborted) return false;
  const code = errnoOf(thrown);
  return code === 'HTTP_ENDED' || code === 'UND_ERR_SOCKET' || code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH';
}
