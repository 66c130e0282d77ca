/** Tells a circuit how each try went. It asks nobody's leave: whoever lets calls in (`with-limit.ts`) does. */

import type { Clock } from '@alluxio-ts/common/clock';
import type { Circuit } from '../circuit.ts';
import type { CallOptions, Ufs } from '../ufs.ts';
import { listInSteps } from './delegate.ts';

export interface CircuitLayerOptions {
  readonly circuit: Circuit;
  readonly clock: Clock;
}

/** A call that its caller gave up tells nothing, and neither does a body: that it began is the answer. */
export function withCircuit(ufs: Ufs, { circuit, clock }: CircuitLayerOptions): Ufs {
  async function told<T>(name: string, { signal }: CallOptions, call: () => Promise<T>): Promise<T> {
    const askedAtMs = clock.monotonic();
    try {
      const result = await call();
      circuit.settled({ name, askedAtMs });
      return result;
    } catch (failure) {
      if (!signal?.aborted) circuit.settled({ name, askedAtMs, failure });
      throw failure;
    }
  }

  return {
    capability: ufs.capability,
    stat: (key, options = {}) => told(key, options, () => ufs.stat(key, options)),
    list: (options) => listInSteps(ufs.list(options), (next) => told(options.prefix, options, next)),
    read: (key, options) => told(key, options, () => ufs.read(key, options)),
    receive: (key, options) => told(key, options, () => ufs.receive(key, options)),
    write: (key, bytes, options = {}) => told(key, options, () => ufs.write(key, bytes, options)),
    remove: (key, options = {}) => told(key, options, () => ufs.remove(key, options)),
    close: () => ufs.close(),
  };
}
