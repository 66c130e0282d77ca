/** At most so many calls to a storage at once, and at most so many that wait. */

import { Limiter } from '@alluxio-ts/common/limiter';
import { ownedBody } from '../owned-body.ts';
import type { ReadOptions, ReceiveOptions, Ufs, UfsRead, UfsReception } from '../ufs.ts';
import { listInSteps } from './delegate.ts';

export interface LimitOptions {
  readonly concurrencyMax: number;
  readonly queueMax: number;
  /** What is limited, for the error: `s3://bucket`. */
  readonly name: string;
  /** Throws where a call would be in vain; asked before a call waits, and again when it has its place. */
  readonly check?: () => void;
}

/**
 * A read holds its place until its body ends, is left, or its signal is aborted. One whose body goes to whoever asked, at whatever speed that takes it (not into memory),
 * gets at most half of the places, so that slow clients leave the others to fills. A listing holds one only while a page is
 * awaited: a caller who reads what it lists must not wait for itself. One call too many fails with Overloaded.
 */
export function withLimit(ufs: Ufs, options: LimitOptions): Ufs {
  const limiter = new Limiter({ ...options, name: `requests to ${options.name}` });
  const streams = new Limiter({
    concurrencyMax: Math.ceil(options.concurrencyMax / 2),
    queueMax: options.queueMax,
    name: `reads past the cache of ${options.name}`,
  });

  async function enter(signal: AbortSignal | undefined): Promise<() => void> {
    options.check?.();
    const release = await limiter.acquire(signal ? { signal } : {});
    try {
      options.check?.();
    } catch (thrown) {
      release();
      throw thrown;
    }
    return release;
  }

  async function enterAsStream(signal: AbortSignal | undefined): Promise<() => void> {
    options.check?.();
    const releaseShare = await streams.acquire(signal ? { signal } : {});
    try {
      const release = await enter(signal);
      return () => {
        release();
        releaseShare();
      };
    } catch (thrown) {
      releaseShare();
      throw thrown;
    }
  }

  async function limited<T>(signal: AbortSignal | undefined, call: () => Promise<T>): Promise<T> {
    const release = await enter(signal);
    try {
      return await call();
    } finally {
      release();
    }
  }

  async function read(key: string, asked: ReadOptions): Promise<UfsRead> {
    const { signal } = asked;
    const release = await enterAsStream(signal);
    try {
      const { file, body } = await ufs.read(key, asked);
      return { file, body: ownedBody({ chunks: () => body, release, signal }) };
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  async function receive(key: string, asked: ReceiveOptions): Promise<UfsReception> {
    const release = await enter(asked.signal);
    try {
      const reception = await ufs.receive(key, asked);
      void reception.over.then(release, release);
      return reception;
    } catch (thrown) {
      release();
      throw thrown;
    }
  }

  return {
    capability: ufs.capability,
    stat: (key, options = {}) => limited(options.signal, () => ufs.stat(key, options)),
    list: (options) => listInSteps(ufs.list(options), (next) => limited(options.signal, next)),
    read,
    receive,
    write: (key, bytes, options = {}) => limited(options.signal, () => ufs.write(key, bytes, options)),
    remove: (key, options = {}) => limited(options.signal, () => ufs.remove(key, options)),
    close: () => ufs.close(),
  };
}
