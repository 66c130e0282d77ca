/** Runs one call at a time for a key; whoever asks meanwhile gets the same promise. */
export class SingleFlight<K, V> {
  readonly #running = new Map<K, Promise<V>>();

  /** The running call for this key, or the result of `start`, which then is the running one until it settles. */
  run(key: K, start: () => Promise<V>): Promise<V> {
    const running = this.#running.get(key);
    if (running) return running;
    const started = start().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }

  isRunning(key: K): boolean {
    return this.#running.has(key);
  }

  get size(): number {
    return this.#running.size;
  }
}
